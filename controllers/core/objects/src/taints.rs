//! Taints and the tolerations against them.
//!
//! Upstream: `api/core/v1/toleration.go` and `component-helpers/scheduling/corev1/helpers.go`.

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// Whether any of the tolerations tolerates the taint.
pub fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations
        .iter()
        .any(|toleration| tolerates_one(toleration, taint))
}

/// Whether one toleration tolerates the taint. An empty effect or key stands for all; the operator is `Equal` unless
/// said. `Lt` and `Gt` (KEP-5471) hold if the taint's number is below, or above, the toleration's; the API server
/// lets them in only where the feature is on, so here they always count.
pub fn tolerates_one(toleration: &Toleration, taint: &Taint) -> bool {
    let empty_or = |text: &Option<String>, other: &str| {
        text.as_deref()
            .is_none_or(|text| text.is_empty() || text == other)
    };
    if !empty_or(&toleration.effect, &taint.effect) || !empty_or(&toleration.key, &taint.key) {
        return false;
    }
    let wanted = toleration.value.as_deref().unwrap_or_default();
    let actual = taint.value.as_deref().unwrap_or_default();
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => wanted == actual,
        "Exists" => true,
        "Lt" => number(actual)
            .zip(number(wanted))
            .is_some_and(|(actual, wanted)| actual < wanted),
        "Gt" => number(actual)
            .zip(number(wanted))
            .is_some_and(|(actual, wanted)| actual > wanted),
        _ => false,
    }
}

/// The first taint whose effect passes the filter and that nothing tolerates.
pub fn find_untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &[Toleration],
    effect: impl Fn(&str) -> bool,
) -> Option<&'a Taint> {
    taints
        .iter()
        .find(|taint| effect(&taint.effect) && !tolerates(tolerations, taint))
}

/// The filter for effects that keep a new pod away from a node.
pub fn keeps_away(effect: &str) -> bool {
    matches!(effect, "NoSchedule" | "NoExecute")
}

/// A decimal integer without plus sign or leading zeros (`apimachinery` `content.IsDecimalInteger`).
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match digits.as_bytes() {
        [b'1'..=b'9', ..] => text.parse().ok(),
        b"0" if text == "0" => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn toleration(key: &str, operator: &str, value: &str, effect: &str) -> Toleration {
        Toleration {
            key: some(key),
            operator: some(operator),
            value: some(value),
            effect: some(effect),
            toleration_seconds: None,
        }
    }

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint {
            key: key.to_owned(),
            value: some(value),
            effect: effect.to_owned(),
            time_added: None,
        }
    }

    #[test]
    fn one_toleration_against_one_taint() {
        for (key, operator, value, effect, expected) in [
            ("k", "", "5", "", true),
            ("k", "Equal", "5", "NoSchedule", true),
            ("k", "Equal", "6", "", false),
            ("k", "Equal", "5", "NoExecute", false),
            ("k", "Exists", "", "", true),
            ("", "Exists", "", "", true),
            ("x", "Exists", "", "", false),
            ("k", "Gt", "4", "", true),
            ("k", "Gt", "5", "", false),
            ("k", "Lt", "6", "", true),
            ("k", "Lt", "5", "", false),
            ("k", "Lt", "06", "", false),
            ("k", "Lt", "+6", "", false),
            ("k", "Lt", "six", "", false),
            ("k", "Near", "5", "", false),
        ] {
            let toleration = toleration(key, operator, value, effect);
            assert_eq!(
                tolerates_one(&toleration, &taint("k", "5", "NoSchedule")),
                expected,
                "{toleration:?}"
            );
        }
    }

    #[test]
    fn the_first_untolerated_taint_of_the_wanted_effects() {
        let taints = [
            taint("a", "", "PreferNoSchedule"),
            taint("b", "", "NoSchedule"),
            taint("c", "", "NoExecute"),
        ];
        let found = |tolerations: &[Toleration]| {
            find_untolerated(&taints, tolerations, keeps_away).map(|taint| taint.key.clone())
        };
        assert_eq!(found(&[]), some("b"));
        assert_eq!(found(&[toleration("b", "Exists", "", "")]), some("c"));
        assert_eq!(found(&[toleration("", "Exists", "", "")]), None);
    }
}
