//! Archives in the format ustar, without times and owners: the same contents are the same bytes.

/// What is in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where, without a slash before it; at most 100 bytes.
    pub path: String,
    /// What is there.
    pub what: What,
}

/// A file or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file with these permissions.
    File {
        /// `0o755` for programs.
        mode: u32,
        /// What is in it.
        bytes: Vec<u8>,
    },
    /// A symbolic link to this path.
    Link(String),
}

const BLOCK: usize = 512;

/// The archive.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Vec::new();
    for Entry { path, what } in entries {
        let (mode, bytes, link): (u32, &[u8], &str) = match what {
            What::File { mode, bytes } => (*mode, bytes, ""),
            What::Link(to) => (0o777, &[], to),
        };
        archive.extend(header(path, mode, bytes.len(), link));
        archive.extend(bytes);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

fn header(path: &str, mode: u32, size: usize, link: &str) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &path.as_bytes()[..path.len().min(100)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    // The sum is taken with blanks in its own place.
    put(148, b"        ");
    put(156, if link.is_empty() { b"0" } else { b"2" });
    put(157, &link.as_bytes()[..link.len().min(100)]);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}
