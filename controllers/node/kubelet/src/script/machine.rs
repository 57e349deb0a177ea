//! Runs a program in virtual time.
//!
//! [`Machine::run`] goes on until the script waits for something that is later than now. A signal is told
//! with [`Machine::terminate`]; as in a container the script is the first process of its kind, so without a
//! trap it does not notice, and a trap waits for the command that runs in the foreground.

mod builtins;

use super::commands::{self, Call};
use super::files::{Disk, absolute};
use super::{NotUnderstood, Op, Program, Simple, Target, parse};
use crate::image;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The steps that a script has in one moment. One that needs more turns round without waiting; it goes on a
/// second later.
const STEPS: usize = 5_000;
/// How deep functions and `$(…)` may call each other.
const DEEPEST: usize = 32;
/// How much of the output is kept for logs and termination messages, in bytes.
const LOG: usize = 4096;
/// How much of the output of a `$(…)` is kept, in bytes.
const OUTPUT: usize = 64 * 1024;
/// The shortest wait; who waits less waits so long.
const SHORTEST: Duration = Duration::from_millis(10);

/// Where a script has come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Pause {
    /// It goes on then.
    Until(Timestamp),
    /// It waits for ever, or for a signal.
    Forever,
    /// It ended with this code, then.
    Ended(i32, Timestamp),
    /// It came to something that is outside the grammar.
    Stuck(NotUnderstood),
}

/// A running script.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    frames: Vec<Frame>,
    /// What it does in this moment.
    doing: Doing,
    /// The time that it has come to.
    clock: Timestamp,
    pub(super) variables: BTreeMap<String, Value>,
    functions: BTreeMap<String, (Arc<Program>, usize)>,
    /// What is to be done on a signal, by its name without `SIG`.
    traps: BTreeMap<String, String>,
    /// It was told to stop, and has not come to its trap.
    told: bool,
    /// The code with which it ends once its trap on exit is over.
    ending: Option<i32>,
    status: i32,
    /// The status of the last `$(…)` of the command that is being run.
    substituted: Option<i32>,
    /// `set -e`
    careful: bool,
    /// `set -u`
    pub(super) strict: bool,
    /// When what runs in the background ends; never when none.
    background: Vec<Option<Timestamp>>,
    pub(super) directory: String,
    output: String,
    /// The output is kept whole, as that of a `$(…)`.
    whole: bool,
    seed: u64,
    depth: usize,
    steps: usize,
}

/// A variable.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    /// None when only a real node would know it.
    pub(super) text: Option<String>,
    exported: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Frame {
    program: Arc<Program>,
    at: usize,
    loops: Vec<VecDeque<String>>,
    arguments: Vec<String>,
    /// It is a trap, after which this is the status again.
    trap: Option<i32>,
    /// Variables that have these values again after it.
    locals: Vec<(String, Option<Value>)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Doing {
    Steps,
    /// A command in the foreground, which a signal does not interrupt.
    Sleep(Timestamp),
    /// `wait`, which a signal interrupts.
    Wait(Option<Timestamp>),
    /// A loop that does nothing but wait, since then, so long each time.
    Idle(Timestamp, Duration),
    Forever,
    Ended(i32),
    Stuck(NotUnderstood),
}

/// What a command makes of the script.
pub(super) enum Effect {
    Status(i32),
    Sleep(Duration),
    Forever,
}

/// What comes before the first step.
#[derive(Debug)]
pub struct Start<'a> {
    /// The script.
    pub program: Arc<Program>,
    /// `$0`, `$1`, …
    pub arguments: Vec<String>,
    /// The environment; a value that only a real node would know is none.
    pub environment: &'a [(String, Option<String>)],
    /// The working directory.
    pub directory: String,
    /// What `$RANDOM` gives follows from it.
    pub seed: u64,
    /// When it starts.
    pub at: Timestamp,
}

impl Machine {
    /// A script before its first step.
    pub fn new(start: Start<'_>) -> Self {
        let environment = start.environment.iter();
        let variables = environment.map(|(name, text)| {
            let text = text.clone();
            (
                name.clone(),
                Value {
                    text,
                    exported: true,
                },
            )
        });
        let mut machine = Self {
            frames: Vec::new(),
            doing: Doing::Steps,
            clock: start.at,
            variables: variables.collect(),
            functions: BTreeMap::new(),
            traps: BTreeMap::new(),
            told: false,
            ending: None,
            status: 0,
            substituted: None,
            careful: false,
            strict: false,
            background: Vec::new(),
            directory: start.directory,
            output: String::new(),
            whole: false,
            seed: start.seed,
            depth: 0,
            steps: 0,
        };
        machine.enter(start.program, 0, start.arguments, None);
        machine
    }

    /// Sets `set -e` and `set -u` from the flags of the shell.
    #[must_use]
    pub fn with_flags(mut self, flags: &str) -> Self {
        self.careful = flags.contains('e');
        self.strict = flags.contains('u');
        self
    }

    /// The end of what it has written.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// Goes on until it waits for something later than `now`.
    pub fn run(&mut self, disk: &mut Disk<'_>, now: Timestamp) -> Pause {
        self.steps = 0;
        loop {
            match &self.doing {
                Doing::Sleep(until) | Doing::Wait(Some(until)) => {
                    if *until > now {
                        return Pause::Until(*until);
                    }
                    self.clock = self.clock.max(*until);
                    self.steps = 0;
                    self.doing = Doing::Steps;
                }
                Doing::Idle(..) | Doing::Forever | Doing::Wait(None) => return Pause::Forever,
                Doing::Ended(code) => return Pause::Ended(*code, self.clock),
                Doing::Stuck(why) => return Pause::Stuck(why.clone()),
                Doing::Steps => {
                    self.steps += 1;
                    if self.steps > STEPS {
                        self.sleep(Duration::from_secs(1));
                    } else if let Err(why) = self.step(disk) {
                        self.doing = Doing::Stuck(why);
                    }
                }
            }
        }
    }

    /// Tells it to stop, at this time.
    pub fn terminate(&mut self, at: Timestamp) {
        let is_shell = self.frames.first().is_some_and(|frame| frame.program.shell);
        let heard = self
            .traps
            .get("TERM")
            .is_some_and(|action| !action.is_empty());
        if !is_shell || !heard {
            return;
        }
        self.told = true;
        match self.doing {
            Doing::Wait(_) => {
                self.clock = self.clock.max(at);
                self.status = 143;
                self.doing = Doing::Steps;
            }
            Doing::Idle(since, each) => {
                let turns =
                    at.duration_since(since).as_millis().max(0) as u128 / each.as_millis().max(1);
                let next = each.saturating_mul(u32::try_from(turns + 1).unwrap_or(u32::MAX));
                self.doing = Doing::Sleep(later(since, next));
            }
            _ => {}
        }
    }

    /// Runs it in a moment of another's time, up to `limit` later; its code, or none when it takes longer.
    pub fn finish(
        &mut self,
        disk: &mut Disk<'_>,
        limit: Duration,
    ) -> Result<Option<i32>, NotUnderstood> {
        let end = later(self.clock, limit);
        match self.run(disk, end) {
            Pause::Ended(code, _) => Ok(Some(code)),
            Pause::Until(_) | Pause::Forever => Ok(None),
            Pause::Stuck(why) => Err(why),
        }
    }

    fn sleep(&mut self, time: Duration) {
        self.doing = Doing::Sleep(later(self.clock, time.max(SHORTEST)));
    }

    fn enter(
        &mut self,
        program: Arc<Program>,
        at: usize,
        arguments: Vec<String>,
        trap: Option<i32>,
    ) {
        let (loops, locals) = (Vec::new(), Vec::new());
        self.frames.push(Frame {
            program,
            at,
            loops,
            arguments,
            trap,
            locals,
        });
    }

    fn step(&mut self, disk: &mut Disk<'_>) -> Result<(), NotUnderstood> {
        if self.told && self.ending.is_none() {
            self.told = false;
            let action = self.traps.get("TERM").cloned().unwrap_or_default();
            return self.act(&action);
        }
        let Some(frame) = self.frames.last_mut() else {
            self.exit(self.status);
            return Ok(());
        };
        let program = frame.program.clone();
        let Some(op) = program.ops.get(frame.at) else {
            self.leave();
            return Ok(());
        };
        frame.at += 1;
        let mut jump = None;
        match op {
            Op::Run(simples) => self.pipeline(simples, disk)?,
            Op::Background(simple) => {
                let words = self.expand(&simple.words, disk)?;
                let time = words.split_first().filter(|(name, _)| *name == "sleep");
                let (_, arguments) = time.ok_or_else(|| NotUnderstood("&".to_owned()))?;
                let forever = arguments.iter().any(|argument| argument.starts_with("inf"));
                let time = commands::sleep_time(arguments).filter(|_| !forever);
                self.background
                    .push(time.map(|time| later(self.clock, time)));
                self.status = 0;
            }
            Op::Not => self.status = i32::from(self.status == 0),
            Op::Jump(to) => jump = Some(*to),
            Op::JumpIfSuccess(to) => jump = (self.status == 0).then_some(*to),
            Op::JumpIfFailure(to) => jump = (self.status != 0).then_some(*to),
            Op::For(words) => {
                let words = self.expand(words, disk)?;
                if let Some(frame) = self.frames.last_mut() {
                    frame.loops.push(words.into());
                }
                self.status = 0;
            }
            Op::Next { name, end } => {
                let words = self
                    .frames
                    .last_mut()
                    .and_then(|frame| frame.loops.last_mut());
                if let Some(word) = words.and_then(VecDeque::pop_front) {
                    self.assign(name, word);
                } else {
                    self.drop_loop();
                    jump = Some(*end);
                }
            }
            Op::Leave => self.drop_loop(),
            Op::Unless { word, patterns, to } => {
                let text = self.text(word, disk)?;
                let mut fits = false;
                for pattern in patterns {
                    fits |= image::glob(&self.text(pattern, disk)?, &text);
                }
                jump = (!fits).then_some(*to);
            }
            Op::Function { name, end } => {
                let begin = self.frames.last().map_or(0, |frame| frame.at);
                self.functions
                    .insert(name.clone(), (program.clone(), begin));
                jump = Some(*end);
                self.status = 0;
            }
            Op::Return => self.leave(),
            Op::Check => {
                if self.careful && self.status != 0 {
                    self.exit(self.status);
                }
            }
            Op::Succeed => self.status = 0,
            Op::Idle(each) => {
                // After a trap the loop goes on.
                if let Some(frame) = self.frames.last_mut() {
                    frame.at -= 1;
                }
                self.doing = Doing::Idle(self.clock, *each);
            }
        }
        if let (Some(to), Some(frame)) = (jump, self.frames.last_mut()) {
            frame.at = to;
        }
        Ok(())
    }

    fn drop_loop(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.loops.pop();
        }
    }

    /// Ends a function, a trap, or the script.
    fn leave(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        for (name, value) in frame.locals.into_iter().rev() {
            match value {
                Some(value) => self.variables.insert(name, value),
                None => self.variables.remove(&name),
            };
        }
        if let Some(status) = frame.trap {
            self.status = status;
        }
        if self.frames.is_empty() {
            self.exit(self.status);
        }
    }

    fn exit(&mut self, code: i32) {
        self.frames.clear();
        let code = self.ending.unwrap_or(code);
        if self.ending.is_none()
            && let Some(action) = self.traps.remove("EXIT")
        {
            self.ending = Some(code);
            if let Err(why) = self.act(&action) {
                self.doing = Doing::Stuck(why);
            }
            return;
        }
        self.doing = Doing::Ended(code & 0xff);
    }

    /// Begins a trap.
    fn act(&mut self, action: &str) -> Result<(), NotUnderstood> {
        let program = parse::script(action, false, &|name| self.functions.contains_key(name))?;
        let arguments = self.arguments().to_vec();
        self.enter(Arc::new(program), 0, arguments, Some(self.status));
        Ok(())
    }

    // === commands ===

    fn pipeline(&mut self, simples: &[Simple], disk: &mut Disk<'_>) -> Result<(), NotUnderstood> {
        let mut input = String::new();
        for (n, simple) in simples.iter().enumerate() {
            let is_last = n + 1 == simples.len();
            let out = self.simple(simple, &input, simples.len() > 1, disk)?;
            if is_last {
                self.write(&out);
            } else {
                input = out;
            }
        }
        Ok(())
    }

    /// Runs one command and gives what it writes.
    fn simple(
        &mut self,
        simple: &Simple,
        input: &str,
        piped: bool,
        disk: &mut Disk<'_>,
    ) -> Result<String, NotUnderstood> {
        self.substituted = None;
        let is_condition = simple.words.first().and_then(super::lex::plain) == Some("[[");
        let words = if is_condition {
            let words = simple.words.iter();
            words
                .map(|word| self.text(word, disk))
                .collect::<Result<_, _>>()?
        } else {
            self.expand(&simple.words, disk)?
        };
        let mut assigned = Vec::new();
        for (name, word) in &simple.assign {
            assigned.push((name, self.text(word, disk)?));
        }
        let before: Vec<_> = assigned
            .iter()
            .map(|(name, _)| ((*name).clone(), self.variables.get(*name).cloned()))
            .collect();
        for (name, text) in assigned {
            self.assign(name, text);
        }
        let mut streams = Streams {
            input: input.to_owned(),
            out: Goal::Kept,
            err: Goal::Log,
        };
        if !self.open(simple, &mut streams, disk)? {
            self.status = 1;
            return Ok(String::new());
        }
        let Some((name, arguments)) = words.split_first() else {
            self.status = self.substituted.unwrap_or(0);
            return Ok(String::new());
        };
        if let Some((program, at)) = self.functions.get(name).cloned() {
            if piped || !simple.redirects.is_empty() || !simple.assign.is_empty() {
                return Err(NotUnderstood(format!("{name} with a redirection")));
            }
            if self.frames.len() > DEEPEST {
                return Err(NotUnderstood(format!("{name} calls itself too often")));
            }
            self.enter(
                program,
                at,
                std::iter::once(self.zero())
                    .chain(arguments.iter().cloned())
                    .collect(),
                None,
            );
            return Ok(String::new());
        }
        let shell = self.frames.first().is_some_and(|frame| frame.program.shell);
        if shell && !piped && self.builtin(name, arguments)? {
            return Ok(String::new());
        }
        let (name, arguments) = match (name.as_str(), arguments) {
            ("exec", []) => {
                self.status = 0;
                return Ok(String::new());
            }
            ("exec" | "command", [name, arguments @ ..]) => (name, arguments),
            _ => (name, arguments),
        };
        let environment = self.environment();
        let mut call = Call {
            name,
            arguments,
            input: &streams.input,
            directory: &self.directory,
            environment: &environment,
            clock: self.clock,
            out: String::new(),
            err: String::new(),
        };
        let effect = call.run(disk)?;
        let (out, err) = (call.out, call.err);
        match effect {
            Effect::Status(code) => self.status = code,
            _ if piped => return Err(NotUnderstood(format!("{name} in a pipe"))),
            Effect::Sleep(time) => {
                self.status = 0;
                self.sleep(time);
            }
            Effect::Forever => self.doing = Doing::Forever,
        }
        if words.first().is_some_and(|name| name == "exec") {
            // The command has taken the shell's place: neither steps nor traps come after it.
            self.frames.clear();
            self.traps.clear();
        }
        for (name, value) in before {
            match value {
                Some(value) => self.variables.insert(name, value),
                None => self.variables.remove(&name),
            };
        }
        let kept = streams.out.put(out, disk);
        let said = match streams.err {
            Goal::Kept => return Ok(kept + &err),
            goal => goal.put(err, disk),
        };
        self.write(&said);
        Ok(kept)
    }

    /// Opens the files of a command; false when one cannot be.
    fn open(
        &mut self,
        simple: &Simple,
        streams: &mut Streams,
        disk: &mut Disk<'_>,
    ) -> Result<bool, NotUnderstood> {
        for redirect in &simple.redirects {
            let goal = match &redirect.to {
                Target::Like(1) => streams.out.clone(),
                Target::Like(_) => streams.err.clone(),
                Target::Read(word) => {
                    let name = self.text(word, disk)?;
                    let path = commands::path(&name, &self.directory, disk)?;
                    match disk.read(&path) {
                        Ok(text) => streams.input = text,
                        Err(why) => {
                            self.write(&format!("sh: can't open {name}: {}\n", why.text()));
                            return Ok(false);
                        }
                    }
                    continue;
                }
                Target::Write(word) | Target::Append(word) => {
                    let name = self.text(word, disk)?;
                    let path = absolute(&self.directory, &name);
                    match path.as_str() {
                        "/dev/stdout" | "/proc/1/fd/1" | "/proc/self/fd/1" | "/dev/stderr"
                        | "/proc/1/fd/2" => Goal::Log,
                        _ => {
                            let append = matches!(redirect.to, Target::Append(_));
                            if let Err(why) = disk.write(&path, "", append) {
                                self.write(&format!("sh: can't create {name}: {}\n", why.text()));
                                return Ok(false);
                            }
                            Goal::File(path)
                        }
                    }
                }
            };
            match redirect.from {
                1 => streams.out = goal,
                2 => streams.err = goal,
                _ => return Err(NotUnderstood("0>".to_owned())),
            }
        }
        Ok(true)
    }

    /// The output of a `$(…)`, which takes no time.
    pub(super) fn output_of(
        &mut self,
        program: Arc<Program>,
        disk: &mut Disk<'_>,
    ) -> Result<String, NotUnderstood> {
        if self.depth >= DEEPEST {
            return Err(NotUnderstood("$( too deep".to_owned()));
        }
        let mut inner = Self {
            frames: Vec::new(),
            doing: Doing::Steps,
            traps: BTreeMap::new(),
            told: false,
            ending: None,
            background: Vec::new(),
            output: String::new(),
            whole: true,
            depth: self.depth + 1,
            ..self.clone()
        };
        inner.enter(program, 0, self.arguments().to_vec(), None);
        let code = inner.finish(disk, Duration::ZERO)?;
        self.seed = inner.seed;
        self.substituted = Some(code.ok_or_else(|| NotUnderstood("$( that waits".to_owned()))?);
        Ok(inner.output)
    }

    fn write(&mut self, text: &str) {
        self.output.push_str(text);
        let most = if self.whole { OUTPUT } else { LOG };
        if self.output.len() > 2 * most {
            let mut cut = self.output.len() - most;
            while !self.output.is_char_boundary(cut) {
                cut += 1;
            }
            self.output.drain(..cut);
        }
    }

    // === variables ===

    pub(super) fn arguments(&self) -> &[String] {
        let all = self.frames.last().map_or(&[][..], |frame| &frame.arguments);
        all.get(1..).unwrap_or_default()
    }

    fn zero(&self) -> String {
        let arguments = self.frames.last().and_then(|frame| frame.arguments.first());
        arguments.cloned().unwrap_or_else(|| "sh".to_owned())
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "$" => Some("1".to_owned()),
            "!" => Some("2".to_owned()),
            "-" => Some(String::new()),
            "0" => Some(self.zero()),
            "#" => Some(self.arguments().len().to_string()),
            "@" | "*" => Some(self.arguments().join(" ")),
            "PWD" => Some(self.directory.clone()),
            _ => match name.parse::<usize>() {
                Ok(n) => self.arguments().get(n - 1).cloned(),
                Err(_) => self
                    .variables
                    .get(name)
                    .and_then(|value| value.text.clone()),
            },
        }
    }

    pub(super) fn assign(&mut self, name: &str, text: String) {
        let exported = self.variables.get(name).is_some_and(|value| value.exported);
        let value = Value {
            text: Some(text),
            exported,
        };
        self.variables.insert(name.to_owned(), value);
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        let exported = self.variables.iter().filter(|(_, value)| value.exported);
        exported
            .filter_map(|(name, value)| Some((name.as_str(), value.text.as_deref()?)))
            .collect()
    }

    /// The next pseudo-random number (xorshift): the same for the same run of the same container.
    pub(super) fn draw(&mut self) -> u64 {
        self.seed |= 1;
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed >> 16
    }
}

struct Streams {
    input: String,
    out: Goal,
    err: Goal,
}

/// Where output goes.
#[derive(Clone)]
enum Goal {
    /// To whoever reads the command's output.
    Kept,
    Log,
    File(String),
}

impl Goal {
    /// Puts text into a file; what does not go there is given back.
    fn put(&self, text: String, disk: &mut Disk<'_>) -> String {
        let Self::File(path) = self else {
            return text;
        };
        // It was opened a moment ago; a disk that is full since loses it.
        let _ = disk.write(path, &text, true);
        String::new()
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
