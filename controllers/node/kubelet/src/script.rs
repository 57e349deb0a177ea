//! A small shell: enough of it for the scripts with which people make containers fail, wait and succeed. Pure.
//!
//! [`Program::parse`] reads a script into a list of operations, or says which word it does not understand;
//! [`Machine`] runs it in virtual time and stops wherever the script would wait, so that one heap of timers
//! runs thousands of scripts. There are no processes: files are [`files::Tree`]s, and `sleep` is a timer.
//!
//! Understood: simple commands with `>`, `>>`, `<`, `2>`, `2>&1`; `;` `&&` `||` `!` `|` (of commands that do
//! not wait) and `sleep … &` with `wait`; `if`, `while`, `until`, `for`, `case`, `{ … }`, functions; `$VAR`, `${VAR:-x}`,
//! `${VAR##*-}`, `$(…)`, `$((…))`, quotes, `*` in the last part of a path; `trap`, `set -e`, `exit`,
//! `break`, `continue`, `return`; `test`, `[`, `[[`; and the tools in [`commands`]. Everything else (the
//! network, heredocs, subshells, arrays) is not: who runs the script decides what then.
//!
//! Semantics: POSIX.1-2024 XCU chapter 2, and busybox where it adds to it.

pub mod arith;
pub mod commands;
pub mod condition;
pub mod files;
mod lex;
pub mod machine;
mod parse;
mod word;

pub use machine::{Machine, Pause};

use std::sync::Arc;
use std::time::Duration;

/// A script, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    ops: Vec<Op>,
    /// A shell runs it, and not a command alone: traps work, and the shell is the container's first process.
    shell: bool,
}

/// A word, or a combination of words, that is outside the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not understood: {0}")]
pub struct NotUnderstood(pub String);

/// One step of a script.
#[derive(Clone, Debug, PartialEq)]
enum Op {
    /// Runs commands of which each reads what the one before it wrote.
    Run(Vec<Simple>),
    /// Runs a command and does not wait for it.
    Background(Simple),
    /// Turns success into failure and back.
    Not,
    /// Goes on elsewhere.
    Jump(usize),
    /// Goes on elsewhere if the last command succeeded.
    JumpIfSuccess(usize),
    /// Goes on elsewhere if the last command failed.
    JumpIfFailure(usize),
    /// Begins a loop over words.
    For(Vec<Word>),
    /// Gives the variable the next word, or leaves the loop.
    Next { name: String, end: usize },
    /// Leaves a loop over words.
    Leave,
    /// Goes on elsewhere unless the word fits a pattern.
    Unless {
        word: Word,
        patterns: Vec<Word>,
        to: usize,
    },
    /// A function begins after this, and ends before `end`.
    Function { name: String, end: usize },
    /// Ends a function.
    Return,
    /// Ends a script with `set -e` if the last command failed.
    Check,
    /// The last command counts as successful: an `if` of which no branch was taken.
    Succeed,
    /// A loop that does nothing but wait: it takes so long each time.
    Idle(Duration),
}

/// A simple command.
#[derive(Clone, Debug, Default, PartialEq)]
struct Simple {
    assign: Vec<(String, Word)>,
    words: Vec<Word>,
    redirects: Vec<Redirect>,
}

#[derive(Clone, Debug, PartialEq)]
struct Redirect {
    /// 0, 1 or 2.
    from: u8,
    to: Target,
}

#[derive(Clone, Debug, PartialEq)]
enum Target {
    Write(Word),
    Append(Word),
    Read(Word),
    /// `2>&1`
    Like(u8),
}

/// A word before its expansion.
type Word = Vec<Piece>;

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text {
        text: String,
        quoted: bool,
    },
    Variable {
        name: String,
        change: Change,
        quoted: bool,
    },
    Command {
        program: Arc<Program>,
        quoted: bool,
    },
    Arithmetic(Word),
}

/// What becomes of a variable's value.
#[derive(Clone, Debug, PartialEq)]
enum Change {
    None,
    Length,
    /// `:-`, `-`, `:=`, `=`, `:+`, `+`, `:?`, `?`
    Else {
        kind: char,
        colon: bool,
        word: Word,
    },
    /// `#`, `##`, `%`, `%%`
    Trim {
        end: bool,
        longest: bool,
        pattern: Word,
    },
}

impl Program {
    /// Reads a script as `sh -c` does, or `bash -c`.
    ///
    /// # Errors
    /// The first word that is outside the grammar.
    pub fn parse(text: &str, bash: bool) -> Result<Self, NotUnderstood> {
        parse::script(text, bash, &|_| false)
    }

    /// A command without a shell around it.
    ///
    /// # Errors
    /// A command that is none of ours.
    pub fn of_words(words: &[String]) -> Result<Self, NotUnderstood> {
        let Some(name) = words.first() else {
            return Ok(Self {
                ops: Vec::new(),
                shell: false,
            });
        };
        if !commands::is_tool(name) {
            return Err(NotUnderstood(name.clone()));
        }
        let literal = |text: &String| {
            vec![Piece::Text {
                text: text.clone(),
                quoted: true,
            }]
        };
        let simple = Simple {
            words: words.iter().map(literal).collect(),
            ..Simple::default()
        };
        Ok(Self {
            ops: vec![Op::Run(vec![simple])],
            shell: false,
        })
    }
}

#[cfg(test)]
mod tests;
