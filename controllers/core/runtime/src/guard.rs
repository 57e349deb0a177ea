//! Keeps a process of ours from doing what a stock program does at the same time: two Deployment controllers make each
//! ReplicaSet twice.
//!
//! Where both stand for the same Lease, the election keeps one of them out, and there is nothing to guard. Where ours has
//! a Lease of its own, it looks at the stock one's (`kube-system/kube-controller-manager`, `kube-system/kube-scheduler`):
//!
//! ```text
//! nobody renews it, or one of ours does     begin
//! a stock process renews it, which
//!   is known not to do our work             begin
//!   does it                                 refuse, wait, or begin all the same (--if-stock-runs)
//!   may do it                               look for its writes since it was elected; then make an object of each
//!                                           kind that asks for nothing, and see whether it is written on
//! ```
//!
//! A stock process may run with some of its controllers (`--controllers=*,-job-controller`), which its Lease does not say;
//! but a process keeps its flags, so it is looked at once. What was found stands on our Lease ([`Standing`]), so that who
//! comes next need not look again; what others want of us stands there too ([`HandOver`]).
//!
//! While ours works it goes on to look at who holds the stock Lease, every few seconds; if that is another process than
//! before, all begins anew, and if it does our work, ours ends.
//!
//! What is made to be looked at carries a label by which our own controllers leave it alone ([`PROBE`]). It has one name
//! a Lease, so a process that is killed leaves one object of a kind behind, which the next one deletes.
//!
//! Not seen: a kube-controller-manager that stands for no election; the controllers that leave no sign
//! (`sign.rs` has those that do).

mod duties;
mod look;
mod pulse;
mod sign;
mod standing;
mod words;

pub use duties::Duties;
pub use look::STOCK_NAMESPACE;
pub use pulse::{Beat, Pulse};
pub use sign::PROBE;
pub use standing::{HAND_OVER, HandOver, STANDING, Standing, State};
pub use words::flag;

use crate::clock::Clock;
use crate::lease::{Board, ElectionOptions, Leadership, Notes, holder};
use clap::ValueEnum;
use kube::{Client, Error};
use look::Eye;
use objects::pod::DEFAULT_SCHEDULER;
use sign::SIGNS;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{self, Instant};

/// Between two looks, while it waits.
const OFTEN: Duration = Duration::from_secs(2);
/// Between two looks, while it works.
const SELDOM: Duration = Duration::from_secs(5);
/// A stock process that was at work and is gone comes back, unless it was taken out for good.
const GRACE: Duration = Duration::from_mins(1);
/// Our own word on our Lease is there with the next renewal.
const WRITTEN: Duration = Duration::from_secs(5);

/// What to do where a stock program does the same work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum IfStockRuns {
    /// End, and say what to change.
    #[default]
    Refuse,
    /// Begin when it lets go.
    Wait,
    /// Work beside it.
    Ignore,
}

/// The kind of object that is made to see whether the stock controller of this name is at work: group and resource.
pub fn probed(controller: &str) -> Option<(&'static str, &'static str)> {
    let sign = SIGNS.iter().find(|sign| sign.controller == controller)?;
    sign.spec.map(|_| (sign.group, sign.plural))
}

/// What was found of the stock program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// None runs.
    Nobody,
    /// The one of this identity runs and leaves our work alone.
    Beside(String),
    /// The one of this identity does our work.
    AtWork {
        by: String,
        /// What of it.
        at: Vec<String>,
    },
    /// The one of this identity may do our work.
    Unclear {
        /// Empty if not even that may be asked.
        by: String,
        why: String,
    },
}

impl Found {
    /// The identity of the stock process.
    fn by(&self) -> Option<&str> {
        match self {
            Self::Nobody => None,
            Self::Beside(by) | Self::AtWork { by, .. } | Self::Unclear { by, .. } => Some(by),
        }
    }
}

/// Why a process does not begin, or ends: one paragraph.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

/// Sees that no stock program does the work of a process that stands for no election and is about to begin.
///
/// # Errors
/// One does, and nobody said to wait for it: one paragraph that says what to do.
pub async fn check(
    client: Client,
    clock: Clock,
    duties: Duties,
    how: IfStockRuns,
) -> Result<(), String> {
    let Some(mut guard) = Guard::new(client, clock, duties, how, None) else {
        return Ok(());
    };
    guard.begin().await.map_err(|Refused(why)| why)
}

/// One process's guard.
pub(crate) struct Guard {
    eye: Eye,
    duties: Duties,
    how: IfStockRuns,
    identity: String,
    lead: Option<Lead>,
    /// The stock process that was in the way last.
    met: Option<String>,
}

/// What a leader says on its Lease, and what others say there.
struct Lead {
    board: Arc<Board>,
    notes: watch::Receiver<Notes>,
}

impl Guard {
    /// A guard for a process with these duties, if it needs one: not if it does nothing that a stock program does (a
    /// scheduler of another name), if it is told to ignore those, or if it stands for the stock program's own Lease.
    pub(crate) fn new(
        client: Client,
        clock: Clock,
        duties: Duties,
        how: IfStockRuns,
        election: Option<&ElectionOptions>,
    ) -> Option<Self> {
        let same =
            |own: &ElectionOptions| own.namespace == STOCK_NAMESPACE && own.name == duties.stock();
        let differs = match &duties {
            Duties::Apart => true,
            Duties::Pods(names) => !names.iter().any(|name| name == DEFAULT_SCHEDULER),
            Duties::Controllers(_) => false,
        };
        if how == IfStockRuns::Ignore || differs || election.is_some_and(same) {
            return None;
        }
        let (home, lease) = election.map_or((STOCK_NAMESPACE, "corten"), |own| {
            (own.namespace.as_str(), own.name.as_str())
        });
        Some(Self {
            eye: Eye::new(client, clock, duties.clone(), home, lease),
            duties,
            how,
            identity: election.map(|own| own.identity.clone()).unwrap_or_default(),
            lead: None,
            met: None,
        })
    }

    /// From now on what is found is said on the Lease that this process holds.
    pub(crate) fn led_by(&mut self, leadership: &Leadership) {
        let board = leadership.board();
        let notes = board.seen();
        let before = Standing::of(&notes.borrow());
        if let Some(before) = before {
            let is_less = self.said(State::Works, &Found::Nobody);
            let covers = is_less
                .controllers
                .iter()
                .all(|name| before.controllers.contains(name))
                && is_less
                    .scheduler_names
                    .iter()
                    .all(|name| before.scheduler_names.contains(name));
            if let (Some(beside), true) = (&before.beside, covers) {
                self.eye.remember(beside);
            }
            self.eye.untidy = before.state == State::Checks;
        }
        self.lead = Some(Lead { board, notes });
    }

    /// Waits until nothing is in the way of working.
    ///
    /// # Errors
    /// A stock program is, and nobody said to wait for it.
    pub(crate) async fn begin(&mut self) -> Result<(), Refused> {
        let mut gone: Option<Instant> = None;
        loop {
            let asked = self.asked();
            // Who comes after the one that was told to let go is not waited for. It is looked at while ours works.
            let trusts = self.met.clone().filter(|_| asked == Some(HandOver::Take));
            let found = self.look(State::Checks, trusts.as_deref()).await;
            if asked == Some(HandOver::Back) {
                self.say(State::StandsBy, &found);
                self.pause(OFTEN).await;
                continue;
            }
            match words::refusal(&self.duties, &found) {
                None => {
                    let gone = *gone.get_or_insert_with(Instant::now);
                    let is_over = self.met.is_none()
                        || asked == Some(HandOver::Take)
                        || gone.elapsed() > GRACE;
                    if is_over || found != Found::Nobody {
                        self.say(State::Works, &found);
                        return Ok(());
                    }
                }
                Some(why) if self.how == IfStockRuns::Refuse => return Err(Refused(why)),
                Some(why) => {
                    if self.met.is_none() {
                        tracing::warn!("waits: {why}");
                    }
                    (self.met, gone) = (found.by().map(str::to_owned), None);
                }
            }
            self.say(State::Waits, &found);
            self.pause(OFTEN).await;
        }
    }

    /// Waits until something is in the way of going on, and says what.
    pub(crate) async fn watch(&mut self) -> Refused {
        loop {
            if self.asked() == Some(HandOver::Back) {
                return Refused("ends, as it was asked to hand its work back".to_owned());
            }
            let found = self.look(State::Checks, None).await;
            match words::refusal(&self.duties, &found) {
                // An API server that begins anew knows no rights at first.
                Some(why) if found.by() == Some("") => tracing::warn!("{why}"),
                Some(why) => return Refused(format!("ends: {why}")),
                None => self.say(State::Works, &found),
            }
            self.pause(SELDOM).await;
        }
    }

    /// Deletes what was made to be looked at, if this process was told to end in the middle of that.
    pub(crate) async fn tidy(&mut self) {
        if self.eye.untidy
            && let Ok(Err(error)) = time::timeout(WRITTEN, self.eye.tidy()).await
        {
            tracing::warn!(%error, "what was made to be looked at stays behind");
        }
    }

    /// What the stock program does now. Before objects are made for that, it stands on the Lease that they will be. Of who
    /// comes after the process that it `trusts` to be the last, nothing has to be known.
    async fn look(&mut self, meanwhile: State, trusts: Option<&str>) -> Found {
        loop {
            match self.try_to_look(meanwhile, trusts).await {
                Ok(found) => return found,
                // The API server's answer that nobody may ask is one; all else passes.
                Err(Error::Api(status)) if matches!(status.code, 401 | 403) => {
                    let (by, why) = (String::new(), status.message.clone());
                    return Found::Unclear { by, why };
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot find out whether {} runs", self.duties.stock());
                    time::sleep(OFTEN).await;
                }
            }
        }
    }

    async fn try_to_look(
        &mut self,
        meanwhile: State,
        trusts: Option<&str>,
    ) -> Result<Found, Error> {
        if self.eye.untidy {
            self.eye.tidy().await?;
        }
        match self.eye.who().await? {
            Ok(found) => Ok(found),
            Err(lease) if trusts.is_some_and(|last| last != holder(&lease)) => Ok(Found::Nobody),
            Err(lease) => {
                self.say(meanwhile, &Found::Nobody);
                self.written().await;
                self.eye.judge(&lease).await
            }
        }
    }

    fn asked(&self) -> Option<HandOver> {
        HandOver::of(&self.lead.as_ref()?.notes.borrow())
    }

    fn said(&self, state: State, found: &Found) -> Standing {
        let (controllers, scheduler_names) = match &self.duties {
            Duties::Controllers(names) => (names.clone(), Vec::new()),
            Duties::Pods(names) => (Vec::new(), names.clone()),
            Duties::Apart => (Vec::new(), Vec::new()),
        };
        let (beside, stock_at_work) = match found {
            Found::Beside(by) => (Some(by.clone()), Vec::new()),
            Found::AtWork { at, .. } => (None, at.clone()),
            Found::Nobody | Found::Unclear { .. } => (None, Vec::new()),
        };
        Standing {
            by: self.identity.clone(),
            state,
            controllers,
            scheduler_names,
            beside,
            stock_at_work,
        }
    }

    fn say(&self, state: State, found: &Found) {
        if let Some(lead) = &self.lead {
            lead.board.say(STANDING, self.said(state, found).text());
        }
    }

    /// Waits until what was said last stands on the Lease.
    async fn written(&mut self) {
        let expected = self.said(State::Checks, &Found::Nobody).text();
        if let Some(lead) = &mut self.lead {
            let is_there = lead
                .notes
                .wait_for(|notes| notes.get(STANDING) == Some(&expected));
            // Without it, at worst a probe stays behind.
            let _ = time::timeout(WRITTEN, is_there).await;
        }
    }

    /// Waits so long, or until somebody asks for something.
    async fn pause(&mut self, how_long: Duration) {
        let before = self.asked();
        let Some(lead) = &mut self.lead else {
            return time::sleep(how_long).await;
        };
        let is_asked = lead.notes.wait_for(|notes| HandOver::of(notes) != before);
        let _ = time::timeout(how_long, is_asked).await;
    }
}

#[cfg(test)]
mod tests;
