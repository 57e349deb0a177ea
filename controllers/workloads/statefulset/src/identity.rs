//! What makes a pod the one of its ordinal: its name, and the names of its claims.
//!
//! Upstream: `getParentNameAndOrdinal`, `getPersistentVolumeClaimName` in
//! `pkg/controller/statefulset/stateful_set_utils.go`.

use k8s_openapi::api::core::v1::Pod;
use objects::meta;

/// The name of the pod of this ordinal.
pub(crate) fn pod_name(set: &str, ordinal: i64) -> String {
    format!("{set}-{ordinal}")
}

/// The name of the claim that the pod of this ordinal has from a template.
pub(crate) fn claim_name(template: &str, set: &str, ordinal: i64) -> String {
    format!("{template}-{set}-{ordinal}")
}

/// The ordinal of a pod of the set. `None` for other names, and for those that no set gives (`web-01`): such a pod
/// would stand in the way of the real one for ever.
pub(crate) fn ordinal(set: &str, pod: &Pod) -> Option<i64> {
    number(meta::name(&pod.metadata).strip_prefix(set)?)
}

/// The ordinal of the pod that this claim is for, if it is one of the set's.
pub(crate) fn ordinal_of_claim(template: &str, set: &str, claim: &str) -> Option<i64> {
    number(
        claim
            .strip_prefix(template)?
            .strip_prefix('-')?
            .strip_prefix(set)?,
    )
}

/// `-7` without its dash, as a number that is written as numbers are.
fn number(end: &str) -> Option<i64> {
    let digits = end.strip_prefix('-')?;
    let is_canonical = digits == "0" || !digits.starts_with('0');
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse::<i32>().ok()?;
    (is_number && is_canonical).then_some(i64::from(number))
}

#[cfg(test)]
mod tests {
    use super::{claim_name, number, ordinal_of_claim, pod_name};

    #[test]
    fn names_say_which_ordinal_it_is() {
        for (end, expected) in [
            ("-0", Some(0)),
            ("-12", Some(12)),
            ("-2147483647", Some(2_147_483_647)),
            ("-2147483648", None), // upstream reads 32 bits
            ("-01", None),
            ("-+1", None),
            ("--1", None),
            ("-", None),
            ("", None),
            ("1", None),
            ("-db-1", None), // of the set web-db
        ] {
            assert_eq!(number(end), expected, "{end}");
        }
        assert_eq!(pod_name("web", 3), "web-3");
        assert_eq!(claim_name("data", "web", 3), "data-web-3");
        assert_eq!(ordinal_of_claim("data", "web", "data-web-3"), Some(3));
        assert_eq!(ordinal_of_claim("data", "web", "data-web-db-3"), None);
    }
}
