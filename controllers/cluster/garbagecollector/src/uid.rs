//! UIDs in sixteen bytes: there is one for each object of the cluster, and one for each reference to an owner.

use std::fmt;

/// The UID of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(u128);

impl Uid {
    /// The UID with this text. Whatever is no UUID as the API server writes them (references may carry any text) is
    /// hashed.
    pub fn of(text: &str) -> Self {
        Self(uuid(text).unwrap_or_else(|| fnv(text)))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        let (head, tail) = (&hex[..8], &hex[20..]);
        let (low, version, variant) = (&hex[8..12], &hex[12..16], &hex[16..20]);
        write!(f, "{head}-{low}-{version}-{variant}-{tail}")
    }
}

fn uuid(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match (at, byte) {
            (8 | 13 | 18 | 23, b'-') => {}
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => number = number << 4 | u128::from(byte - b'0'),
            (_, b'a'..=b'f') => number = number << 4 | u128::from(byte - b'a' + 10),
            _ => return None,
        }
    }
    Some(number)
}

/// FNV-1a of 128 bits.
fn fnv(text: &str) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let step = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    text.bytes().fold(BASIS, step)
}

#[cfg(test)]
mod tests {
    use super::Uid;

    #[test]
    fn a_uuid_reads_and_writes_the_same() {
        let text = "0a4b9c7e-10f3-4e55-8d21-00000000f00d";
        assert_eq!(Uid::of(text).to_string(), text);
    }

    #[test]
    fn any_other_text_is_a_uid_of_its_own() {
        let upper = "0A4B9C7E-10f3-4e55-8d21-00000000f00d";
        let texts = ["", "1", "2", "uid", upper, &upper.to_lowercase()];
        for (n, a) in texts.iter().enumerate() {
            for b in &texts[n + 1..] {
                assert_ne!(Uid::of(a), Uid::of(b), "{a} {b}");
            }
        }
    }
}
