//! `test`, `[` and `[[`.

use super::NotUnderstood;
use super::files::{Disk, Entry, absolute};
use crate::image;

/// Whether a condition holds. `double` says that it is one of `[[`.
///
/// # Errors
/// An operator that is none of ours. A number that is none makes the condition fail as a shell's does: `None`.
pub fn holds(
    words: &[String],
    double: bool,
    at: &str,
    disk: &mut Disk<'_>,
) -> Result<Option<bool>, NotUnderstood> {
    let mut test = Test {
        words,
        next: 0,
        double,
        at,
        disk,
        sound: true,
    };
    if words.is_empty() {
        return Ok(Some(false));
    }
    let result = test.any()?;
    if test.next < words.len() {
        return Err(NotUnderstood(words[test.next].clone()));
    }
    Ok(test.sound.then_some(result))
}

struct Test<'a, 'b> {
    words: &'a [String],
    next: usize,
    double: bool,
    at: &'a str,
    disk: &'a mut Disk<'b>,
    sound: bool,
}

impl Test<'_, '_> {
    fn peek(&self, ahead: usize) -> Option<&str> {
        self.words.get(self.next + ahead).map(String::as_str)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek(0) == Some(word);
        self.next += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<bool, NotUnderstood> {
        let mut result = self.all()?;
        while self.take(if self.double { "||" } else { "-o" }) {
            let right = self.all()?;
            result |= right;
        }
        Ok(result)
    }

    fn all(&mut self) -> Result<bool, NotUnderstood> {
        let mut result = self.not()?;
        while self.take(if self.double { "&&" } else { "-a" }) {
            let right = self.not()?;
            result &= right;
        }
        Ok(result)
    }

    fn not(&mut self) -> Result<bool, NotUnderstood> {
        // A lone `!` is a text as any other.
        if self.peek(0) == Some("!") && self.peek(1).is_some() && !self.is_comparison(1) {
            self.next += 1;
            return Ok(!self.not()?);
        }
        if self.peek(0) == Some("(") && self.peek(1).is_some() && !self.is_comparison(1) {
            self.next += 1;
            let inner = self.any()?;
            if !self.take(")") {
                return Err(NotUnderstood("(".to_owned()));
            }
            return Ok(inner);
        }
        self.one()
    }

    /// The word `ahead` compares what is on both of its sides.
    fn is_comparison(&self, ahead: usize) -> bool {
        const SIGNS: [&str; 16] = [
            "=", "==", "!=", "=~", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt",
            "-ot", "-ef", "-in",
        ];
        self.peek(ahead).is_some_and(|word| SIGNS.contains(&word)) && self.peek(ahead + 1).is_some()
    }

    fn one(&mut self) -> Result<bool, NotUnderstood> {
        let Some(first) = self.peek(0).map(str::to_owned) else {
            return Err(NotUnderstood("[".to_owned()));
        };
        if self.is_comparison(1) {
            let sign = self.peek(1).unwrap_or_default().to_owned();
            let right = self.peek(2).unwrap_or_default().to_owned();
            self.next += 3;
            return self.compare(&first, &sign, &right);
        }
        let Some(operand) = self.peek(1).map(str::to_owned) else {
            self.next += 1;
            return Ok(!first.is_empty());
        };
        let is_flag = first.len() == 2 && first.starts_with('-');
        let joins = matches!(operand.as_str(), "&&" | "||" | "-a" | "-o" | ")");
        if !is_flag || joins {
            self.next += 1;
            return Ok(!first.is_empty());
        }
        self.next += 2;
        match first.as_str() {
            "-z" => return Ok(operand.is_empty()),
            "-n" => return Ok(!operand.is_empty()),
            "-t" => return Ok(false),
            _ => {}
        }
        let path = absolute(self.at, &operand);
        let entry = self.disk.entry(&path).cloned();
        if self.disk.is_unknown(&path) && entry.is_none() {
            return Err(NotUnderstood(operand));
        }
        let empty = operand.is_empty();
        let device = Disk::is_device(&path);
        Ok(!empty
            && match first.as_str() {
                "-e" | "-r" | "-w" => entry.is_some() || device,
                "-x" | "-d" => entry == Some(Entry::Directory),
                "-f" => matches!(entry, Some(Entry::File(_))),
                "-s" => match entry {
                    Some(Entry::File(text)) => !text.is_empty(),
                    other => other.is_some(),
                },
                "-c" => device,
                "-L" | "-h" | "-S" | "-p" | "-b" | "-u" | "-g" | "-k" => false,
                _ => return Err(NotUnderstood(first)),
            })
    }

    fn compare(&mut self, left: &str, sign: &str, right: &str) -> Result<bool, NotUnderstood> {
        let mut numbers = || {
            let pair = (left.trim().parse::<i64>(), right.trim().parse::<i64>());
            match pair {
                (Ok(left), Ok(right)) => (left, right),
                (left, right) if self.double => (left.unwrap_or(0), right.unwrap_or(0)),
                _ => {
                    self.sound = false;
                    (0, 0)
                }
            }
        };
        Ok(match sign {
            "=" | "==" if self.double => image::glob(right, left),
            "!=" if self.double => !image::glob(right, left),
            "=" | "==" => left == right,
            "!=" => left != right,
            "<" => left < right,
            ">" => left > right,
            "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" => {
                let (left, right) = numbers();
                match sign {
                    "-eq" => left == right,
                    "-ne" => left != right,
                    "-lt" => left < right,
                    "-le" => left <= right,
                    "-gt" => left > right,
                    _ => left >= right,
                }
            }
            _ => return Err(NotUnderstood(sign.to_owned())),
        })
    }
}
