//! `files/roles.yaml`: the table of `registry::roles`, for the chart's templates.

use registry::roles::{self, Role, Rule};

const HEAD: &str = "\
# Made from controllers/registry/src/roles: UPDATE=1 cargo test -p chart
# What each part may do. A rule that an ordinary day does not show says when it is needed.
";

/// The file.
pub(crate) fn text() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("besideGroups:\n");
    for (builtin, ours) in roles::BESIDE {
        text.push_str(&format!("  {builtin}: {ours}\n"));
    }
    text.push_str("election:\n");
    rules(&mut text, "  ", roles::ELECTION.rules);
    text.push_str("guard:\n");
    rules(&mut text, "  ", roles::GUARD.rules);
    let is_component = |role: &&Role| matches!(role.name, "scheduler" | "nodes");
    text.push_str("components:\n");
    for role in roles::all().filter(is_component) {
        text.push_str(&format!("  {}:\n", role.name));
        rules(&mut text, "    ", role.rules);
    }
    text.push_str("controllers:\n");
    for role in roles::all().filter(|role| !is_component(role)) {
        let Role {
            name,
            beside,
            only_by_name,
            ..
        } = role;
        text.push_str(&format!("  {name}:\n    beside: {beside}\n"));
        text.push_str(&format!("    onlyByName: {only_by_name}\n"));
        rules(&mut text, "    ", role.rules);
        if let Some(rule) = roles::probe_of(name) {
            text.push_str("    probe:\n");
            rules(&mut text, "      ", std::slice::from_ref(rule));
        }
    }
    text
}

fn rules(text: &mut String, indent: &str, rules: &[Rule]) {
    text.push_str(&format!("{indent}rules:\n"));
    for rule in rules {
        let Rule {
            group,
            resources,
            verbs,
            names,
            seldom,
        } = rule;
        if !seldom.is_empty() {
            text.push_str(&format!("{indent}  # {seldom}\n"));
        }
        text.push_str(&format!("{indent}  - apiGroups: [{group:?}]\n"));
        text.push_str(&format!("{indent}    resources: {resources:?}\n"));
        if !names.is_empty() {
            text.push_str(&format!("{indent}    resourceNames: {names:?}\n"));
        }
        text.push_str(&format!("{indent}    verbs: {verbs:?}\n"));
    }
}
