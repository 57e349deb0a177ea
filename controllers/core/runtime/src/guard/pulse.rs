//! Whether who holds a Lease is alive. Judged as an election judges it: by when *we* saw it change, as clocks of machines
//! may differ by any amount. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use std::time::Duration;
use tokio::time::Instant;

/// No clock is wrong by so much: what was renewed longer ago is dead without waiting for it.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(1);
/// Of a Lease that does not say for how long it holds.
const USUAL: Duration = Duration::from_secs(15);

/// What has been seen of one Lease.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Its version, and since when it is that.
    seen: Option<(String, Instant)>,
    /// Whether it was seen to change.
    beats: bool,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// It is renewed.
    Alive,
    /// It was not renewed for as long as it holds.
    Dead,
    /// It has not been looked at for long enough.
    Unknown,
}

impl Pulse {
    /// Takes down that the Lease is like this `at` this moment, which is `now` by our clock.
    pub fn feel(&mut self, lease: &Lease, now: Timestamp, at: Instant) -> Beat {
        let version = lease.metadata.resource_version.as_deref();
        let version = version.unwrap_or_default();
        let spec = lease.spec.as_ref();
        let since = match &self.seen {
            Some((seen, since)) if seen == version => *since,
            before => {
                self.beats = before.is_some();
                self.seen = Some((version.to_owned(), at));
                at
            }
        };
        let renewed = spec.and_then(|spec| spec.renew_time.as_ref());
        if !self.beats && renewed.is_none_or(|renewed| now.duration_since(renewed.0) > LONG_AGO) {
            return Beat::Dead;
        }
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
        let holds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        if at.duration_since(since) >= holds.map_or(USUAL, Duration::from_secs) {
            self.beats = false;
            return Beat::Dead;
        }
        match self.beats {
            true => Beat::Alive,
            false => Beat::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Beat, Pulse};
    use jiff::{SignedDuration, Timestamp};
    use k8s_openapi::api::coordination::v1::Lease;
    use serde_json::json;
    use std::time::Duration;
    use tokio::time::Instant;

    /// Versions of the Lease, each as it is seen after so many seconds, and what follows.
    fn check(renewed_before: i64, seen: &[(u64, &str, Beat)]) {
        let (now, begun) = (Timestamp::UNIX_EPOCH, Instant::now());
        let mut pulse = Pulse::default();
        for (after, version, expected) in seen {
            let renewed = now - SignedDuration::from_secs(renewed_before);
            let lease: Lease = serde_json::from_value(json!({
                "metadata": { "resourceVersion": version },
                "spec": { "renewTime": format!("{renewed:.6}"), "leaseDurationSeconds": 15 },
            }))
            .unwrap();
            let at = begun + Duration::from_secs(*after);
            assert_eq!(
                pulse.feel(&lease, now, at),
                *expected,
                "{version} after {after} s"
            );
        }
    }

    #[test]
    fn who_is_seen_to_renew_lives_and_who_is_not_for_the_duration_is_dead() {
        use Beat::{Alive, Dead, Unknown};
        check(0, &[(0, "1", Unknown), (2, "2", Alive), (9, "2", Alive)]);
        check(0, &[(0, "1", Unknown), (14, "1", Unknown), (15, "1", Dead)]);
        check(0, &[(0, "1", Unknown), (2, "2", Alive), (17, "2", Dead)]);
        // It goes on after all.
        check(0, &[(0, "1", Unknown), (15, "1", Dead), (16, "2", Alive)]);
    }

    #[test]
    fn clocks_count_only_where_they_are_hours_apart() {
        use Beat::{Alive, Dead, Unknown};
        check(-1800, &[(0, "1", Unknown)]);
        check(1800, &[(0, "1", Unknown)]);
        check(7200, &[(0, "1", Dead), (1, "1", Dead)]);
        check(7200, &[(0, "1", Dead), (2, "2", Alive)]);
    }
}
