//! A list as it comes in, one object after the other: neither its text nor its objects are ever there as a whole.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

/// Finds the elements of the field `items` in the text of a list. It reads brackets and strings; what is in an element is
/// somebody else's to read.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// How much of the buffer has been looked through.
    looked: usize,
    /// How many brackets are open.
    depth: usize,
    /// Within a string, and behind a backslash in it.
    string: bool,
    escaped: bool,
    at: At,
    /// The text around the elements.
    rest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the elements, or behind them.
    #[default]
    Around,
    /// Between two of them.
    Between,
    /// In one.
    Within,
}

/// The depth of the elements: in a list in an object.
const ELEMENTS: usize = 2;

impl Items {
    /// The next element, if the buffer has the end of it. Takes it out.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Option<Bytes> {
        while self.looked < buffer.len() {
            if self.string {
                self.skip_string(buffer);
                continue;
            }
            let byte = buffer[self.looked];
            self.looked += 1;
            match byte {
                b'"' => self.string = true,
                b'{' | b'[' => {
                    if self.at == At::Between {
                        // The comma before it is nobody's.
                        buffer.advance(self.looked - 1);
                        (self.at, self.looked) = (At::Within, 1);
                    } else if byte == b'['
                        && self.depth + 1 == ELEMENTS
                        && is_named_items(&buffer[..self.looked - 1])
                    {
                        self.rest.extend_from_slice(&buffer[..self.looked]);
                        buffer.advance(self.looked);
                        (self.at, self.looked) = (At::Between, 0);
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.at == At::Within && self.depth == ELEMENTS {
                        let element = buffer.split_to(self.looked).freeze();
                        (self.at, self.looked) = (At::Between, 0);
                        return Some(element);
                    }
                    if self.at == At::Between && self.depth < ELEMENTS {
                        buffer.advance(self.looked - 1);
                        (self.at, self.looked) = (At::Around, 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Passes over a string, as far as it is there.
    fn skip_string(&mut self, buffer: &[u8]) {
        if self.escaped {
            (self.escaped, self.looked) = (false, self.looked + 1);
            return;
        }
        let Some(found) = memchr2(b'"', b'\\', &buffer[self.looked..]) else {
            self.looked = buffer.len();
            return;
        };
        match buffer[self.looked + found] {
            b'"' => self.string = false,
            _ => self.escaped = true,
        }
        self.looked += found + 1;
    }

    /// The list without its elements, when the whole of it has gone through the buffer.
    pub(super) fn rest(mut self, buffer: &[u8]) -> Vec<u8> {
        self.rest.extend_from_slice(buffer);
        self.rest
    }
}

/// Whether what follows is the value of a field `items`.
fn is_named_items(before: &[u8]) -> bool {
    let named = before.trim_ascii_end().strip_suffix(b":");
    named.is_some_and(|before| before.trim_ascii_end().ends_with(b"\"items\""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Items;
    use bytes::BytesMut;

    /// The elements of a text that comes in pieces of this size, and the rest.
    fn split(text: &str, size: usize) -> (Vec<String>, String) {
        let (mut items, mut buffer, mut found) = (Items::default(), BytesMut::new(), Vec::new());
        let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for piece in text.as_bytes().chunks(size) {
            buffer.extend_from_slice(piece);
            while let Some(item) = items.next(&mut buffer) {
                found.push(string(&item));
            }
        }
        (found, string(&items.rest(&buffer)))
    }

    #[test]
    fn elements_are_found_wherever_the_text_is_broken() {
        let tricky = r#"{"a":"]},{\"items\":[","b":{"items":[{"c":[]}]},"d":"\\"}"#;
        for (text, items, rest) in [
            (
                format!(
                    r#"{{"metadata":{{"resourceVersion":"7"}},"items":[{tricky}, {{}},{tricky}]}}"#
                ),
                vec![tricky, "{}", tricky],
                r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#,
            ),
            // As a server writes what it does not know the type of.
            (
                format!(
                    "{{\"apiVersion\":\"v1\",\"items\" : [\n{tricky}\n],\"metadata\":{{\"items\":[{{}}]}}}}\n"
                ),
                vec![tricky],
                "{\"apiVersion\":\"v1\",\"items\" : [],\"metadata\":{\"items\":[{}]}}\n",
            ),
            (
                r#"{"items":[],"metadata":{}}"#.to_owned(),
                vec![],
                r#"{"items":[],"metadata":{}}"#,
            ),
            (
                r#"{"metadata":{},"items":null}"#.to_owned(),
                vec![],
                r#"{"metadata":{},"items":null}"#,
            ),
            // Broken off: what is there is given, and the rest is no JSON.
            (
                format!(r#"{{"items":[{tricky},{{"e":"#),
                vec![tricky],
                r#"{"items":[{"e":"#,
            ),
        ] {
            for size in [1, 2, 3, 7, 64, 4096] {
                let (found, around) = split(&text, size);
                assert_eq!(found, items, "{text} by {size}");
                assert_eq!(around, rest, "{text} by {size}");
            }
        }
    }
}
