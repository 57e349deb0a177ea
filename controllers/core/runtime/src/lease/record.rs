//! What stands in the Lease and what follows from it. Pure but for [`event`].

use super::{ElectionOptions, Inner};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::api::Api;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{self, Instant};
use tracing::debug;

/// The lease as it was last seen, and when it was first seen so, by our own clock.
#[derive(Debug, Default)]
pub(super) struct Observed(Option<(Lease, Instant)>);

/// What to do about a lease that was just read.
#[derive(Debug, PartialEq)]
pub(super) enum Attempt {
    /// Another holds it, and it has not run out.
    Held {
        /// Its identity.
        by: String,
    },
    /// Write this.
    Write(Box<Lease>),
}

impl Observed {
    /// What we wrote ourselves.
    pub(super) fn set(&mut self, lease: Lease, at: Instant) {
        self.0 = Some((lease, at));
    }

    /// What we read: its time runs from now if it was written since. Its resourceVersion says so even where
    /// the holder's clock stands still.
    pub(super) fn see(&mut self, lease: Lease, at: Instant) {
        match &mut self.0 {
            Some((held, _))
                if held.metadata.resource_version == lease.metadata.resource_version => {}
            _ => self.set(lease, at),
        }
    }

    fn is_valid(&self, at: Instant) -> bool {
        self.0
            .as_ref()
            .is_some_and(|(lease, seen)| *seen + duration(lease) > at)
    }

    /// The lease renewed without a read, if we hold it for all we know.
    pub(super) fn renewed(
        &self,
        options: &ElectionOptions,
        now: Timestamp,
        at: Instant,
    ) -> Option<Lease> {
        let (lease, _) = self.0.as_ref()?;
        (holder(lease) == options.identity && self.is_valid(at))
            .then(|| renewed(lease, options, now))
    }

    pub(super) fn decide(&self, options: &ElectionOptions, now: Timestamp, at: Instant) -> Attempt {
        let lease = self.0.as_ref().map(|(lease, _)| lease);
        let lease = lease.cloned().unwrap_or_default();
        let by = holder(&lease);
        if by == options.identity {
            Attempt::Write(Box::new(renewed(&lease, options, now)))
        } else if !by.is_empty() && self.is_valid(at) {
            Attempt::Held { by: by.to_owned() }
        } else {
            Attempt::Write(Box::new(taken(&lease, options, now)))
        }
    }
}

/// Who holds it; empty if nobody does.
pub(super) fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

fn duration(lease: &Lease) -> Duration {
    let seconds = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.lease_duration_seconds);
    Duration::from_secs(seconds.unwrap_or(0).max(0).unsigned_abs().into())
}

/// The lease that is created where there is none.
pub(super) fn first(options: &ElectionOptions, now: Timestamp) -> Lease {
    let bare = Lease {
        metadata: ObjectMeta {
            name: Some(options.name.clone()),
            namespace: Some(options.namespace.clone()),
            ..ObjectMeta::default()
        },
        spec: None,
    };
    let mut lease = renewed(&bare, options, now);
    let spec = lease.spec.get_or_insert_default();
    spec.acquire_time.clone_from(&spec.renew_time);
    spec.lease_transitions = Some(0);
    lease
}

/// Ours for longer: acquireTime and leaseTransitions stay.
fn renewed(lease: &Lease, options: &ElectionOptions, now: Timestamp) -> Lease {
    let mut lease = lease.clone();
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    spec.holder_identity = Some(options.identity.clone());
    spec.lease_duration_seconds =
        Some(i32::try_from(options.lease_duration.as_secs()).unwrap_or(i32::MAX));
    spec.renew_time = Some(micro(now));
    lease
}

/// Another's before.
fn taken(lease: &Lease, options: &ElectionOptions, now: Timestamp) -> Lease {
    let mut lease = renewed(lease, options, now);
    let spec = lease.spec.get_or_insert_default();
    spec.acquire_time = Some(micro(now));
    spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
    lease
}

/// Nobody's, and for a second only.
pub(super) fn released(mut lease: Lease, now: Timestamp) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    spec.renew_time = Some(micro(now));
    spec.acquire_time = Some(micro(now));
    lease
}

fn micro(now: Timestamp) -> MicroTime {
    MicroTime(now)
}

/// Records upstream's event `LeaderElection` about the Lease. Nobody waits for it, and where it cannot be
/// recorded it is left out.
pub(super) fn event(inner: &Arc<Inner>, what: &str) {
    let (options, now) = (&inner.options, inner.clock.now());
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", options.name, now.as_nanosecond())),
            namespace: Some(options.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            name: Some(options.name.clone()),
            namespace: Some(options.namespace.clone()),
            ..ObjectReference::default()
        },
        reason: Some("LeaderElection".to_owned()),
        message: Some(format!("{} {what}", options.identity)),
        type_: Some("Normal".to_owned()),
        source: Some(EventSource {
            component: Some(options.component.clone()),
            host: None,
        }),
        reporting_component: Some(options.component.clone()),
        reporting_instance: Some(String::new()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
    };
    let events: Api<Event> = Api::namespaced(inner.client.clone(), &options.namespace);
    let (parameters, patience) = (inner.parameters(), options.request_timeout());
    tokio::spawn(async move {
        match time::timeout(patience, events.create(&parameters, &event)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(%error, "could not record the event of the election"),
            Err(_) => debug!("could not record the event of the election in time"),
        }
    });
}
