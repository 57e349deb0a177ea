//! What words become: the values of variables, the output of commands, sums, fields, paths.

use super::files::{Disk, absolute};
use super::machine::{Machine, Value};
use super::{Change, NotUnderstood, Piece, Word, arith};
use crate::image;

/// A part of a word after its expansion.
struct Part {
    text: String,
    /// It is one word, whatever is in it.
    whole: bool,
    /// Another word begins after it: `"$@"`.
    ends: bool,
    /// It has an unquoted `*`.
    pattern: bool,
}

impl Part {
    fn new(text: String, whole: bool) -> Self {
        Self {
            text,
            whole,
            ends: false,
            pattern: false,
        }
    }
}

impl Machine {
    /// All words that `words` become.
    pub(super) fn expand(
        &mut self,
        words: &[Word],
        disk: &mut Disk<'_>,
    ) -> Result<Vec<String>, NotUnderstood> {
        let mut all = Vec::new();
        for word in words {
            let parts = self.parts(word, disk)?;
            for (text, pattern) in fields(parts) {
                let paths = if pattern {
                    self.paths(&text, disk)
                } else {
                    Vec::new()
                };
                if paths.is_empty() {
                    all.push(text);
                } else {
                    all.extend(paths);
                }
            }
        }
        Ok(all)
    }

    /// A word as one text: neither fields nor paths.
    pub(super) fn text(
        &mut self,
        word: &Word,
        disk: &mut Disk<'_>,
    ) -> Result<String, NotUnderstood> {
        let parts = self.parts(word, disk)?;
        let mut text = String::new();
        for (n, part) in parts.iter().enumerate() {
            text.push_str(&part.text);
            if part.ends && n + 1 < parts.len() {
                text.push(' ');
            }
        }
        Ok(text)
    }

    fn paths(&self, pattern: &str, disk: &mut Disk<'_>) -> Vec<String> {
        let path = absolute(&self.directory, pattern);
        let relative = !pattern.starts_with('/');
        let prefix = format!("{}/", self.directory.trim_end_matches('/'));
        let shown = |path: String| match path.strip_prefix(&prefix) {
            Some(rest) if relative => rest.to_owned(),
            _ => path,
        };
        disk.glob(&path).into_iter().map(shown).collect()
    }

    fn parts(&mut self, word: &Word, disk: &mut Disk<'_>) -> Result<Vec<Part>, NotUnderstood> {
        let mut parts = Vec::new();
        for piece in word {
            match piece {
                Piece::Text { text, quoted } => {
                    // Unquoted text of a script is one word already; only what is expanded is split.
                    let pattern = !quoted && text.contains('*');
                    parts.push(Part {
                        pattern,
                        ..Part::new(text.clone(), true)
                    });
                }
                Piece::Variable {
                    name,
                    change: Change::None,
                    quoted: true,
                } if name == "@" => {
                    let arguments = self.arguments().to_vec();
                    parts.extend(arguments.into_iter().map(|text| Part {
                        ends: true,
                        ..Part::new(text, true)
                    }));
                }
                Piece::Variable {
                    name,
                    change,
                    quoted,
                } => {
                    let text = self.variable(name, change, disk)?;
                    parts.push(Part::new(text, *quoted));
                }
                Piece::Command { program, quoted } => {
                    let output = self.output_of(program.clone(), disk)?;
                    parts.push(Part::new(output.trim_end_matches('\n').to_owned(), *quoted));
                }
                Piece::Arithmetic(sum) => {
                    let text = self.text(sum, disk)?;
                    let value =
                        arith::evaluate(&text, &|name| self.value(name).unwrap_or_default())?;
                    parts.push(Part::new(value.to_string(), true));
                }
            }
        }
        Ok(parts)
    }

    fn variable(
        &mut self,
        name: &str,
        change: &Change,
        disk: &mut Disk<'_>,
    ) -> Result<String, NotUnderstood> {
        if name == "RANDOM" {
            return Ok((self.draw() % 32768).to_string());
        }
        if matches!(self.variables.get(name), Some(Value { text: None, .. })) {
            return Err(NotUnderstood(format!("${name}")));
        }
        let value = self.value(name);
        if value.is_none() && self.variables.contains_key("*") {
            // It may be one of those that only a real node has from `envFrom`.
            return Err(NotUnderstood(format!("${name}")));
        }
        match change {
            Change::None if value.is_none() && self.strict && name != "@" && name != "*" => {
                Err(NotUnderstood(format!("${name} with set -u")))
            }
            Change::None => Ok(value.unwrap_or_default()),
            Change::Length => Ok(value.unwrap_or_default().chars().count().to_string()),
            Change::Else { kind, colon, word } => {
                let set = value.filter(|value| !(*colon && value.is_empty()));
                match (kind, set) {
                    ('+', None) => Ok(String::new()),
                    ('+', Some(_)) | ('-', None) => self.text(word, disk),
                    ('=', None) => {
                        let text = self.text(word, disk)?;
                        self.assign(name, text.clone());
                        Ok(text)
                    }
                    (_, None) => Err(NotUnderstood(format!("${{{name}?}}"))),
                    (_, Some(value)) => Ok(value),
                }
            }
            Change::Trim {
                end,
                longest,
                pattern,
            } => {
                let pattern = self.text(pattern, disk)?;
                Ok(trim(&value.unwrap_or_default(), &pattern, *end, *longest).to_owned())
            }
        }
    }
}

/// `text` without the shortest or longest beginning, or end, that fits the pattern.
fn trim<'a>(text: &'a str, pattern: &str, end: bool, longest: bool) -> &'a str {
    let mut cuts: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    // From the shortest to the longest piece.
    if end != longest {
        cuts.reverse();
    }
    for cut in cuts {
        let (head, tail) = text.split_at(cut);
        let (piece, rest) = if end { (tail, head) } else { (head, tail) };
        if image::glob(pattern, piece) {
            return rest;
        }
    }
    text
}

/// Splits what is not whole at blanks; each word with whether it is a pattern of paths.
fn fields(parts: Vec<Part>) -> Vec<(String, bool)> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut pattern = false;
    for part in parts {
        if part.whole {
            word.get_or_insert_default().push_str(&part.text);
            pattern |= part.pattern;
            if part.ends {
                words.extend(word.take().map(|word| (word, false)));
            }
            continue;
        }
        let blank = |c: char| matches!(c, ' ' | '\t' | '\n');
        if part.text.starts_with(blank) {
            words.extend(word.take().map(|word| (word, pattern)));
        }
        let mut pieces = part
            .text
            .split(blank)
            .filter(|piece| !piece.is_empty())
            .peekable();
        while let Some(piece) = pieces.next() {
            word.get_or_insert_default().push_str(piece);
            if pieces.peek().is_some() || part.text.ends_with(blank) {
                words.extend(word.take().map(|word| (word, pattern)));
            }
        }
    }
    words.extend(word.map(|word| (word, pattern)));
    words
}
