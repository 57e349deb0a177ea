//! Group versions change places in a stream of JSON: only strings that are nothing else.

use bytes::Bytes;
use memchr::{memmem, memrchr};

/// What changes places. Of autoscaling only v2: its v1 holds `Scale`, which is the same for all groups.
pub(super) const GROUPS: [[&str; 2]; 3] = [
    ["apps/v1", "apps.corten.dev/v1"],
    ["batch/v1", "batch.corten.dev/v1"],
    ["autoscaling/v2", "autoscaling.corten.dev/v2"],
];
/// The longest of them with its quotes.
const LONGEST: usize = "\"autoscaling.corten.dev/v2\"".len();

/// A stream of JSON with the groups in it exchanged. What is at the end of a chunk and may be the beginning of a group is
/// held back until the next: JSON does not end within a string, so nothing is held back at its end.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    held: Vec<u8>,
    /// The byte before those that are held.
    before: u8,
}

impl Exchange {
    /// What can be said after this chunk. The chunk itself, not a copy, where there is nothing to exchange.
    pub(super) fn next(&mut self, chunk: Bytes) -> Bytes {
        let chunk = match self.held.is_empty() {
            true => chunk,
            false => {
                let mut whole = std::mem::take(&mut self.held);
                whole.extend_from_slice(&chunk);
                Bytes::from(whole)
            }
        };
        let before = self.before;
        let keep = chunk.len() - unfinished(&chunk, before);
        self.held = chunk[keep..].to_vec();
        let chunk = chunk.slice(..keep);
        if let Some(last) = chunk.last() {
            self.before = *last;
        }
        exchanged(chunk, before)
    }
}

/// `text`, which follows on the byte `before`, with all whole strings that are a group version exchanged.
fn exchanged(text: Bytes, before: u8) -> Bytes {
    let mut made: Option<Vec<u8>> = None;
    let mut copied = 0;
    // All have this in them, and it is rare.
    for slash in memmem::find_iter(&text, b"/v") {
        let Some((start, end, other)) = string_at(&text, slash) else {
            continue;
        };
        if preceding(&text, start, before) == b'\\' {
            continue;
        }
        let made = made.get_or_insert_with(|| Vec::with_capacity(text.len() + LONGEST));
        made.extend_from_slice(&text[copied..=start]);
        made.extend_from_slice(other.as_bytes());
        copied = end;
    }
    match made {
        None => text,
        Some(mut made) => {
            made.extend_from_slice(&text[copied..]);
            Bytes::from(made)
        }
    }
}

/// The string with this `/v` in it, if it is a group version: where its opening quote is and where its closing one, and
/// what it changes places with.
fn string_at(text: &[u8], slash: usize) -> Option<(usize, usize, &'static str)> {
    // "/v2" and the quote.
    let end = slash + 3;
    if text.get(end) != Some(&b'"') {
        return None;
    }
    let start = memrchr(b'"', &text[end.saturating_sub(LONGEST)..end])?;
    let start = end.saturating_sub(LONGEST) + start;
    let name = &text[start + 1..end];
    let mut other = GROUPS.iter().filter_map(|[a, b]| match name {
        name if name == a.as_bytes() => Some(*b),
        name if name == b.as_bytes() => Some(*a),
        _ => None,
    });
    Some((start, end, other.next()?))
}

/// How many bytes at the end may be the beginning of a group version that the next chunk goes on with.
fn unfinished(text: &[u8], before: u8) -> usize {
    let whole = text.len().checked_sub("/v1\"".len());
    if whole.is_some_and(|slash| string_at(text, slash).is_some()) {
        return 0;
    }
    let tail = text.len().saturating_sub(LONGEST);
    let Some(quote) = memrchr(b'"', &text[tail..]) else {
        return 0;
    };
    let (start, begun) = (tail + quote, &text[tail + quote + 1..]);
    let may_be = |name: &&str| name.len() >= begun.len() && name.as_bytes().starts_with(begun);
    match GROUPS.as_flattened().iter().any(may_be) && preceding(text, start, before) != b'\\' {
        true => text.len() - start,
        false => 0,
    }
}

/// A quote within a string has a backslash before it.
fn preceding(text: &[u8], at: usize, before: u8) -> u8 {
    at.checked_sub(1).map_or(before, |at| text[at])
}
