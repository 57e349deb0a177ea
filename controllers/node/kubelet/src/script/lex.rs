//! From text to words and operators.

use super::{Change, NotUnderstood, Piece, Program, Word};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(Word),
    /// `;` `;;` `&` `&&` `|` `||` `(` `)` and a new line.
    Operator(&'static str),
    /// `2>`: what comes next is a word.
    Redirect {
        from: u8,
        how: &'static str,
    },
}

/// From long to short, so that the first that fits is right.
const OPERATORS: [&str; 10] = ["&&", "||", ";;", ";", "&", "|", "(", ")", "\n", "\r"];
const REDIRECTS: [&str; 9] = ["<<", "<>", "<&", ">>", ">&", ">|", "&>", "<", ">"];

/// The unquoted text of a word that is nothing else.
pub(super) fn plain(word: &Word) -> Option<&str> {
    match word.as_slice() {
        [
            Piece::Text {
                text,
                quoted: false,
            },
        ] => Some(text),
        _ => None,
    }
}

pub(super) fn tokens(text: &str, bash: bool) -> Result<Vec<Token>, NotUnderstood> {
    let mut lexer = Lexer { rest: text, bash };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.token()? {
        match &token {
            Token::Word(word) if bash && let Some(numbers) = numbers(word) => {
                tokens.extend(numbers.map(|n| {
                    let text = n.to_string();
                    Token::Word(vec![Piece::Text {
                        text,
                        quoted: false,
                    }])
                }));
            }
            _ => tokens.push(token),
        }
    }
    Ok(tokens)
}

/// `{1..5}`, which only bash knows.
fn numbers(word: &Word) -> Option<std::ops::RangeInclusive<u16>> {
    let inner = plain(word)?.strip_prefix('{')?.strip_suffix('}')?;
    let (first, last) = inner.split_once("..")?;
    Some(first.parse().ok()?..=last.parse().ok()?)
}

struct Lexer<'a> {
    rest: &'a str,
    bash: bool,
}

impl Lexer<'_> {
    fn token(&mut self) -> Result<Option<Token>, NotUnderstood> {
        loop {
            let trimmed = self.rest.trim_start_matches([' ', '\t']);
            let trimmed = trimmed.strip_prefix("\\\n").unwrap_or(trimmed);
            if trimmed.len() == self.rest.len() {
                break;
            }
            self.rest = trimmed;
        }
        if self.rest.starts_with('#') {
            self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let digit = self.rest.as_bytes()[0];
        let after = self.rest.get(1..).unwrap_or_default();
        if matches!(digit, b'0'..=b'2')
            && after.starts_with(['<', '>'])
            && let Some(how) = one_of(&REDIRECTS, after)
        {
            self.rest = &after[how.len()..];
            return Ok(Some(Token::Redirect {
                from: digit - b'0',
                how,
            }));
        }
        if let Some(how) = one_of(&REDIRECTS, self.rest) {
            self.rest = &self.rest[how.len()..];
            if how.starts_with("<<") {
                return Err(NotUnderstood("<<".to_owned()));
            }
            let from = u8::from(!how.starts_with('<'));
            return Ok(Some(Token::Redirect { from, how }));
        }
        if let Some(operator) = one_of(&OPERATORS, self.rest) {
            self.rest = &self.rest[operator.len()..];
            return Ok(Some(Token::Operator(if operator == "\r" {
                "\n"
            } else {
                operator
            })));
        }
        self.word(&[]).map(|word| Some(Token::Word(word)))
    }

    /// Reads a word, up to a blank or operator, or up to one of `ends` in what `${…}` has in it.
    fn word(&mut self, ends: &[char]) -> Result<Word, NotUnderstood> {
        let mut word = Word::new();
        while let Some(next) = self.rest.chars().next() {
            match next {
                _ if ends.contains(&next) => break,
                ' ' | '\t' | '\n' | '\r' | ';' | '&' | '|' | '(' | ')' | '<' | '>'
                    if ends.is_empty() =>
                {
                    break;
                }
                '\'' => {
                    let inner = &self.rest[1..];
                    let end = inner.find('\'').ok_or_else(|| open("'"))?;
                    text(&mut word, &inner[..end], true);
                    self.rest = &inner[end + 1..];
                }
                '"' => {
                    self.rest = &self.rest[1..];
                    self.quoted(&mut word)?;
                }
                '\\' => {
                    let escaped = self.rest[1..].chars().next();
                    let length = escaped.map_or(0, char::len_utf8);
                    if escaped != Some('\n') {
                        text(&mut word, &self.rest[1..=length], true);
                    }
                    self.rest = &self.rest[1 + length..];
                }
                '$' | '`' => self.expansion(&mut word, false)?,
                _ => {
                    let length = next.len_utf8();
                    text(&mut word, &self.rest[..length], false);
                    self.rest = &self.rest[length..];
                }
            }
        }
        Ok(word)
    }

    /// What is between double quotes, of which the first has been read.
    fn quoted(&mut self, word: &mut Word) -> Result<(), NotUnderstood> {
        // An empty text keeps a word that is nothing but quotes.
        text(word, "", true);
        loop {
            let next = self.rest.chars().next().ok_or_else(|| open("\""))?;
            match next {
                '"' => {
                    self.rest = &self.rest[1..];
                    return Ok(());
                }
                '$' | '`' => self.expansion(word, true)?,
                '\\' if self.rest[1..].starts_with(['$', '`', '"', '\\', '\n']) => {
                    if !self.rest[1..].starts_with('\n') {
                        text(word, &self.rest[1..2], true);
                    }
                    self.rest = &self.rest[2..];
                }
                _ => {
                    text(word, &self.rest[..next.len_utf8()], true);
                    self.rest = &self.rest[next.len_utf8()..];
                }
            }
        }
    }

    /// What begins with `$` or a backtick.
    fn expansion(&mut self, word: &mut Word, quoted: bool) -> Result<(), NotUnderstood> {
        if let Some(inner) = self.rest.strip_prefix('`') {
            let end = inner.find('`').ok_or_else(|| open("`"))?;
            let program = Arc::new(self.nested(&inner[..end].replace("\\$", "$"))?);
            word.push(Piece::Command { program, quoted });
            self.rest = &inner[end + 1..];
            return Ok(());
        }
        let after = &self.rest[1..];
        if let Some(inner) = after.strip_prefix("((") {
            let end = closing(inner).filter(|end| inner[end + 1..].starts_with(')'));
            if let Some(end) = end {
                let mut lexer = Lexer {
                    rest: &inner[..end],
                    bash: self.bash,
                };
                let mut sum = Word::new();
                // As in double quotes, but a quote is nothing special there.
                while !lexer.rest.is_empty() {
                    if lexer.rest.starts_with(['$', '`']) {
                        lexer.expansion(&mut sum, true)?;
                    } else {
                        let length = lexer.rest.chars().next().map_or(1, char::len_utf8);
                        text(&mut sum, &lexer.rest[..length], true);
                        lexer.rest = &lexer.rest[length..];
                    }
                }
                word.push(Piece::Arithmetic(sum));
                self.rest = &inner[end + 2..];
                return Ok(());
            }
        }
        if let Some(inner) = after.strip_prefix('(') {
            let end = closing(inner).ok_or_else(|| open("$("))?;
            let program = Arc::new(self.nested(&inner[..end])?);
            word.push(Piece::Command { program, quoted });
            self.rest = &inner[end + 1..];
            return Ok(());
        }
        if let Some(inner) = after.strip_prefix('{') {
            self.rest = inner;
            let piece = self.braces(quoted)?;
            word.push(piece);
            return Ok(());
        }
        let name = name_at(after);
        if name.is_empty() {
            text(word, "$", quoted);
        } else {
            let name = name.to_owned();
            self.rest = &after[name.len()..];
            word.push(Piece::Variable {
                name,
                change: Change::None,
                quoted,
            });
            return Ok(());
        }
        self.rest = after;
        Ok(())
    }

    fn nested(&self, text: &str) -> Result<Program, NotUnderstood> {
        super::parse::inner(text, self.bash)
    }

    /// `${…}` after its opening brace.
    fn braces(&mut self, quoted: bool) -> Result<Piece, NotUnderstood> {
        if let Some(after) = self.rest.strip_prefix('#') {
            let name = name_at(after);
            if !name.is_empty() && after[name.len()..].starts_with('}') {
                self.rest = &after[name.len() + 1..];
                let name = name.to_owned();
                return Ok(Piece::Variable {
                    name,
                    change: Change::Length,
                    quoted,
                });
            }
        }
        let name = name_at(self.rest).to_owned();
        if name.is_empty() {
            return Err(open("${"));
        }
        self.rest = &self.rest[name.len()..];
        let colon = self.rest.starts_with(':');
        let after = self.rest.strip_prefix(':').unwrap_or(self.rest);
        let kind = after.chars().next().ok_or_else(|| open("${"))?;
        let change = match kind {
            '}' if !colon => {
                self.rest = &after[1..];
                return Ok(Piece::Variable {
                    name,
                    change: Change::None,
                    quoted,
                });
            }
            '-' | '=' | '+' | '?' => {
                self.rest = &after[1..];
                Change::Else {
                    kind,
                    colon,
                    word: self.word(&['}'])?,
                }
            }
            '#' | '%' if !colon => {
                let longest = after[1..].starts_with(kind);
                self.rest = &after[1 + usize::from(longest)..];
                Change::Trim {
                    end: kind == '%',
                    longest,
                    pattern: self.word(&['}'])?,
                }
            }
            _ => {
                return Err(NotUnderstood(format!(
                    "${{{name}{}",
                    &after[..kind.len_utf8()]
                )));
            }
        };
        self.rest = self.rest.strip_prefix('}').ok_or_else(|| open("${"))?;
        Ok(Piece::Variable {
            name,
            change,
            quoted,
        })
    }
}

/// Adds text to a word, to its last piece if that is of the same kind.
pub(super) fn text(word: &mut Word, more: &str, is_quoted: bool) {
    match word.last_mut() {
        Some(Piece::Text { text, quoted }) if *quoted == is_quoted => text.push_str(more),
        _ => word.push(Piece::Text {
            text: more.to_owned(),
            quoted: is_quoted,
        }),
    }
}

/// The name of a variable at the beginning of `text`; empty when there is none.
fn name_at(text: &str) -> &str {
    let first = text.chars().next().unwrap_or(' ');
    if "?#@*$!-".contains(first) || first.is_ascii_digit() {
        return &text[..1];
    }
    if !(first.is_ascii_alphabetic() || first == '_') {
        return "";
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    &text[..end.unwrap_or(text.len())]
}

/// Where the parenthesis ends that was opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                chars.next();
            }
            (c, Some(q)) if c == q => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            ('(', None) => depth += 1,
            (')', None) if depth == 0 => return Some(at),
            (')', None) => depth -= 1,
            _ => {}
        }
    }
    None
}

fn one_of(all: &[&'static str], text: &str) -> Option<&'static str> {
    all.iter().copied().find(|one| text.starts_with(one))
}

fn open(what: &str) -> NotUnderstood {
    NotUnderstood(format!("{what} without its end"))
}
