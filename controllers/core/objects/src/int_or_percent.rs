//! Numbers that may be written as a share of something, such as `maxSurge: 25%`.
//!
//! Upstream: `apimachinery/pkg/util/intstr/intstr.go` and `pkg/controller/deployment/util/deployment_util.go`
//! (`ResolveFenceposts`, `MaxUnavailable`).

use std::fmt;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A text that is not a percentage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntOrPercentError(String);

impl fmt::Display for IntOrPercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is neither a number nor a percentage such as \"25%\"",
            self.0
        )
    }
}

impl std::error::Error for IntOrPercentError {}

/// The number itself, or the percentage of `total`, rounded up or down.
pub fn resolve(value: &IntOrString, total: i32, round_up: bool) -> Result<i32, IntOrPercentError> {
    let text = match value {
        IntOrString::Int(number) => return Ok(*number),
        IntOrString::String(text) => text,
    };
    let percent: i32 = text
        .strip_suffix('%')
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| IntOrPercentError(text.clone()))?;
    let hundredfold = i64::from(percent) * i64::from(total);
    let floor = hundredfold.div_euclid(100);
    let share = if round_up && hundredfold.rem_euclid(100) != 0 {
        floor + 1
    } else {
        floor
    };
    Ok(share.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32)
}

/// How many pods a rolling update of a Deployment may have above, and how many available ones it may lack below,
/// `replicas`: `(surge, unavailable)`.
///
/// Surge is rounded up, unavailable down; if that makes both zero, one pod may be unavailable, as otherwise nothing
/// could ever move. Unavailable is at most `replicas`. What is absent or not valid counts as zero, as upstream does
/// (the API server fills in and checks both).
pub fn max_surge_unavailable(
    replicas: i32,
    surge: Option<&IntOrString>,
    unavailable: Option<&IntOrString>,
) -> (i32, i32) {
    let number = |value: Option<&IntOrString>, round_up| {
        value
            .and_then(|value| resolve(value, replicas, round_up).ok())
            .unwrap_or(0)
    };
    let surge = number(surge, true);
    let unavailable = match (surge, number(unavailable, false)) {
        (0, 0) => 1,
        (_, unavailable) => unavailable,
    };
    (surge, unavailable.min(replicas))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> IntOrString {
        text.parse()
            .map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int)
    }

    #[test]
    fn percentages_are_rounded_as_asked() {
        for (value, total, down, up) in [
            ("3", 10, 3, 3),
            ("25%", 10, 2, 3),
            ("50%", 10, 5, 5),
            ("1%", 1, 0, 1),
            ("100%", 7, 7, 7),
            ("0%", 7, 0, 0),
            ("-10%", 15, -2, -1),
            ("2147483647%", 2_147_483_647, i32::MAX, i32::MAX),
        ] {
            assert_eq!(
                resolve(&parse(value), total, false),
                Ok(down),
                "{value} of {total}"
            );
            assert_eq!(
                resolve(&parse(value), total, true),
                Ok(up),
                "{value} of {total}"
            );
        }
    }

    #[test]
    fn other_texts_are_errors() {
        for text in ["", "%", "ten", "1.5%", "10 %", "99999999999%"] {
            assert!(
                resolve(&IntOrString::String(text.to_owned()), 1, true).is_err(),
                "{text}"
            );
        }
        let error = resolve(&IntOrString::String("5".to_owned()), 1, true)
            .map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err("\"5\" is neither a number nor a percentage such as \"25%\"".to_owned())
        );
    }

    #[test]
    fn surge_up_unavailable_down_never_both_zero() {
        for (replicas, surge, unavailable, expected) in [
            (10, "25%", "25%", (3, 2)),
            (1, "25%", "25%", (1, 0)),
            (3, "0", "25%", (0, 1)), // both zero
            (3, "0", "0", (0, 1)),
            (3, "1", "0", (1, 0)),
            (2, "0", "10", (0, 2)), // capped
            (0, "25%", "25%", (0, 0)),
            (4, "x", "50%", (0, 2)), // not valid counts as zero
        ] {
            let got =
                max_surge_unavailable(replicas, Some(&parse(surge)), Some(&parse(unavailable)));
            assert_eq!(got, expected, "{replicas} {surge} {unavailable}");
        }
        assert_eq!(max_surge_unavailable(3, None, None), (0, 1));
    }
}
