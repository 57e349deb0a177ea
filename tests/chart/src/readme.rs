//! The chart's README: its prose, and a table of the values made from their comments in `values.yaml`.

const PROSE: &str = include_str!("readme.md");
const PLACE: &str = "<!-- values -->\n";

/// The file.
pub(crate) fn text(values: &str) -> String {
    let rows: String = rows(values).iter().map(Row::text).collect();
    let table = format!("| value | default | what |\n|---|---|---|\n{rows}");
    PROSE.replace(PLACE, &table)
}

#[derive(Debug, PartialEq)]
struct Row {
    key: String,
    default: String,
    what: String,
}

impl Row {
    fn text(&self) -> String {
        let escaped = |text: &str| text.replace('|', "\\|");
        let default = match &*self.default {
            "" => String::new(),
            default => format!("`{}`", escaped(default)),
        };
        format!("| `{}` | {default} | {} |\n", self.key, escaped(&self.what))
    }
}

/// One row a key of the two upper levels, in order. What stands deeper is the default of what it stands in.
fn rows(values: &str) -> Vec<Row> {
    let (mut rows, mut comment): (Vec<Row>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut parent = "";
    for line in values.lines() {
        let bare = line.trim_start();
        let depth = (line.len() - bare.len()) / 2;
        if let Some(said) = bare.strip_prefix('#') {
            comment.push(said.trim());
            continue;
        }
        let Some((key, default)) = bare.split_once(':').filter(|_| depth < 2) else {
            let deeper = rows.last_mut().filter(|_| depth > 1 && !bare.is_empty());
            if let Some(row) = deeper {
                let comma = if row.default.is_empty() { "" } else { ", " };
                row.default.push_str(&format!("{comma}{bare}"));
            }
            comment.clear();
            continue;
        };
        let (what, default) = (comment.join(" "), default.trim());
        comment.clear();
        match depth {
            0 if default.is_empty() => {
                parent = key;
                if !what.is_empty() {
                    rows.push(row(key.to_owned(), "", what));
                }
            }
            0 => rows.push(row(key.to_owned(), default, what)),
            _ => rows.push(row(format!("{parent}.{key}"), default, what)),
        }
    }
    for n in 0..rows.len() {
        if rows[n].what.is_empty() {
            rows[n].what = inherited(&rows, n);
        }
    }
    rows
}

fn row(key: String, default: &str, what: String) -> Row {
    Row {
        key,
        default: default.to_owned(),
        what,
    }
}

/// What is said of the same key of `controllers`.
fn inherited(rows: &[Row], of: usize) -> String {
    let Some((_, key)) = rows[of].key.split_once('.') else {
        return String::new();
    };
    let key = format!("controllers.{key}");
    let found = rows[..of]
        .iter()
        .find(|row| row.key == key && !row.what.is_empty());
    found.map_or(String::new(), |row| format!("as `{}`", row.key))
}

#[cfg(test)]
mod tests {
    use super::{Row, rows};

    #[test]
    fn comments_become_the_rows_of_a_table() {
        let values = "\
# Which.
mode: beside

# The first
# of them.
controllers:
  # Whether it runs.
  enabled: true
  resources:
    requests: { cpu: 1m }
    limits: { memory: 1Mi }
two:
  enabled: false
";
        let row = |key: &str, default: &str, what: &str| Row {
            key: key.to_owned(),
            default: default.to_owned(),
            what: what.to_owned(),
        };
        let expected = [
            row("mode", "beside", "Which."),
            row("controllers", "", "The first of them."),
            row("controllers.enabled", "true", "Whether it runs."),
            row(
                "controllers.resources",
                "requests: { cpu: 1m }, limits: { memory: 1Mi }",
                "",
            ),
            row("two.enabled", "false", "as `controllers.enabled`"),
        ];
        assert_eq!(rows(values), expected);
    }
}
