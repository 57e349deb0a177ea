//! From what the metrics ask for to what is done: windows, rates, bounds.
//! (upstream: horizontal.go, `normalizeDesiredReplicas`, `normalizeDesiredReplicasWithBehaviors`)

use crate::history::History;
use crate::world::{Rules, Select, Spec};
use jiff::{SignedDuration, Timestamp};

/// A number of replicas, and what limited it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limited {
    pub(crate) replicas: i32,
    /// Reason and message of AbleToScale.
    pub(crate) able: (&'static str, &'static str),
    /// Status, reason and message of ScalingLimited.
    pub(crate) limited: (bool, &'static str, &'static str),
}

const READY: (&str, &str) = ("ReadyForNewScale", "recommended size matches current size");
const DOWN_STABILIZED: (&str, &str) = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const UP_STABILIZED: (&str, &str) = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const WITHIN: (&str, &str) = (
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const TOO_FEW: (&str, &str) = (
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);
const TOO_MANY: (&str, &str) = (
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const UP_LIMIT: (&str, &str) = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const DOWN_LIMIT: (&str, &str) = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);

/// What becomes of `wanted` replicas where there are `current`.
pub(crate) fn limit(
    spec: &Spec,
    downscale_stabilization: SignedDuration,
    history: &History,
    now: Timestamp,
    current: i32,
    wanted: i32,
) -> Limited {
    let (stable, able, (replicas, word)) = match &spec.behavior {
        None => {
            let recent = recent(history, downscale_stabilization, now);
            let stable = recent.max().unwrap_or(wanted).max(wanted);
            (stable, DOWN_STABILIZED, plain(spec, current, stable))
        }
        Some((up, down)) => {
            let least = recent(history, up.window, now).min();
            let most = recent(history, down.window, now).max();
            let stable = current
                .max(least.unwrap_or(wanted).min(wanted))
                .min(most.unwrap_or(wanted).max(wanted));
            let able = if wanted >= current {
                UP_STABILIZED
            } else {
                DOWN_STABILIZED
            };
            let paced = paced(spec, (up, down), history, now, current, stable);
            (stable, able, paced)
        }
    };
    Limited {
        replicas,
        able: if stable == wanted { READY } else { able },
        limited: (replicas != stable, word.0, word.1),
    }
}

fn recent(history: &History, window: SignedDuration, now: Timestamp) -> impl Iterator<Item = i32> {
    let recommendations = history.recommendations.iter();
    recommendations
        .filter(move |(at, _)| *at > now - window)
        .map(|(_, replicas)| *replicas)
}

type Verdict = (i32, (&'static str, &'static str));

/// Without `behavior`: at most twice as many at once, or four. A single false measurement does not make
/// hundreds of pods (kubernetes#32304).
fn plain(spec: &Spec, current: i32, wanted: i32) -> Verdict {
    let pace = current.saturating_mul(2).max(4);
    let (most, word) = if spec.max > pace {
        (pace, UP_LIMIT)
    } else {
        (spec.max, TOO_MANY)
    };
    if wanted < spec.min {
        (spec.min, TOO_FEW)
    } else if wanted > most {
        (most, word)
    } else {
        (wanted, WITHIN)
    }
}

/// With `behavior`: as far as the policies allow.
fn paced(
    spec: &Spec,
    (up, down): (&Rules, &Rules),
    history: &History,
    now: Timestamp,
    current: i32,
    wanted: i32,
) -> Verdict {
    if wanted > current {
        let pace = allowed(up, history, now, current, 1).max(current);
        let (most, word) = if spec.max > pace {
            (pace, UP_LIMIT)
        } else {
            (spec.max, TOO_MANY)
        };
        if wanted > most {
            return (most, word);
        }
    } else if wanted < current {
        let pace = allowed(down, history, now, current, -1).min(current);
        let (least, word) = if spec.min < pace {
            (pace, DOWN_LIMIT)
        } else {
            (spec.min, TOO_FEW)
        };
        if wanted < least {
            return (least, word);
        }
    }
    (wanted, WITHIN)
}

/// The farthest number of replicas in the direction `sign` that the rules allow. Percentages upwards are
/// rounded up, so that one pod in a hundred can be added at all; downwards the rest is cut off.
fn allowed(rules: &Rules, history: &History, now: Timestamp, current: i32, sign: i32) -> i32 {
    let proposals = rules.policies.iter().map(|policy| {
        // What is not known may have been all that was allowed.
        let Some(change) = history.change(policy.period, now) else {
            return current;
        };
        let start = i64::from(current) - change;
        let value = i64::from(policy.value);
        match (policy.percent, sign) {
            (false, _) => clamp(start + i64::from(sign) * value),
            (true, 1) => (start as f64 * (1.0 + value as f64 / 100.0)).ceil() as i32,
            (true, _) => (start as f64 * (1.0 - value as f64 / 100.0)) as i32,
        }
    });
    let farthest = |a: i32, b: i32| if sign > 0 { a.max(b) } else { a.min(b) };
    let nearest = |a: i32, b: i32| if sign > 0 { a.min(b) } else { a.max(b) };
    let chosen = match rules.select {
        Select::Disabled => None,
        Select::Max => proposals.reduce(farthest),
        Select::Min => proposals.reduce(nearest),
    };
    chosen.unwrap_or(current)
}

fn clamp(replicas: i64) -> i32 {
    i32::try_from(replicas).unwrap_or(if replicas < 0 { i32::MIN } else { i32::MAX })
}
