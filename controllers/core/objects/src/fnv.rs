//! FNV, the hash behind upstream's object names (`hash/fnv` in Go); short, and the same on every machine.

/// FNV-1 with 32 bits, as upstream uses it for what ControllerRevisions store.
pub(crate) fn fnv32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| {
        u32::wrapping_mul(hash, 0x0100_0193) ^ u32::from(byte)
    })
}

/// FNV-1a with 32 bits, as used for template hashes.
pub(crate) fn fnv32a(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// FNV-1a with 64 bits, as used for the seeds of names.
pub(crate) fn fnv64a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::{fnv32, fnv32a, fnv64a};

    #[test]
    fn published_vectors() {
        assert_eq!(fnv32(*b""), 0x811c_9dc5);
        assert_eq!(fnv32(*b"a"), 0x050c_5d7e);
        assert_eq!(fnv32(*b"foobar"), 0x31f0_b262);
        assert_eq!(fnv32a(*b""), 0x811c_9dc5);
        assert_eq!(fnv32a(*b"a"), 0xe40c_292c);
        assert_eq!(fnv32a(*b"foobar"), 0xbf9c_f968);
        assert_eq!(fnv64a(*b"foobar"), 0x8594_4171_f739_67e8);
    }
}
