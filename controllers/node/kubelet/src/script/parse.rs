//! From words and operators to a program.

use super::lex::{self, Token, plain};
use super::{NotUnderstood, Op, Program, Redirect, Simple, Target, Word, commands};
use std::collections::BTreeSet;
use std::time::Duration;

/// Words that end a list of commands.
const ENDS: [&str; 8] = ["then", "elif", "else", "fi", "do", "done", "}", "esac"];

/// Reads a script; commands that are none of ours may be functions that are `known`.
pub(super) fn script(
    text: &str,
    bash: bool,
    known: &dyn Fn(&str) -> bool,
) -> Result<Program, NotUnderstood> {
    let program = inner(text, bash)?;
    let mut functions = BTreeSet::new();
    for op in &program.ops {
        if let Op::Function { name, .. } = op {
            functions.insert(name.as_str());
        }
    }
    check(&program, &|name| functions.contains(name) || known(name))?;
    Ok(program)
}

/// Reads what is inside of another script.
pub(super) fn inner(text: &str, bash: bool) -> Result<Program, NotUnderstood> {
    let mut parser = Parser {
        tokens: lex::tokens(text, bash)?,
        at: 0,
        ops: Vec::new(),
        loops: Vec::new(),
        tested: 0,
    };
    parser.list()?;
    match parser.tokens.get(parser.at) {
        None => Ok(Program {
            ops: parser.ops,
            shell: true,
        }),
        Some(token) => Err(name_of(token)),
    }
}

/// Refuses a program of which a command is none that is known.
fn check(program: &Program, functions: &dyn Fn(&str) -> bool) -> Result<(), NotUnderstood> {
    let simples = program.ops.iter().flat_map(|op| match op {
        Op::Run(simples) => simples.as_slice(),
        Op::Background(simple) => std::slice::from_ref(simple),
        _ => &[],
    });
    for simple in simples {
        let name = simple.words.first().and_then(literal);
        if let Some(name) = name
            && !functions(&name)
            && !commands::is_known(&name)
        {
            return Err(NotUnderstood(name));
        }
        let assigned = simple.assign.iter().map(|(_, word)| word);
        for piece in simple.words.iter().chain(assigned).flatten() {
            if let super::Piece::Command { program, .. } = piece {
                check(program, functions)?;
            }
        }
    }
    Ok(())
}

/// The text of a word in which nothing is expanded.
pub(super) fn literal(word: &Word) -> Option<String> {
    let texts = word.iter().map(|piece| match piece {
        super::Piece::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts
        .collect::<Option<Vec<_>>>()
        .map(|texts| texts.concat())
}

fn name_of(token: &Token) -> NotUnderstood {
    NotUnderstood(match token {
        Token::Word(word) => literal(word).unwrap_or_else(|| "$".to_owned()),
        Token::Operator("\n") => "a new line".to_owned(),
        Token::Operator(operator) => (*operator).to_owned(),
        Token::Redirect { how, .. } => (*how).to_owned(),
    })
}

/// A loop around what is being read.
struct Loop {
    again: usize,
    /// Jumps to its end, to be filled in.
    breaks: Vec<usize>,
    /// It is over words, which are dropped when it is left.
    words: bool,
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    ops: Vec<Op>,
    loops: Vec<Loop>,
    /// How many conditions are around, in which a failure does not end a script with `set -e`.
    tested: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => plain(word),
            _ => None,
        }
    }

    fn operator(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Operator(o)) if *o == wanted);
        self.at += usize::from(found);
        found
    }

    fn lines(&mut self) {
        while self.operator("\n") {}
    }

    fn reserved(&mut self, wanted: &str) -> bool {
        let found = self.word() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: &str) -> Result<(), NotUnderstood> {
        if self.reserved(wanted) {
            Ok(())
        } else {
            Err(self.surprise())
        }
    }

    fn surprise(&self) -> NotUnderstood {
        self.peek()
            .map_or_else(|| NotUnderstood("an early end".to_owned()), name_of)
    }

    fn push(&mut self, op: Op) -> usize {
        self.ops.push(op);
        self.ops.len() - 1
    }

    /// Lets the jump at `at` go to what comes next.
    fn land(&mut self, at: usize) {
        let here = self.ops.len();
        match &mut self.ops[at] {
            Op::Jump(to)
            | Op::JumpIfSuccess(to)
            | Op::JumpIfFailure(to)
            | Op::Unless { to, .. } => *to = here,
            Op::Next { end, .. } | Op::Function { end, .. } => *end = here,
            _ => {}
        }
    }

    fn list(&mut self) -> Result<(), NotUnderstood> {
        loop {
            while self.operator("\n") || self.operator(";") {}
            let ends = match self.peek() {
                None | Some(Token::Operator(")" | ";;")) => true,
                _ => self.word().is_some_and(|word| ENDS.contains(&word)),
            };
            if ends {
                return Ok(());
            }
            self.and_or()?;
        }
    }

    fn and_or(&mut self) -> Result<(), NotUnderstood> {
        let begin = self.ops.len();
        let mut jump: Option<usize> = None;
        loop {
            let negated = self.pipeline()?;
            if let Some(jump) = jump {
                // A failure that has been looked at with && or || does not end a script with set -e.
                self.land(jump);
            }
            let and = self.operator("&&");
            let or = !and && self.operator("||");
            if and || or {
                jump = Some(self.push(if and {
                    Op::JumpIfFailure(0)
                } else {
                    Op::JumpIfSuccess(0)
                }));
                self.lines();
                continue;
            }
            if self.operator("&") {
                let background = match self.ops.as_slice() {
                    [.., Op::Run(simples)] if self.ops.len() == begin + 1 && simples.len() == 1 => {
                        simples.first().cloned()
                    }
                    _ => None,
                };
                let background = background.ok_or_else(|| NotUnderstood("&".to_owned()))?;
                self.ops.truncate(begin);
                self.push(Op::Background(background));
            } else if !negated && self.tested == 0 && jump.is_none() {
                self.push(Op::Check);
            } else if !negated
                && self.tested == 0
                && let Some(at) = jump
            {
                self.push(Op::Check);
                self.land(at);
            }
            return Ok(());
        }
    }

    /// Reads a pipeline; true when it is negated.
    fn pipeline(&mut self) -> Result<bool, NotUnderstood> {
        let negated = self.reserved("!");
        self.command()?;
        let mut stages = Vec::new();
        while self.operator("|") {
            self.lines();
            if stages.is_empty() {
                stages.push(self.take_simple()?);
            }
            self.command()?;
            let next = self.take_simple()?;
            stages.push(next);
        }
        if !stages.is_empty() {
            self.push(Op::Run(stages));
        }
        if negated {
            self.push(Op::Not);
        }
        Ok(negated)
    }

    /// Takes back the simple command that was read last.
    fn take_simple(&mut self) -> Result<Simple, NotUnderstood> {
        let simple = match self.ops.last() {
            Some(Op::Run(simples)) if simples.len() == 1 => simples.first().cloned(),
            _ => None,
        };
        self.ops.pop();
        simple.ok_or_else(|| NotUnderstood("|".to_owned()))
    }

    fn command(&mut self) -> Result<(), NotUnderstood> {
        let word = self.word().map(str::to_owned);
        match word.as_deref() {
            Some("[[") => self.condition(),
            Some("if") => self.branches(),
            Some(kind @ ("while" | "until")) => self.repeat(kind == "until"),
            Some("for") => self.for_each(),
            Some("case") => self.case(),
            Some("{") => {
                self.at += 1;
                self.list()?;
                self.expect("}")?;
                self.bare()
            }
            Some("function") => {
                self.at += 1;
                let name = self.word().ok_or_else(|| self.surprise())?.to_owned();
                self.at += 1;
                if self.operator("(") && !self.operator(")") {
                    return Err(self.surprise());
                }
                self.function(name)
            }
            Some(name) if self.tokens.get(self.at + 1) == Some(&Token::Operator("(")) => {
                let name = name.to_owned();
                self.at += 2;
                if !self.operator(")") {
                    return Err(NotUnderstood("(".to_owned()));
                }
                self.function(name)
            }
            Some("break") => self.leave(true),
            Some("continue") => self.leave(false),
            _ => self.simple(),
        }
    }

    /// A compound command has no redirection.
    fn bare(&self) -> Result<(), NotUnderstood> {
        match self.peek() {
            Some(Token::Redirect { .. }) => Err(self.surprise()),
            _ => Ok(()),
        }
    }

    /// A list whose outcome is looked at.
    fn test(&mut self) -> Result<(), NotUnderstood> {
        self.tested += 1;
        let read = self.list();
        self.tested -= 1;
        read
    }

    fn branches(&mut self) -> Result<(), NotUnderstood> {
        let mut ends = Vec::new();
        self.at += 1;
        loop {
            self.test()?;
            self.expect("then")?;
            let skip = self.push(Op::JumpIfFailure(0));
            self.list()?;
            ends.push(self.push(Op::Jump(0)));
            self.land(skip);
            if self.reserved("elif") {
                continue;
            }
            if self.reserved("else") {
                self.list()?;
            } else {
                self.push(Op::Succeed);
            }
            self.expect("fi")?;
            for end in ends {
                self.land(end);
            }
            return self.bare();
        }
    }

    fn repeat(&mut self, until: bool) -> Result<(), NotUnderstood> {
        self.at += 1;
        let again = self.ops.len();
        self.test()?;
        let body = self.ops.len();
        self.expect("do")?;
        let leave = self.push(if until {
            Op::JumpIfSuccess(0)
        } else {
            Op::JumpIfFailure(0)
        });
        self.loops.push(Loop {
            again,
            breaks: Vec::new(),
            words: false,
        });
        self.list()?;
        self.expect("done")?;
        if !until && let Some(time) = idle(&self.ops[again..body], &self.ops[leave + 1..]) {
            self.loops.pop();
            self.ops.truncate(again);
            self.push(Op::Idle(time));
            return self.bare();
        }
        self.push(Op::Jump(again));
        self.land(leave);
        self.push(Op::Succeed);
        self.end_loop();
        self.bare()
    }

    fn for_each(&mut self) -> Result<(), NotUnderstood> {
        self.at += 1;
        let name = self.word().ok_or_else(|| self.surprise())?.to_owned();
        self.at += 1;
        self.lines();
        let mut words = Vec::new();
        if self.reserved("in") {
            while let Some(Token::Word(word)) = self.peek() {
                words.push(word.clone());
                self.at += 1;
            }
        } else {
            words.push(vec![super::Piece::Variable {
                name: "@".to_owned(),
                change: super::Change::None,
                quoted: true,
            }]);
        }
        while self.operator(";") || self.operator("\n") {}
        self.expect("do")?;
        self.push(Op::For(words));
        let again = self.push(Op::Next { name, end: 0 });
        self.loops.push(Loop {
            again,
            breaks: Vec::new(),
            words: true,
        });
        self.list()?;
        self.expect("done")?;
        self.push(Op::Jump(again));
        self.land(again);
        self.end_loop();
        self.bare()
    }

    fn end_loop(&mut self) {
        if let Some(ended) = self.loops.pop() {
            for at in ended.breaks {
                self.land(at);
            }
        }
    }

    /// `break` and `continue`, with a number of loops.
    fn leave(&mut self, ends: bool) -> Result<(), NotUnderstood> {
        self.at += 1;
        let levels = self.word().and_then(|word| word.parse::<usize>().ok());
        self.at += usize::from(levels.is_some());
        let levels = levels.unwrap_or(1).max(1);
        let lost = || NotUnderstood(if ends { "break" } else { "continue" }.to_owned());
        let target = self.loops.len().checked_sub(levels).ok_or_else(lost)?;
        // The loops over words that are left have theirs dropped.
        let left = target + usize::from(!ends);
        let drops = self.loops[left..].iter().filter(|each| each.words).count();
        for _ in 0..drops {
            self.push(Op::Leave);
        }
        let again = self.loops[target].again;
        let jump = self.push(Op::Jump(again));
        if ends {
            self.loops[target].breaks.push(jump);
        }
        Ok(())
    }

    fn case(&mut self) -> Result<(), NotUnderstood> {
        self.at += 1;
        let Some(Token::Word(word)) = self.peek().cloned() else {
            return Err(self.surprise());
        };
        self.at += 1;
        self.lines();
        self.expect("in")?;
        let mut ends = Vec::new();
        loop {
            self.lines();
            if self.reserved("esac") {
                break;
            }
            self.operator("(");
            let mut patterns = Vec::new();
            loop {
                let Some(Token::Word(pattern)) = self.peek().cloned() else {
                    return Err(self.surprise());
                };
                patterns.push(pattern);
                self.at += 1;
                if self.operator(")") {
                    break;
                }
                if !self.operator("|") {
                    return Err(self.surprise());
                }
            }
            let skip = self.push(Op::Unless {
                word: word.clone(),
                patterns,
                to: 0,
            });
            self.list()?;
            ends.push(self.push(Op::Jump(0)));
            self.land(skip);
            if !self.operator(";;") {
                self.lines();
                self.expect("esac")?;
                break;
            }
        }
        self.push(Op::Succeed);
        for end in ends {
            self.land(end);
        }
        self.bare()
    }

    fn function(&mut self, name: String) -> Result<(), NotUnderstood> {
        self.lines();
        let begin = self.push(Op::Function { name, end: 0 });
        let (loops, tested) = (
            std::mem::take(&mut self.loops),
            std::mem::take(&mut self.tested),
        );
        self.expect("{")?;
        self.list()?;
        self.expect("}")?;
        (self.loops, self.tested) = (loops, tested);
        self.push(Op::Return);
        self.land(begin);
        self.bare()
    }

    /// `[[ … ]]`, in which operators are words.
    fn condition(&mut self) -> Result<(), NotUnderstood> {
        let mut simple = Simple::default();
        loop {
            let word = match self.peek() {
                Some(Token::Word(word)) => word.clone(),
                Some(Token::Operator(o @ ("&&" | "||" | "(" | ")"))) => sign(o),
                Some(Token::Redirect {
                    how: how @ ("<" | ">"),
                    ..
                }) => sign(how),
                _ => return Err(self.surprise()),
            };
            self.at += 1;
            let end = plain(&word) == Some("]]");
            simple.words.push(word);
            if end {
                break;
            }
        }
        self.push(Op::Run(vec![simple]));
        Ok(())
    }

    fn simple(&mut self) -> Result<(), NotUnderstood> {
        let mut simple = Simple::default();
        loop {
            match self.peek().cloned() {
                Some(Token::Word(word)) => {
                    let assignment = simple.words.is_empty().then(|| assignment(&word)).flatten();
                    match assignment {
                        Some(assignment) => simple.assign.push(assignment),
                        None => simple.words.push(word),
                    }
                    self.at += 1;
                }
                Some(Token::Redirect { from, how }) => {
                    self.at += 1;
                    let Some(Token::Word(word)) = self.peek().cloned() else {
                        return Err(self.surprise());
                    };
                    self.at += 1;
                    let to = match how {
                        ">" | ">|" | "&>" => Target::Write(word),
                        ">>" => Target::Append(word),
                        "<" => Target::Read(word),
                        ">&" => match plain(&word) {
                            Some("1") => Target::Like(1),
                            Some("2") => Target::Like(2),
                            _ => return Err(NotUnderstood(how.to_owned())),
                        },
                        _ => return Err(NotUnderstood(how.to_owned())),
                    };
                    simple.redirects.push(Redirect { from, to });
                    if how == "&>" {
                        simple.redirects.push(Redirect {
                            from: 2,
                            to: Target::Like(1),
                        });
                    }
                }
                _ => break,
            }
        }
        let nothing =
            simple.words.is_empty() && simple.assign.is_empty() && simple.redirects.is_empty();
        if nothing {
            return Err(self.surprise());
        }
        self.push(Op::Run(vec![simple]));
        Ok(())
    }
}

fn sign(text: &str) -> Word {
    vec![super::Piece::Text {
        text: text.to_owned(),
        quoted: false,
    }]
}

/// `NAME=value`
fn assignment(word: &Word) -> Option<(String, Word)> {
    let Some(super::Piece::Text {
        text,
        quoted: false,
    }) = word.first()
    else {
        return None;
    };
    let (name, value) = text.split_once('=')?;
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let mut rest = Word::new();
    if !value.is_empty() {
        lex::text(&mut rest, value, false);
    }
    rest.extend(word[1..].iter().cloned());
    Some((name.to_owned(), rest))
}

/// The time that each turn of a loop takes which does nothing but wait. Thousands of containers spend their
/// lives in one, and need no timer then.
fn idle(condition: &[Op], body: &[Op]) -> Option<Duration> {
    let words = |op: &Op| -> Option<Vec<String>> {
        match op {
            Op::Check => Some(vec![":".to_owned()]),
            Op::Run(simples) => match simples.as_slice() {
                [simple] if simple.assign.is_empty() && simple.redirects.is_empty() => {
                    simple.words.iter().map(literal).collect()
                }
                _ => None,
            },
            _ => None,
        }
    };
    let always = |op: &Op| {
        words(op)
            .is_some_and(|words| matches!(words.as_slice(), [one] if one == "true" || one == ":"))
    };
    if !condition.iter().all(always) {
        return None;
    }
    let mut total = Duration::ZERO;
    for op in body {
        let words = words(op)?;
        let (name, arguments) = words.split_first()?;
        match name.as_str() {
            ":" | "true" | "echo" | "date" => {}
            "sleep" => total = total.saturating_add(commands::sleep_time(arguments)?),
            _ => return None,
        }
    }
    (total >= Duration::from_millis(100)).then_some(total)
}
