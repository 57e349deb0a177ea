//! The tools that a script may call: files, texts and time, as busybox has them.

use super::files::{Disk, Entry, Trouble, absolute};
use super::machine::Effect;
use super::{NotUnderstood, arith, condition};
use jiff::Timestamp;
use std::time::Duration;

/// Tools, by their own name.
const TOOLS: [&str; 41] = [
    ":", "[", "[[", "awk", "basename", "cat", "chmod", "chown", "cp", "cut", "date", "dirname",
    "echo", "env", "expr", "false", "grep", "head", "hostname", "id", "ls", "mkdir", "mv", "nproc",
    "printenv", "printf", "pwd", "rm", "rmdir", "seq", "sleep", "sync", "tail", "tee", "test",
    "touch", "true", "uname", "usleep", "wc", "whoami",
];
/// What only a shell has.
const BUILTINS: [&str; 14] = [
    "command", "cd", "declare", "exec", "exit", "export", "local", "readonly", "return", "set",
    "shift", "trap", "unset", "wait",
];
/// Where tools are.
const PLACES: [&str; 5] = [
    "/bin/",
    "/usr/bin/",
    "/sbin/",
    "/usr/sbin/",
    "/usr/local/bin/",
];

/// True when a container can run this without a shell.
pub fn is_tool(name: &str) -> bool {
    TOOLS.contains(&base(name))
}

/// True when a shell can run this.
pub fn is_known(name: &str) -> bool {
    is_tool(name) || BUILTINS.contains(&name)
}

/// The name of a tool without the place where it is.
pub(super) fn base(name: &str) -> &str {
    PLACES
        .iter()
        .find_map(|place| name.strip_prefix(place))
        .unwrap_or(name)
}

/// How long `sleep` with these arguments takes: `5`, `0.5`, `1m 30s`, `infinity`.
pub fn sleep_time(arguments: &[String]) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for argument in arguments {
        if matches!(argument.as_str(), "inf" | "infinity") {
            return Some(Duration::MAX);
        }
        let (number, unit) = match argument.strip_suffix(['s', 'm', 'h', 'd']) {
            Some(number) => (number, &argument[number.len()..]),
            None => (argument.as_str(), "s"),
        };
        let unit = match unit {
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => 1.0,
        };
        if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        let seconds: f64 = number.parse().ok()?;
        let time = Duration::try_from_secs_f64(seconds * unit).unwrap_or(Duration::MAX);
        total = total.saturating_add(time);
    }
    (!arguments.is_empty()).then_some(total)
}

/// A path as a command names it, from the root.
///
/// # Errors
/// When it is in a volume of which a hollow node does not know what it holds.
pub(super) fn path(
    name: &str,
    directory: &str,
    disk: &mut Disk<'_>,
) -> Result<String, NotUnderstood> {
    let path = absolute(directory, name);
    if disk.is_unknown(&path) && disk.entry(&path).is_none() {
        return Err(NotUnderstood(format!("{name}, which only a real node has")));
    }
    Ok(path)
}

/// One call of a tool.
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: &'a [String],
    pub(super) input: &'a str,
    pub(super) directory: &'a str,
    pub(super) environment: &'a [(&'a str, &'a str)],
    pub(super) clock: Timestamp,
    pub(super) out: String,
    pub(super) err: String,
}

type Done = Result<i32, NotUnderstood>;

impl<'a> Call<'a> {
    /// Calls the tool.
    pub(super) fn run(&mut self, disk: &mut Disk<'_>) -> Result<Effect, NotUnderstood> {
        let tool = base(self.name);
        let code = match tool {
            ":" | "true" | "sync" | "chmod" | "chown" => 0,
            "false" => 1,
            "sleep" => match sleep_time(self.arguments) {
                Some(Duration::MAX) => return Ok(Effect::Forever),
                Some(time) => return Ok(Effect::Sleep(time)),
                None => self.fail("invalid number"),
            },
            "usleep" => {
                let micros = self
                    .arguments
                    .first()
                    .and_then(|micros| micros.parse().ok());
                let micros = micros.ok_or_else(|| self.unknown(""))?;
                return Ok(Effect::Sleep(Duration::from_micros(micros)));
            }
            "tail"
                if self
                    .arguments
                    .iter()
                    .any(|argument| argument == "-f" || argument == "-F") =>
            {
                return Ok(Effect::Forever);
            }
            "test" | "[" | "[[" => self.test(disk)?,
            "echo" => self.echo(),
            "printf" => self.printf()?,
            "touch" | "mkdir" | "rm" | "rmdir" => self.change(tool, disk)?,
            "cp" | "mv" => self.copy(tool == "mv", disk)?,
            "cat" | "head" | "tail" | "wc" | "grep" | "awk" | "cut" => self.filter(tool, disk)?,
            "tee" => self.tee(disk)?,
            "ls" => self.ls(disk)?,
            "expr" => self.expr()?,
            "seq" => self.seq()?,
            "date" => self.date()?,
            "basename" | "dirname" => self.part(tool),
            "env" | "printenv" => self.env()?,
            _ => self.fact(tool)?,
        };
        Ok(Effect::Status(code))
    }

    fn unknown(&self, what: &str) -> NotUnderstood {
        NotUnderstood(format!("{} {what}", self.name).trim().to_owned())
    }

    fn fail(&mut self, why: &str) -> i32 {
        self.err.push_str(&format!("{}: {why}\n", base(self.name)));
        1
    }

    fn trouble(&mut self, what: &str, trouble: Trouble) -> i32 {
        let why = trouble.text();
        // As busybox words it.
        let verb = if base(self.name) == "cat" {
            "can't open "
        } else {
            ""
        };
        self.fail(&format!("{verb}'{what}': {why}"))
    }

    /// Separates `-abc` from the rest; only the flags that are `allowed` are understood.
    fn flags(&self, allowed: &str) -> Result<(String, Vec<&'a str>), NotUnderstood> {
        let (mut flags, mut rest) = (String::new(), Vec::new());
        let mut over = false;
        for argument in self.arguments {
            match argument.strip_prefix('-') {
                Some("-") if !over => over = true,
                Some(letters) if !over && !letters.is_empty() => {
                    if !letters.chars().all(|letter| allowed.contains(letter)) {
                        return Err(self.unknown(argument));
                    }
                    flags.push_str(letters);
                }
                _ => rest.push(argument.as_str()),
            }
        }
        Ok((flags, rest))
    }

    fn test(&mut self, disk: &mut Disk<'_>) -> Done {
        let end = match base(self.name) {
            "[" => Some("]"),
            "[[" => Some("]]"),
            _ => None,
        };
        let words = match (end, self.arguments.split_last()) {
            (Some(end), Some((last, words))) if last == end => words,
            (Some(_), _) => return Err(self.unknown("without its end")),
            (None, _) => self.arguments,
        };
        let holds = condition::holds(words, self.name == "[[", self.directory, disk)?;
        Ok(match holds {
            Some(holds) => i32::from(!holds),
            None => {
                self.fail("bad number");
                2
            }
        })
    }

    fn echo(&mut self) -> i32 {
        let mut words = self.arguments;
        let (mut newline, mut escapes) = (true, false);
        while let Some((first, rest)) = words.split_first()
            && let Some(letters) = first.strip_prefix('-')
            && !letters.is_empty()
            && letters.chars().all(|letter| "neE".contains(letter))
        {
            newline &= !letters.contains('n');
            escapes |= letters.contains('e');
            words = rest;
        }
        let text = words.join(" ");
        self.out
            .push_str(&if escapes { unescape(&text) } else { text });
        if newline {
            self.out.push('\n');
        }
        0
    }

    /// `%s`, `%d`, `%i` and `%%`; the format repeats as long as there are arguments.
    fn printf(&mut self) -> Done {
        let Some((format, arguments)) = self.arguments.split_first() else {
            return Ok(self.fail("usage: printf FORMAT [ARG]..."));
        };
        let mut arguments = arguments.iter();
        loop {
            let before = arguments.len();
            let mut rest = format.as_str();
            while let Some(at) = rest.find('%') {
                self.out.push_str(&unescape(&rest[..at]));
                let kind = rest[at + 1..].chars().next().unwrap_or(' ');
                match kind {
                    '%' => self.out.push('%'),
                    's' => self
                        .out
                        .push_str(arguments.next().map_or("", String::as_str)),
                    'd' | 'i' => self
                        .out
                        .push_str(arguments.next().map_or("0", String::as_str)),
                    'b' => self
                        .out
                        .push_str(&unescape(arguments.next().map_or("", String::as_str))),
                    _ => return Err(self.unknown(format)),
                }
                rest = &rest[at + 1 + kind.len_utf8()..];
            }
            self.out.push_str(&unescape(rest));
            if arguments.len() == 0 || arguments.len() == before {
                return Ok(0);
            }
        }
    }

    fn change(&mut self, tool: &str, disk: &mut Disk<'_>) -> Done {
        let allowed = match tool {
            "rm" => "rRfv",
            "mkdir" => "pv",
            "touch" => "acm",
            _ => "",
        };
        let (flags, names) = self.flags(allowed)?;
        let mut code = 0;
        for name in names {
            let path = absolute(self.directory, name);
            let done = match tool {
                "touch" if matches!(disk.entry(&path), Some(Entry::Directory)) => Ok(()),
                "touch" => disk.write(&path, "", true),
                "mkdir" => disk.make(&path, flags.contains('p')),
                "rmdir" => disk.remove_directory(&path),
                _ => match disk.remove(&path, flags.contains(['r', 'R'])) {
                    Err(Trouble::Missing) if flags.contains('f') => Ok(()),
                    done => done,
                },
            };
            if let Err(trouble) = done {
                code = self.trouble(name, trouble);
            }
        }
        Ok(code)
    }

    fn copy(&mut self, moves: bool, disk: &mut Disk<'_>) -> Done {
        let (_, names) = self.flags("fpva")?;
        let [from, to] = names.as_slice() else {
            return Err(self.unknown("of several files"));
        };
        let source = path(from, self.directory, disk)?;
        let text = match disk.read(&source) {
            Ok(text) => text,
            Err(Trouble::IsDirectory) => return Err(self.unknown("of a directory")),
            Err(trouble) => return Ok(self.trouble(from, trouble)),
        };
        let mut target = absolute(self.directory, to);
        if disk.entry(&target) == Some(&Entry::Directory) {
            let name = source.rsplit('/').next().unwrap_or_default();
            target = absolute(&target, name);
        }
        if let Err(trouble) = disk.write(&target, &text, false) {
            return Ok(self.trouble(to, trouble));
        }
        if moves && let Err(trouble) = disk.remove(&source, false) {
            return Ok(self.trouble(from, trouble));
        }
        Ok(0)
    }

    /// Tools that read files, or what the command before wrote, and write something of it.
    fn filter(&mut self, tool: &str, disk: &mut Disk<'_>) -> Done {
        let (mut flags, mut names, mut number) = (String::new(), Vec::new(), None);
        let mut words = self.arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match (tool, word) {
                ("head" | "tail", "-n" | "-c") => {
                    flags.push_str(word);
                    number = words.next();
                }
                ("cut", "-d" | "-f") => {
                    flags.push_str(&word[1..]);
                    flags.push_str(words.next().unwrap_or_default());
                }
                _ if word.len() > 1 && word.starts_with('-') => flags.push_str(&word[1..]),
                _ => names.push(word),
            }
        }
        let pattern = match tool {
            "grep" | "awk" if names.is_empty() => return Err(self.unknown("")),
            "grep" | "awk" => names.remove(0),
            _ => "",
        };
        let mut text = String::new();
        let mut code = 0;
        for name in &names {
            let file = path(name, self.directory, disk)?;
            match disk.read(&file) {
                Ok(read) => text.push_str(&read),
                Err(trouble) => code = self.trouble(name, trouble),
            }
        }
        if names.is_empty() {
            text.push_str(self.input);
        }
        let lines = || text.lines();
        match tool {
            "cat" if flags.is_empty() => self.out.push_str(&text),
            "wc" => {
                let count = match flags.as_str() {
                    "l" => text.matches('\n').count(),
                    "c" => text.len(),
                    "w" => text.split_whitespace().count(),
                    _ => return Err(self.unknown(&flags)),
                };
                let count = count.to_string();
                let words: Vec<_> = [&*count].into_iter().chain(names).collect();
                self.out.push_str(&format!("{}\n", words.join(" ")));
            }
            "head" | "tail" => {
                let number = match number {
                    Some(number) => number.parse::<usize>().ok(),
                    None if flags.is_empty() => Some(10),
                    None => flags.trim_start_matches('n').parse().ok(),
                };
                let number = number.ok_or_else(|| self.unknown(&flags))?;
                if flags == "-c" {
                    return Err(self.unknown("-c"));
                }
                let skip = if tool == "tail" {
                    lines().count().saturating_sub(number)
                } else {
                    0
                };
                for line in lines().skip(skip).take(number) {
                    self.out.push_str(line);
                    self.out.push('\n');
                }
            }
            "grep" => {
                if !flags.chars().all(|flag| "qvicEFsx".contains(flag)) {
                    return Err(self.unknown(&flags));
                }
                let pattern = Pattern::new(pattern, &flags).ok_or_else(|| self.unknown(pattern))?;
                let found: Vec<&str> = lines()
                    .filter(|line| pattern.matches(line) != flags.contains('v'))
                    .collect();
                if flags.contains('c') {
                    self.out.push_str(&format!("{}\n", found.len()));
                } else if !flags.contains('q') {
                    for line in &found {
                        self.out.push_str(&format!("{line}\n"));
                    }
                }
                return Ok(if code == 0 {
                    i32::from(found.is_empty())
                } else {
                    2
                });
            }
            "awk" => {
                let field = pattern
                    .trim()
                    .strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'))
                    .and_then(|rest| rest.trim().strip_prefix("print"))
                    .and_then(|rest| rest.trim().strip_prefix('$'))
                    .and_then(|number| number.parse::<usize>().ok());
                let field = field
                    .filter(|_| flags.is_empty())
                    .ok_or_else(|| self.unknown(pattern))?;
                for line in lines() {
                    let part = match field {
                        0 => line,
                        n => line.split_whitespace().nth(n - 1).unwrap_or_default(),
                    };
                    self.out.push_str(&format!("{part}\n"));
                }
            }
            "cut" => {
                let mut delimiter = '\t';
                let mut field = None;
                let mut rest = flags.as_str();
                while let Some(kind) = rest.chars().next() {
                    rest = &rest[kind.len_utf8()..];
                    let length = match kind {
                        'd' => rest.chars().next().map_or(0, char::len_utf8),
                        _ => rest
                            .find(|c: char| !c.is_ascii_digit())
                            .unwrap_or(rest.len()),
                    };
                    let (value, after) = rest.split_at(length);
                    match kind {
                        'd' => delimiter = value.chars().next().unwrap_or(delimiter),
                        'f' => field = value.parse::<usize>().ok(),
                        _ => return Err(self.unknown(&flags)),
                    }
                    rest = after;
                }
                let field = field
                    .filter(|field| *field > 0)
                    .ok_or_else(|| self.unknown(&flags))?;
                for line in lines() {
                    let part = match line.contains(delimiter) {
                        true => line.split(delimiter).nth(field - 1).unwrap_or_default(),
                        false => line,
                    };
                    self.out.push_str(&format!("{part}\n"));
                }
            }
            _ => return Err(self.unknown(&flags)),
        }
        Ok(code)
    }

    fn tee(&mut self, disk: &mut Disk<'_>) -> Done {
        let (flags, names) = self.flags("a")?;
        let mut code = 0;
        for name in names {
            let path = absolute(self.directory, name);
            if let Err(trouble) = disk.write(&path, self.input, flags.contains('a')) {
                code = self.trouble(name, trouble);
            }
        }
        self.out.push_str(self.input);
        Ok(code)
    }

    fn ls(&mut self, disk: &mut Disk<'_>) -> Done {
        let (_, names) = self.flags("1aA")?;
        let names = if names.is_empty() { vec!["."] } else { names };
        let mut code = 0;
        for name in names {
            let at = path(name, self.directory, disk)?;
            match disk.entry(&at) {
                Some(Entry::Directory) => {
                    for name in disk.list(&at) {
                        self.out.push_str(&format!("{name}\n"));
                    }
                }
                Some(Entry::File(_)) => self.out.push_str(&format!("{name}\n")),
                None => code = self.trouble(name, Trouble::Missing),
            }
        }
        Ok(code)
    }

    /// Sums and comparisons; one that gives nothing or 0 fails.
    fn expr(&mut self) -> Done {
        let is_number = |text: &str| text.parse::<i64>().is_ok();
        let result = match self.arguments {
            [one] => one.clone(),
            [left, sign, right]
                if matches!(sign.as_str(), "=" | "!=")
                    && !(is_number(left) && is_number(right)) =>
            {
                i64::from((left == right) == (sign == "=")).to_string()
            }
            words => {
                let sum: Vec<&str> = words
                    .iter()
                    .map(|word| if word == "=" { "==" } else { word.as_str() })
                    .collect();
                arith::evaluate(&sum.join(" "), &|_| "expr".to_owned())?.to_string()
            }
        };
        self.out.push_str(&format!("{result}\n"));
        Ok(i32::from(result.is_empty() || result == "0"))
    }

    fn seq(&mut self) -> Done {
        let numbers: Option<Vec<i64>> = self
            .arguments
            .iter()
            .map(|number| number.parse().ok())
            .collect();
        let (first, step, last) = match numbers.as_deref() {
            Some([last]) => (1, 1, *last),
            Some([first, last]) => (*first, 1, *last),
            Some([first, step, last]) if *step != 0 => (*first, *step, *last),
            _ => return Err(self.unknown("")),
        };
        let mut next = first;
        for _ in 0..10_000 {
            if (step > 0 && next > last) || (step < 0 && next < last) {
                return Ok(0);
            }
            self.out.push_str(&format!("{next}\n"));
            next = next.saturating_add(step);
        }
        Err(self.unknown("of so many"))
    }

    fn date(&mut self) -> Done {
        let format = self
            .arguments
            .iter()
            .find_map(|argument| argument.strip_prefix('+'));
        let known = |argument: &String| {
            argument.starts_with('+') || matches!(argument.as_str(), "-u" | "-Iseconds")
        };
        if !self.arguments.iter().all(known) {
            return Err(self.unknown(&self.arguments.join(" ")));
        }
        let time = self.clock.to_zoned(jiff::tz::TimeZone::UTC);
        let format = format.unwrap_or("%a %b %e %H:%M:%S UTC %Y");
        let text = jiff::fmt::strtime::format(format, &time).map_err(|_| self.unknown(format))?;
        self.out.push_str(&format!("{text}\n"));
        Ok(0)
    }

    fn part(&mut self, tool: &str) -> i32 {
        let Some(path) = self.arguments.first() else {
            return self.fail("missing operand");
        };
        let path = path.trim_end_matches('/');
        let (directory, name) = match path.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some(parts) => parts,
            None => (".", path),
        };
        let suffix = self.arguments.get(1).map_or("", String::as_str);
        let text = match tool {
            "dirname" => directory,
            _ => name
                .strip_suffix(suffix)
                .filter(|name| !name.is_empty())
                .unwrap_or(name),
        };
        self.out.push_str(&format!("{text}\n"));
        0
    }

    fn env(&mut self) -> Done {
        match self.arguments {
            [] => {
                for (name, value) in self.environment {
                    self.out.push_str(&format!("{name}={value}\n"));
                }
                Ok(0)
            }
            [name] if base(self.name) == "printenv" => {
                let value = self.environment.iter().find(|(known, _)| known == name);
                if let Some((_, value)) = value {
                    self.out.push_str(&format!("{value}\n"));
                }
                Ok(i32::from(value.is_none()))
            }
            _ => Err(self.unknown(&self.arguments.join(" "))),
        }
    }

    /// Tools that tell one thing.
    fn fact(&mut self, tool: &str) -> Done {
        let value = |name: &str| self.environment.iter().find(|(known, _)| *known == name);
        let text = match (tool, self.arguments) {
            ("hostname", []) => value("HOSTNAME").map_or("localhost", |(_, value)| value),
            ("pwd", _) => self.directory,
            ("whoami", []) => "root",
            ("nproc", []) => "1",
            ("uname", []) => "Linux",
            ("id", [flag]) if flag == "-u" || flag == "-g" => "0",
            _ => return Err(self.unknown(&self.arguments.join(" "))),
        };
        self.out.push_str(&format!("{text}\n"));
        Ok(0)
    }
}

/// What `echo -e` and `printf` make of a backslash.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let next = if c == '\\' { chars.next() } else { None };
        match (c, next) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('t')) => plain.push('\t'),
            ('\\', Some('r')) => plain.push('\r'),
            ('\\', Some('\\') | None) => plain.push('\\'),
            ('\\', Some(other)) => plain.extend(['\\', other]),
            (c, _) => plain.push(c),
        }
    }
    plain
}

/// A pattern of `grep` that is a text, with `^`, `$` and `.` at most.
struct Pattern {
    text: Vec<char>,
    from_start: bool,
    to_end: bool,
    fixed: bool,
    fold: bool,
}

impl Pattern {
    fn new(pattern: &str, flags: &str) -> Option<Self> {
        let fixed = flags.contains('F');
        let whole = flags.contains('x');
        let start = (!fixed).then(|| pattern.strip_prefix('^')).flatten();
        let inner = start.unwrap_or(pattern);
        let end = (!fixed).then(|| inner.strip_suffix('$')).flatten();
        let text = end.unwrap_or(inner);
        if !fixed
            && text.contains([
                '[', ']', '*', '\\', '^', '$', '+', '?', '(', ')', '{', '}', '|',
            ])
        {
            return None;
        }
        let fold = flags.contains('i');
        let text = if fold {
            text.to_lowercase()
        } else {
            text.to_owned()
        };
        Some(Self {
            text: text.chars().collect(),
            from_start: whole || start.is_some(),
            to_end: whole || end.is_some(),
            fixed,
            fold,
        })
    }

    fn matches(&self, line: &str) -> bool {
        let line = if self.fold {
            line.to_lowercase()
        } else {
            line.to_owned()
        };
        let line: Vec<char> = line.chars().collect();
        let Some(last) = line.len().checked_sub(self.text.len()) else {
            return false;
        };
        (0..=last).any(|at| {
            let here = &line[at..at + self.text.len()];
            let same = here
                .iter()
                .zip(&self.text)
                .all(|(have, want)| have == want || (*want == '.' && !self.fixed));
            same && (!self.from_start || at == 0) && (!self.to_end || at == last)
        })
    }
}
