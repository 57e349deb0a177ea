//! Finds out who of the stock programs is there and what it does.

use super::pulse::{Beat, Pulse};
use super::sign::{MANAGER, Sign, is_answered, is_written};
use super::{Duties, Found};
use crate::clock::Clock;
use crate::lease::{holder, is_ours};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, PostParams, Preconditions,
};
use kube::core::GroupVersionKind;
use kube::{Client, Error};
use std::time::Duration;
use tokio::time::{self, Instant};

/// Where the stock programs' Leases are.
pub const STOCK_NAMESPACE: &str = "kube-system";
/// How long a stock controller may take to look at a new object.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same of one that was just elected: it reads all there is first.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(30);
/// How long one counts as just elected.
const AT_FIRST: SignedDuration = SignedDuration::from_secs(30);
/// Between two looks at what changes soon.
const SOON: Duration = Duration::from_millis(250);
/// So many objects of a kind are looked at for signs.
const SOME: u32 = 200;

/// What is known of the stock program.
pub(super) struct Eye {
    client: Client,
    clock: Clock,
    duties: Duties,
    /// Where probes are made, and what they are called.
    home: String,
    probe: String,
    pulse: Pulse,
    /// What was found of the process of this identity: its flags do not change.
    found: Option<(String, Found)>,
    /// Who it was when it was looked at last.
    last: Option<String>,
    /// Whether probes may have been left behind.
    pub(super) untidy: bool,
}

impl Eye {
    pub(super) fn new(
        client: Client,
        clock: Clock,
        duties: Duties,
        home: &str,
        lease: &str,
    ) -> Self {
        Self {
            client,
            clock,
            duties,
            home: home.to_owned(),
            probe: format!("{lease}-probe"),
            pulse: Pulse::default(),
            found: None,
            last: None,
            untidy: false,
        }
    }

    /// The stock process of this identity is known to leave our work alone.
    pub(super) fn remember(&mut self, beside: &str) {
        self.found = Some((beside.to_owned(), Found::Beside(beside.to_owned())));
    }

    /// The identity of a live stock process of which it is not known what it does; one that is known is `Ok`.
    ///
    /// # Errors
    /// The API server's.
    pub(super) async fn who(&mut self) -> Result<Result<Found, Lease>, Error> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), STOCK_NAMESPACE);
        loop {
            let lease = leases.get_opt(self.duties.stock()).await?;
            let Some(lease) = lease.filter(|lease| {
                let by = holder(lease);
                !by.is_empty() && !is_ours(by)
            }) else {
                self.last = None;
                return Ok(Ok(Found::Nobody));
            };
            let known = self.found.clone().filter(|(by, _)| by == holder(&lease));
            let beat = self.pulse.feel(&lease, self.clock.now(), Instant::now());
            match (beat, known) {
                (Beat::Dead, _) => return Ok(Ok(Found::Nobody)),
                // Nothing has to be waited for to be sure of that.
                (Beat::Unknown, Some((_, Found::Beside(by)))) => return Ok(Ok(Found::Beside(by))),
                (Beat::Unknown, _) => time::sleep(SOON).await,
                (Beat::Alive, Some((_, found))) => return Ok(Ok(found)),
                (Beat::Alive, None) => return Ok(Err(lease)),
            }
        }
    }

    /// What this live stock process does.
    ///
    /// # Errors
    /// The API server's.
    pub(super) async fn judge(&mut self, lease: &Lease) -> Result<Found, Error> {
        let by = holder(lease).to_owned();
        let at = match &self.duties {
            Duties::Apart => Vec::new(),
            // The default one among them, or nobody would look.
            Duties::Pods(names) => names.clone(),
            Duties::Controllers(_) => match self.controllers(lease).await {
                Err(Error::Api(status)) if matches!(status.code, 401 | 403 | 422) => {
                    let why = status.message.clone();
                    return Ok(Found::Unclear { by, why });
                }
                at => at?,
            },
        };
        let found = match at.is_empty() {
            true => Found::Beside(by.clone()),
            false => Found::AtWork { by: by.clone(), at },
        };
        self.last = Some(by.clone());
        self.found = Some((by, found.clone()));
        Ok(found)
    }

    /// The controllers of ours at which it is seen.
    async fn controllers(&mut self, lease: &Lease) -> Result<Vec<String>, Error> {
        let Duties::Controllers(names) = self.duties.clone() else {
            return Ok(Vec::new());
        };
        let (spec, now) = (lease.spec.as_ref(), self.clock.now());
        let elected = spec.and_then(|spec| spec.acquire_time.as_ref());
        let elected = elected.map_or(now, |at| at.0);
        let signs: Vec<&'static Sign> = Sign::of(&names).collect();
        let seen = join_all(signs.iter().map(|sign| self.is_seen(sign, elected))).await;
        let seen: Vec<bool> = seen.into_iter().collect::<Result<_, _>>()?;
        let of = |wanted: bool| {
            let pairs = signs.iter().zip(&seen);
            pairs.filter_map(move |(sign, seen)| (*seen == wanted).then_some(*sign))
        };
        let mut at: Vec<String> = of(true).map(|sign| sign.controller.to_owned()).collect();
        // One of them says all that has to be known, but who is told what to change is told of all.
        let unsure: Vec<&Sign> = of(false).filter(|sign| sign.spec.is_some()).collect();
        let is_new = self.last.is_some() || now.duration_since(elected).abs() < AT_FIRST;
        let patience = if is_new { PATIENCE_AT_FIRST } else { PATIENCE };
        self.untidy = true;
        let answers = self.ask(&unsure, patience).await;
        self.tidy().await?;
        at.extend(answers?);
        Ok(at)
    }

    /// Whether objects that are there show it.
    async fn is_seen(&self, sign: &Sign, elected: Timestamp) -> Result<bool, Error> {
        let all = Api::<DynamicObject>::all_with(self.client.clone(), &sign.resource());
        let some = ListParams::default().limit(SOME).labels(sign.labels);
        let list = all.list_metadata(&some).await?;
        Ok(list
            .iter()
            .any(|object| is_written(&object.metadata, elected)))
    }

    /// Makes an object of each kind, and sees which of them are written on. As soon as one is, the others have no more than
    /// a second: it is no matter of patience then.
    async fn ask(&self, signs: &[&Sign], patience: Duration) -> Result<Vec<String>, Error> {
        for made in join_all(signs.iter().map(|sign| self.make(sign))).await {
            made?;
        }
        let mut until = Instant::now() + patience;
        let mut answered = vec![false; signs.len()];
        while answered.contains(&false) && Instant::now() < until {
            time::sleep(SOON).await;
            for (sign, answered) in signs.iter().zip(&mut answered) {
                if !*answered {
                    let probe = self.home(sign).get_metadata_opt(&self.probe).await?;
                    *answered = probe.is_some_and(|probe| is_answered(&probe.metadata));
                    if *answered {
                        until = until.min(Instant::now() + Duration::from_secs(1));
                    }
                }
            }
        }
        let names = signs.iter().zip(answered).filter(|(_, answered)| *answered);
        Ok(names.map(|(sign, _)| sign.controller.to_owned()).collect())
    }

    async fn make(&self, sign: &Sign) -> Result<(), Error> {
        let probe = sign.probe(&self.home, &self.probe).unwrap_or_default();
        let probe: DynamicObject = serde_json::from_value(probe).map_err(Error::SerdeError)?;
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        match self.home(sign).create(&params, &probe).await {
            // Of a process that was killed: what has been written on it since may be old.
            Err(Error::Api(status)) if status.code == 409 => {
                self.delete(sign).await?;
                self.home(sign).create(&params, &probe).await.map(drop)
            }
            made => made.map(drop),
        }
    }

    /// Deletes what was made to be looked at, also by a process before this one.
    ///
    /// # Errors
    /// The API server's.
    pub(super) async fn tidy(&mut self) -> Result<(), Error> {
        if let Duties::Controllers(names) = &self.duties {
            let probed = Sign::of(names).filter(|sign| sign.spec.is_some());
            for deleted in join_all(probed.map(|sign| self.delete(sign))).await {
                deleted?;
            }
        }
        self.untidy = false;
        Ok(())
    }

    /// Deletes one, in the version of it that is there, and no other.
    async fn delete(&self, sign: &Sign) -> Result<(), Error> {
        let home = self.home(sign);
        let Some(probe) = home.get_metadata_opt(&self.probe).await? else {
            return Ok(());
        };
        let this = Preconditions {
            uid: probe.metadata.uid,
            resource_version: None,
        };
        match home
            .delete(&self.probe, &DeleteParams::background().preconditions(this))
            .await
        {
            Err(Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    fn home(&self, sign: &Sign) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.home, &sign.resource())
    }
}

impl Sign {
    fn resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }
}
