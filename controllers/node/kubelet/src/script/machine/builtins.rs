//! The commands that change the shell itself.

use super::{Doing, Machine};
use crate::script::files::absolute;
use crate::script::{NotUnderstood, parse};

impl Machine {
    /// Runs a command that changes the shell itself; false when it is none.
    pub(super) fn builtin(
        &mut self,
        name: &str,
        arguments: &[String],
    ) -> Result<bool, NotUnderstood> {
        let code = |default: i32| match arguments.first() {
            None => Ok(default),
            Some(text) => text
                .parse::<i32>()
                .map_err(|_| NotUnderstood(format!("{name} {text}"))),
        };
        let before = std::mem::take(&mut self.status);
        match name {
            "exit" => {
                let code = code(before)?;
                self.ending = self.ending.map(|_| code);
                self.exit(code);
            }
            "return" => {
                self.status = code(before)?;
                self.leave();
            }
            "trap" => self.trap(arguments)?,
            "set" => self.set(arguments)?,
            "export" | "readonly" | "local" | "declare" | "typeset" => {
                self.declare(name, arguments)?;
            }
            "unset" => {
                for name in arguments.iter().filter(|name| !name.starts_with('-')) {
                    self.variables.remove(name);
                    self.functions.remove(name);
                }
            }
            "shift" => {
                let by = arguments
                    .first()
                    .and_then(|by| by.parse().ok())
                    .unwrap_or(1usize);
                if let Some(frame) = self.frames.last_mut() {
                    let end = (1 + by).min(frame.arguments.len().max(1));
                    frame
                        .arguments
                        .drain(1.min(frame.arguments.len())..end.min(frame.arguments.len()));
                }
            }
            "cd" => {
                let to = arguments.first().cloned().or_else(|| self.value("HOME"));
                self.directory = absolute(&self.directory, &to.unwrap_or_else(|| "/".to_owned()));
            }
            "wait" => {
                if self.background.is_empty() {
                    return Ok(true);
                }
                let ends = std::mem::take(&mut self.background);
                let last = ends.into_iter().collect::<Option<Vec<_>>>();
                self.doing = Doing::Wait(last.and_then(|ends| ends.into_iter().max()));
            }
            _ => {
                self.status = before;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn trap(&mut self, arguments: &[String]) -> Result<(), NotUnderstood> {
        let arguments = match arguments {
            [first, rest @ ..] if first == "--" => rest,
            all => all,
        };
        let Some((action, signals)) = arguments.split_first() else {
            return Ok(());
        };
        for signal in signals {
            let signal = match signal.trim_start_matches("SIG") {
                "15" => "TERM",
                "2" => "INT",
                "0" => "EXIT",
                other => other,
            };
            if action == "-" {
                self.traps.remove(signal);
            } else {
                self.traps.insert(signal.to_owned(), action.clone());
            }
        }
        // What cannot be read later is told now.
        if action != "-" {
            parse::script(action, false, &|name| self.functions.contains_key(name))?;
        }
        Ok(())
    }

    fn set(&mut self, arguments: &[String]) -> Result<(), NotUnderstood> {
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "-o" | "+o" => {
                    let on = argument == "-o";
                    match rest.next().map(String::as_str) {
                        Some("errexit") => self.careful = on,
                        Some("nounset") => self.strict = on,
                        _ => {}
                    }
                }
                "--" => {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.arguments.truncate(1);
                        frame.arguments.extend(rest.by_ref().cloned());
                    }
                }
                flags if flags.starts_with(['-', '+']) => {
                    let on = flags.starts_with('-');
                    for flag in flags[1..].chars() {
                        match flag {
                            'e' => self.careful = on,
                            'u' => self.strict = on,
                            'o' => {
                                rest.next();
                            }
                            'x' | 'f' | 'm' | 'a' => {}
                            _ => return Err(NotUnderstood(format!("set {flags}"))),
                        }
                    }
                }
                other => return Err(NotUnderstood(format!("set {other}"))),
            }
        }
        Ok(())
    }

    fn declare(&mut self, kind: &str, arguments: &[String]) -> Result<(), NotUnderstood> {
        for argument in arguments {
            if argument.starts_with('-') {
                return Err(NotUnderstood(format!("{kind} {argument}")));
            }
            let (name, text) = argument
                .split_once('=')
                .map_or((argument.as_str(), None), |(n, t)| (n, Some(t)));
            if kind == "local" {
                let old = self.variables.get(name).cloned();
                if let Some(frame) = self.frames.last_mut() {
                    frame.locals.push((name.to_owned(), old));
                }
            }
            match text {
                Some(text) => self.assign(name, text.to_owned()),
                None if kind == "local" => self.assign(name, String::new()),
                None => {}
            }
            if kind == "export"
                && let Some(value) = self.variables.get_mut(name)
            {
                value.exported = true;
            }
        }
        Ok(())
    }
}
