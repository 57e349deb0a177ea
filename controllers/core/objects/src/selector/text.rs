//! Selectors as text, as they stand in queries and in `status.selector` of a scale.
//!
//! Upstream: `apimachinery/pkg/labels/selector.go`, `Parse`. Comparisons of numbers (`>`, `<`) are refused: nothing that
//! makes such texts can say them.

use super::{Operator, Requirement, Selector, SelectorError, valid_key, valid_value};

impl Selector {
    /// Reads `app=web,tier in (a,b),stage!=test,!canary`; the empty text selects everything.
    pub fn from_text(text: &str) -> Result<Self, SelectorError> {
        let parts = split(text);
        let parts = parts.iter().filter(|_| !text.trim().is_empty());
        Ok(Self(
            parts
                .map(|part| requirement(part.trim()))
                .collect::<Result<_, _>>()?,
        ))
    }
}

/// At the commas that are outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' => inside = true,
            ')' => inside = false,
            ',' if !inside => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

fn requirement(part: &str) -> Result<Requirement, SelectorError> {
    let wrong = |what: &str| SelectorError {
        field: format!("{part:?}"),
        message: what.to_owned(),
    };
    let listed = |word: &str| {
        let (key, values) = part.split_once('(')?;
        let key = key
            .trim_end()
            .strip_suffix(word)?
            .strip_suffix(char::is_whitespace)?;
        let values = values.strip_suffix(')')?.split(',');
        let values: Vec<String> = values.map(|value| value.trim().to_owned()).collect();
        Some((key.trim(), values))
    };
    let one = |sign: &str| {
        let (key, value) = part.split_once(sign)?;
        Some((key.trim(), vec![value.trim().to_owned()]))
    };
    let (key, operator) = if let Some((key, values)) = listed("notin") {
        (key, Operator::NotIn(values))
    } else if let Some((key, values)) = listed("in") {
        (key, Operator::In(values))
    } else if let Some((key, values)) = one("!=") {
        (key, Operator::NotIn(values))
    } else if let Some((key, mut values)) = one("==").or_else(|| one("=")) {
        (key, Operator::Is(values.pop().unwrap_or_default()))
    } else if let Some(key) = part.strip_prefix('!') {
        (key.trim(), Operator::DoesNotExist)
    } else {
        (part, Operator::Exists)
    };
    if !valid_key(key) {
        return Err(wrong(&format!("{key:?} is not a label key")));
    }
    let values = match &operator {
        Operator::Is(value) => std::slice::from_ref(value),
        Operator::In(values) | Operator::NotIn(values) => values,
        _ => &[],
    };
    if let Some(value) = values.iter().find(|value| !valid_value(value)) {
        return Err(wrong(&format!("{value:?} is not a label value")));
    }
    let key = key.to_owned();
    Ok(Requirement { key, operator })
}

#[cfg(test)]
mod tests {
    use crate::Selector;

    #[test]
    fn a_selector_is_read_as_it_is_written() {
        for text in [
            "",
            "app=web",
            "app=web,tier in (a,b),stage notin (test),canary,!broken",
            "example.com/part=",
        ] {
            let read = Selector::from_text(text).map(|selector| selector.to_string());
            assert_eq!(read.as_deref(), Ok(text));
        }
    }

    #[test]
    fn spaces_and_other_signs_do_not_matter() {
        for (text, same) in [
            (" app == web , tier in ( a, b )", "app=web,tier in (a,b)"),
            ("stage!=test", "stage notin (test)"),
        ] {
            let read = Selector::from_text(text).map(|selector| selector.to_string());
            assert_eq!(read.as_deref(), Ok(same));
        }
    }

    #[test]
    fn what_is_no_selector_is_told() {
        for text in [
            "a,", "=b", "a=b c", "a>1", "a in b", "in (a)", "a in (b", ",", "a=(b",
        ] {
            assert!(Selector::from_text(text).is_err(), "{text}");
        }
    }
}
