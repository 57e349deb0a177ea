//! The static pod of kube-controller-manager, as text: one word of it is changed, and no other byte. Pure.

use super::flag;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

const FLAG: &str = "--controllers";
const PROGRAM: &str = "kube-controller-manager";

/// A manifest with another `--controllers`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// The whole text.
    pub(super) text: String,
    /// The line that was there, if there was one, and the one that is.
    pub(super) lines: (Option<String>, Option<String>),
}

/// The manifest with these controllers off; none if they are.
///
/// # Errors
/// It is not kube-controller-manager's, or its flag is written in a way that is not understood.
pub(super) fn leave(text: &str, controllers: &[String]) -> Result<Option<Edit>> {
    let value = value(text)?;
    let now = value.as_deref().unwrap_or(flag::DEFAULT);
    let wanted = flag::without(now, controllers);
    match wanted == now {
        true => Ok(None),
        false => set(text, Some(&wanted)).map(Some),
    }
}

/// What takes a change back from a manifest that has been changed in other ways since: the flag as it was in `original`,
/// if it is still as it was `taken`.
///
/// # Errors
/// It is not, so that nobody knows what it is to be.
pub(super) fn give_back(text: &str, taken: &str, original: &str) -> Result<Option<Edit>> {
    let (now, then, before) = (value(text)?, value(taken)?, value(original)?);
    if now == before {
        return Ok(None);
    }
    let before = before.as_deref();
    ensure!(
        now == then,
        "{FLAG} has been changed since it was taken over: it is {}; what it was before is {}: set it by hand",
        now.as_deref().unwrap_or("not there"),
        before.unwrap_or(flag::DEFAULT),
    );
    set(text, before).map(Some)
}

/// What is to be kept of a manifest that is about to be changed: as it is, but that what an earlier takeover has done to it
/// is taken back, if its traces are there.
pub(super) fn original(now: &str, taken: Option<&str>, original: Option<&str>) -> String {
    let (Some(taken), Some(original)) = (taken, original) else {
        return now.to_owned();
    };
    match give_back(now, taken, original) {
        Ok(Some(_)) if now == taken => original.to_owned(),
        Ok(Some(edit)) => edit.text,
        // Somebody else has set the flag since.
        Ok(None) | Err(_) => now.to_owned(),
    }
}

/// The flag's value, if it is there.
///
/// # Errors
/// As [`leave`].
pub(super) fn value(text: &str) -> Result<Option<String>> {
    let words = command(text)?;
    let found = words.iter().filter(|word| word.starts_with(FLAG));
    let found: Vec<&String> = found
        .filter(|word| !word.starts_with("--controllers-"))
        .collect();
    match found[..] {
        [] => Ok(None),
        [word] => match word
            .strip_prefix(FLAG)
            .and_then(|rest| rest.strip_prefix('='))
        {
            Some(value) => Ok(Some(value.to_owned())),
            None => bail!("{word} stands apart from its value; write it as {FLAG}=…"),
        },
        _ => bail!("{FLAG} stands there {} times", found.len()),
    }
}

/// The words of the container's command, with its arguments.
fn command(text: &str) -> Result<Vec<String>> {
    let pod: Value = serde_saphyr::from_str(text).context("it is no YAML")?;
    let containers = pod["spec"]["containers"].as_array();
    for container in containers.into_iter().flatten() {
        let lists = ["command", "args"].map(|list| container[list].as_array());
        let words = lists.into_iter().flatten().flatten();
        let words: Vec<String> = words.filter_map(Value::as_str).map(str::to_owned).collect();
        let program = words
            .first()
            .map(|word| word.rsplit('/').next() == Some(PROGRAM));
        if program == Some(true) {
            return Ok(words);
        }
    }
    bail!("it is not the static pod of {PROGRAM}")
}

/// The same text with this value of the flag, or without the flag.
fn set(text: &str, value: Option<&str>) -> Result<Edit> {
    let is_flag = |line: &str| word(line).is_some_and(|word| word.starts_with("--controllers="));
    let is_program =
        |line: &str| word(line).is_some_and(|word| word.rsplit('/').next() == Some(PROGRAM));
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let by_hand = || {
        format!(
            "{FLAG} is written in a way that is not understood; set it by hand: {FLAG}={}",
            value.unwrap_or(flag::DEFAULT)
        )
    };
    let at = lines.iter().position(|line| is_flag(line));
    let line = |like: &str, value: &str| -> Option<String> {
        let (before, _) = like.split_once("- ")?;
        let end = if like.ends_with("\r\n") { "\r\n" } else { "\n" };
        Some(format!("{before}- {FLAG}={value}{end}"))
    };
    let changed = match (at, value) {
        (Some(at), Some(value)) => {
            let old = lines[at].clone();
            // Quotes and comments stay, whatever they are.
            let start = old.find("--controllers=").with_context(by_hand)? + FLAG.len() + 1;
            let rest = &old[start..];
            let end = rest
                .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\''))
                .unwrap_or(rest.len());
            lines[at] = format!("{}{value}{}", &old[..start], &rest[end..]);
            (Some(old), Some(lines[at].clone()))
        }
        (Some(at), None) => (Some(lines.remove(at)), None),
        (None, Some(value)) => {
            let program = lines
                .iter()
                .position(|line| is_program(line))
                .with_context(by_hand)?;
            let new = line(&lines[program], value).with_context(by_hand)?;
            lines.insert(program + 1, new.clone());
            (None, Some(new))
        }
        (None, None) => bail!(by_hand()),
    };
    let edited = lines.concat();
    // Whatever the text looks like: its words are those that were there but for this one.
    let others = |text: &str| -> Result<Vec<String>> {
        let mut words = command(text)?;
        words.retain(|word| !word.starts_with("--controllers="));
        Ok(words)
    };
    let is_right = self::value(&edited)?.as_deref() == value && others(&edited)? == others(text)?;
    ensure!(is_right, by_hand());
    let shown = |line: Option<String>| line.map(|line| line.trim_end().to_owned());
    Ok(Edit {
        text: edited,
        lines: (shown(changed.0), shown(changed.1)),
    })
}

/// The item of a list that stands on this line, without quotes.
fn word(line: &str) -> Option<&str> {
    let item = line.trim_start().strip_prefix("- ")?.trim();
    Some(
        item.trim_start_matches(['"', '\''])
            .trim_end_matches(['"', '\'']),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{give_back, leave, original, value};

    /// As kubeadm writes it, but for what is of no matter here.
    fn manifest(flag: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations: {{}}   # kept\n  name: kube-controller-manager\n  \
             namespace: kube-system\nspec:\n  containers:\n  - command:\n    - kube-controller-manager\n    \
             - --bind-address=127.0.0.1\n{flag}    - --leader-elect=true\n    image: x\n    name: \
             kube-controller-manager\nstatus: {{}}\n"
        )
    }

    fn ours() -> Vec<String> {
        vec!["job-controller".to_owned()]
    }

    #[test]
    fn one_word_is_changed_and_no_other_byte() {
        let cases = [
            (
                "    - --controllers=*,bootstrapsigner\n",
                "    - --controllers=*,bootstrapsigner,-job-controller\n",
            ),
            (
                "    - \"--controllers=*\"   # why\n",
                "    - \"--controllers=*,-job-controller\"   # why\n",
            ),
            ("    - '--controllers=job,ttl'\n", "    - 'X'\n"),
        ];
        for (before, after) in cases {
            let after = after.replace('X', "--controllers=ttl");
            let edit = leave(&manifest(before), &ours()).unwrap().unwrap();
            assert_eq!(edit.text, manifest(&after));
            assert_eq!(edit.lines.1.as_deref(), Some(after.trim_end()));
            assert_eq!(leave(&edit.text, &ours()).unwrap(), None, "twice is once");
        }
    }

    #[test]
    fn where_the_flag_is_not_there_it_is_added() {
        let text = manifest("");
        let edit = leave(&text, &ours()).unwrap().unwrap();
        assert_eq!(
            value(&edit.text).unwrap().as_deref(),
            Some("*,-job-controller")
        );
        assert_eq!(
            edit.lines,
            (
                None,
                Some("    - --controllers=*,-job-controller".to_owned())
            )
        );
        let back = give_back(&edit.text, &edit.text, &text).unwrap().unwrap();
        assert_eq!(back.text, text);
    }

    #[test]
    fn a_manifest_that_was_changed_in_other_ways_gets_its_flag_back_and_keeps_the_rest() {
        let original = manifest("    - --controllers=*,bootstrapsigner\n");
        let taken = leave(&original, &ours()).unwrap().unwrap().text;
        let upgraded = taken.replace("image: x", "image: y");
        let back = give_back(&upgraded, &taken, &original).unwrap().unwrap();
        assert_eq!(back.text, original.replace("image: x", "image: y"));
        assert_eq!(give_back(&back.text, &taken, &original).unwrap(), None);
        let other = taken.replace("-job-controller", "-ttl");
        let said = give_back(&other, &taken, &original)
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("changed since") && said.contains("*,bootstrapsigner"),
            "{said}"
        );
    }

    #[test]
    fn what_is_kept_is_what_it_was_before_the_first_takeover_and_not_older_than_it_has_to_be() {
        let first = manifest("    - --controllers=*,bootstrapsigner\n");
        let taken = leave(&first, &ours()).unwrap().unwrap().text;
        let newer = |text: &str| text.replace("image: x", "image: y");
        let other = manifest("    - --controllers=*,-ttl\n");
        let cases = [
            ("taken, and more is to be", &taken, &first),
            ("taken and upgraded", &newer(&taken), &newer(&first)),
            (
                "given back by hand and upgraded",
                &newer(&first),
                &newer(&first),
            ),
            ("something else", &other, &other),
        ];
        for (what, now, expected) in cases {
            assert_eq!(
                &original(now, Some(&taken), Some(&first)),
                expected,
                "{what}"
            );
        }
        assert_eq!(original(&first, None, None), first);
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let flow = "kind: Pod\nspec: {containers: [{command: [kube-controller-manager, --controllers=*]}]}\n";
        let apart = manifest("    - --controllers\n    - '*'\n");
        let twice = manifest("    - --controllers=*\n    - --controllers=ttl\n");
        let cases: [(&str, &str); 5] = [
            (flow, "set it by hand: --controllers=*,-job-controller"),
            (&apart, "stands apart"),
            (&twice, "2 times"),
            ("kind: Pod\nspec: {}\n", "not the static pod"),
            ("\t{", "no YAML"),
        ];
        for (text, expected) in cases {
            let said = format!("{:#}", leave(text, &ours()).unwrap_err());
            assert!(said.contains(expected), "{said}");
        }
    }
}
