//! Label selectors, parsed once and then asked many times.
//!
//! Upstream: `apimachinery/pkg/apis/meta/v1/helpers.go` `LabelSelectorAsSelector` and `pkg/labels/selector.go`.

mod text;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// A validated label selector. All its requirements must hold; without any it matches every set of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    /// `matchLabels`, the case that nearly all selectors consist of
    Is(String),
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

/// What is wrong with a selector, and in which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError {
    /// The field inside the selector, such as `matchExpressions[0].operator`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for SelectorError {}

impl Selector {
    /// Parses the selector of an API object; an error names the first field that is wrong.
    pub fn parse(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            let field = || format!("matchLabels[{key}]");
            check(valid_key(key), field, || {
                format!("{key:?} is not a label key")
            })?;
            check(valid_value(value), field, || {
                format!("{value:?} is not a label value")
            })?;
            requirements.push(Requirement {
                key: key.clone(),
                operator: Operator::Is(value.clone()),
            });
        }
        for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
            let at = |field: &str| format!("matchExpressions[{index}].{field}");
            let values = expression.values.as_deref().unwrap_or_default();
            check(
                valid_key(&expression.key),
                || at("key"),
                || format!("{:?} is not a label key", expression.key),
            )?;
            for value in values {
                check(
                    valid_value(value),
                    || at("values"),
                    || format!("{value:?} is not a label value"),
                )?;
            }
            let one_or_more = || {
                check(
                    !values.is_empty(),
                    || at("values"),
                    || format!("operator {} needs at least one value", expression.operator),
                )
            };
            let none = || {
                check(
                    values.is_empty(),
                    || at("values"),
                    || format!("operator {} takes no values", expression.operator),
                )
            };
            let operator = match expression.operator.as_str() {
                "In" => one_or_more().map(|()| Operator::In(values.to_vec())),
                "NotIn" => one_or_more().map(|()| Operator::NotIn(values.to_vec())),
                "Exists" => none().map(|()| Operator::Exists),
                "DoesNotExist" => none().map(|()| Operator::DoesNotExist),
                other => Err(SelectorError {
                    field: at("operator"),
                    message: format!("{other:?} is not one of In, NotIn, Exists, DoesNotExist"),
                }),
            }?;
            requirements.push(Requirement {
                key: expression.key.clone(),
                operator,
            });
        }
        Ok(Self(requirements))
    }

    /// The selector of services and replication controllers, which is a plain map. An empty map matches everything;
    /// whoever means "selects nothing" by it asks [`Selector::is_empty`] first.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Self {
        let is = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            operator: Operator::Is(value.clone()),
        };
        Self(labels.iter().map(is).collect())
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.and_then(|labels| labels.get(&requirement.key));
            match &requirement.operator {
                Operator::Is(wanted) => value == Some(wanted),
                Operator::In(wanted) => value.is_some_and(|value| wanted.contains(value)),
                Operator::NotIn(unwanted) => !value.is_some_and(|value| unwanted.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }

    /// What both select.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Labels, key and value, that everything has that is selected.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|requirement| {
            let value = match &requirement.operator {
                Operator::Is(value) => value,
                Operator::In(values) if values.len() == 1 => &values[0],
                _ => return None,
            };
            Some((requirement.key.as_str(), value.as_str()))
        })
    }

    /// Whether it looks at the label of this key.
    pub fn asks_for(&self, key: &str) -> bool {
        self.0.iter().any(|requirement| requirement.key == key)
    }

    /// Whether the selector has no requirement and so matches everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// As kubectl writes a selector: `app=web,tier in (a,b),!canary`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, operator }) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match operator {
                Operator::Is(value) => write!(f, "{key}={value}")?,
                Operator::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Operator::Exists => f.write_str(key)?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

fn check(
    holds: bool,
    field: impl FnOnce() -> String,
    message: impl FnOnce() -> String,
) -> Result<(), SelectorError> {
    if holds {
        Ok(())
    } else {
        Err(SelectorError {
            field: field(),
            message: message(),
        })
    }
}

/// A qualified name: an optional DNS subdomain and a slash, then a name of at most 63 characters.
pub fn valid_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => {
            let label = |label: &str| {
                edges_are_alphanumeric(label)
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            };
            prefix.len() <= 253 && prefix.split('.').all(label) && valid_name(name)
        }
        None => valid_name(key),
    }
}

/// Empty, or at most 63 characters as in a name.
pub(crate) fn valid_value(value: &str) -> bool {
    value.is_empty() || valid_name(value)
}

fn valid_name(name: &str) -> bool {
    name.len() <= 63
        && edges_are_alphanumeric(name)
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn edges_are_alphanumeric(text: &str) -> bool {
    let (first, last) = (text.bytes().next(), text.bytes().next_back());
    first.is_some_and(|b| b.is_ascii_alphanumeric())
        && last.is_some_and(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
