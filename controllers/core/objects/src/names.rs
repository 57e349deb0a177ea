//! Names of new objects. Clients choose them (instead of `generateName`), so that a create that may have been
//! committed can be settled by a GET.
//!
//! Upstream: `apiserver/pkg/storage/names/generate.go`, `apimachinery/pkg/util/rand/rand.go`.

use crate::fnv::fnv64a;
use std::collections::BTreeSet;

/// What generated names are made of: no vowels (no words by accident), no `0 1 3` (no confusion with letters).
pub(crate) const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

const SUFFIX_LENGTH: u32 = 5;
/// 63, the longest label value (a pod's name becomes one), less the suffix.
const BASE_LENGTH: usize = 58;

/// A seed made of texts, such as an owner's UID and what the name is for.
pub fn seed(parts: &[&str]) -> u64 {
    // The byte after each part keeps ("ab", "c") and ("a", "bc") apart; it cannot stand in UTF-8.
    fnv64a(parts.iter().flat_map(|part| part.bytes().chain([0xff])))
}

/// Five characters of the alphabet for the `n`-th name of a seed.
///
/// Numbers under one seed give different suffixes until all 27⁵ (14 million) are used up: a plan never collides with
/// itself, only with what others named.
pub fn suffix(seed: u64, n: u64) -> String {
    let count = (ALPHABET.len() as u64).pow(SUFFIX_LENGTH);
    // n ↦ a·n + b is one-to-one modulo 27⁵ as long as 3 does not divide a.
    let factor = match mix(seed) % count {
        factor if factor % 3 == 0 => factor + 1,
        factor => factor,
    };
    let mut number = ((n % count) * factor + mix(!seed) % count) % count;
    let mut text = String::with_capacity(SUFFIX_LENGTH as usize);
    for _ in 0..SUFFIX_LENGTH {
        text.push(char::from(
            ALPHABET[(number % ALPHABET.len() as u64) as usize],
        ));
        number /= ALPHABET.len() as u64;
    }
    text
}

/// `base` (which ends in its own dash, like a `generateName`), cut to 58 bytes, and the `n`-th suffix of the seed:
/// at most 63 bytes.
pub fn generate(base: &str, seed: u64, n: u64) -> String {
    let mut name = base[..base.floor_char_boundary(BASE_LENGTH)].to_owned();
    name.push_str(&suffix(seed, n));
    name
}

/// The names of [`generate`] one after the other, without those that are `taken`.
pub fn fresh(base: &str, seed: u64, taken: &BTreeSet<&str>) -> impl Iterator<Item = String> {
    let names = (0..).map(move |n| generate(base, seed, n));
    names.filter(|name| !taken.contains(name.as_str()))
}

/// A number as text in the alphabet, at most ten characters (`rand.SafeEncodeString`): each decimal digit, as the code
/// that it has in ASCII, picks a letter.
pub(crate) fn safe_encode(number: u32) -> String {
    number
        .to_string()
        .bytes()
        .map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]))
        .collect()
}

/// splitmix64's last step: neighbouring seeds give unlike numbers.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn suffixes_are_stable_and_safe() {
        assert_eq!(suffix(1, 2), suffix(1, 2));
        assert_ne!(suffix(1, 2), suffix(2, 2));
        assert!((0..1000).all(|n| {
            let suffix = suffix(n, n);
            suffix.len() == 5 && suffix.bytes().all(|b| ALPHABET.contains(&b))
        }));
    }

    #[test]
    fn one_seed_never_repeats_itself() {
        for seed in [0, 1, u64::MAX, 0xdead_beef] {
            let all: BTreeSet<_> = (0..5000).map(|n| suffix(seed, n)).collect();
            assert_eq!(all.len(), 5000, "{seed}");
        }
    }

    #[test]
    fn seeds_differ_by_part() {
        assert_ne!(seed(&["ab", "c"]), seed(&["a", "bc"]));
        assert_eq!(seed(&["ab", "c"]), seed(&["ab", "c"]));
    }

    #[test]
    fn long_bases_are_cut() {
        assert!(generate("web-", 1, 1).starts_with("web-"));
        assert_eq!(generate("web-", 1, 1).len(), 9);
        assert_eq!(generate(&"x".repeat(253), 1, 1).len(), 63);
        assert!(generate(&"é".repeat(99), 1, 1).len() <= 63);
    }
}
