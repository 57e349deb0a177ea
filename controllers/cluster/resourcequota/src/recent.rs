//! What admission has let in that may not be stored, or seen, yet.
//!
//! The API server raises `status.used` before it stores an object. A count made in between misses that object, and so
//! does one made from a watch that is behind; written down, it would let one more in than there may be. So a raise
//! counts on top of what was counted until it is old enough for the request to have ended, and the caches have shown
//! what came after it.

use crate::status::said;
use crate::tally::Amounts;
use ahash::AHashMap;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ResourceQuota;
use objects::{Quantity, meta};
use std::time::Duration;

/// From the raise to the object being stored, at most: admission by quota comes last.
const IN_FLIGHT: SignedDuration = SignedDuration::from_secs(1);
/// A watch that says nothing for so long has been given up and begun anew (see `runtime`).
const SILENCE: SignedDuration = SignedDuration::from_mins(1);
/// Quotas that have gone are forgotten now and then.
const SWEEP: usize = 1000;

/// The raises of all quotas, by their UID.
#[derive(Debug, Default)]
pub(crate) struct Recent(AHashMap<String, Story>);

#[derive(Debug)]
struct Story {
    /// What was said of usage last, by whomever.
    said: Amounts,
    raises: Vec<Raise>,
    looked_at: Timestamp,
}

#[derive(Debug)]
struct Raise {
    at: Timestamp,
    version: u64,
    name: String,
    amount: Quantity,
}

/// What counts on top of what was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Young {
    /// How much of each resource.
    pub amounts: Amounts,
    /// When less of it may count, if some does.
    pub settled_in: Option<Duration>,
}

impl Recent {
    /// Takes in what the status of a quota says now. `seen` tells up to which version all that a resource counts is
    /// known.
    pub(crate) fn observe(
        &mut self,
        quota: &ResourceQuota,
        seen: impl Fn(&str) -> u64,
        now: Timestamp,
    ) -> Young {
        if self.0.len() > SWEEP {
            let is_young = |story: &Story| now.duration_since(story.looked_at) < SILENCE * 10;
            self.0.retain(|_, story| is_young(story));
        }
        let said = said(quota);
        let version = meta::resource_version(&quota.metadata).unwrap_or_default();
        let uid = meta::uid(&quota.metadata).to_owned();
        // Nothing is known of what was before the first look: all of it may be young.
        let story = self.0.entry(uid).or_insert_with(|| Story {
            said: Amounts::new(),
            raises: Vec::new(),
            looked_at: now,
        });
        story.looked_at = now;
        for (name, amount) in &said {
            let before = story.said.get(name).copied().unwrap_or_default();
            if *amount > before {
                story.raises.push(Raise {
                    at: now,
                    version,
                    name: name.clone(),
                    amount: *amount - before,
                });
            }
        }
        story.said = said;
        story.raises.retain(|raise| {
            let age = now.duration_since(raise.at);
            age < IN_FLIGHT || (raise.version > seen(&raise.name) && age < SILENCE)
        });
        Young::of(&story.raises, now)
    }

    /// This loop itself has said this now: what is said above that later was raised by admission.
    pub(crate) fn written(&mut self, quota: &ResourceQuota) {
        if let Some(story) = self.0.get_mut(meta::uid(&quota.metadata)) {
            story.said = said(quota);
        }
    }
}

impl Young {
    fn of(raises: &[Raise], now: Timestamp) -> Self {
        let mut amounts = Amounts::new();
        for raise in raises {
            let sum: &mut Quantity = amounts.entry(raise.name.clone()).or_default();
            *sum += raise.amount;
        }
        let settled_in = raises.iter().map(|raise| {
            let age = now.duration_since(raise.at);
            let left = match age < IN_FLIGHT {
                true => IN_FLIGHT - age,
                // It waits for a watch to say something.
                false => (age / 2).max(IN_FLIGHT / 2).min(SILENCE - age),
            };
            Duration::try_from(left).unwrap_or_default()
        });
        let settled_in = settled_in.min();
        Self {
            amounts,
            settled_in,
        }
    }
}
