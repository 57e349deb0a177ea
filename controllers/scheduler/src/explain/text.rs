//! How an explanation reads.

use crate::explain::edits::amount;
use crate::explain::{Answer, Change, Edit, Obstacles};
use std::fmt::{self, Display, Formatter, Write};

impl Answer {
    /// What is said of the pod of this name, in lines.
    pub fn text(&self, pod: &str) -> String {
        match self {
            Self::Deleting => {
                format!("Pod {pod} is being deleted: it is given no node any more.\n")
            }
            Self::Ended { phase } => format!("Pod {pod} has ended ({phase}).\n"),
            Self::Scheduled { node } => format!("Pod {pod} is scheduled: it is on {node}.\n"),
            Self::Gated { gates } => {
                let gates = gates.join(", ");
                format!(
                    "Pod {pod} is gated: nobody gives it a node before its gates are taken away ({gates}).\n"
                )
            }
            Self::Foreign { scheduler, ours } => {
                let ours = ours.join(", ");
                format!(
                    "Pod {pod} is for the scheduler {scheduler}, whose plugins are not known here; known is {ours}.\n"
                )
            }
            Self::Fits { node } => format!(
                "Pod {pod} is pending, and can run: {node} would do now. It waits for its next try; if it goes on \
                 waiting, no scheduler runs that looks after it.\n"
            ),
            Self::Pending(obstacles) => obstacles.text(pod),
        }
    }
}

impl Obstacles {
    fn text(&self, pod: &str) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut text, pod);
        text
    }

    fn write(&self, text: &mut String, pod: &str) -> fmt::Result {
        if self.nodes == 0 {
            return writeln!(text, "Pod {pod} is pending: there are no nodes.");
        }
        writeln!(
            text,
            "Pod {pod} is pending: none of {} will do.",
            nodes(self.nodes)
        )?;
        if let Some(room) = &self.room {
            let who = match &room.victims[..] {
                [] => "less important pods are".to_owned(),
                [one] => format!("{one} is"),
                few if few.len() <= FEW => format!("{} are", few.join(", ")),
                many => format!("{} pods are", many.len()),
            };
            writeln!(
                text,
                "It has to wait and no more: {who} made to leave {} for it.",
                room.node
            )?;
        }
        writeln!(text)?;
        let width = self.plugins.iter().map(|each| each.plugin.len()).max();
        for each in &self.plugins {
            let alone = match each.alone {
                0 => String::new(),
                alone if alone == each.nodes => ", it alone".to_owned(),
                alone => format!(", {alone} of them it alone"),
            };
            writeln!(
                text,
                "  {:width$}  against {}{alone}",
                each.plugin,
                nodes(each.nodes),
                width = width.unwrap_or(0)
            )?;
            for (reason, count) in &each.reasons {
                writeln!(
                    text,
                    "  {:width$}  {count} {reason}",
                    "",
                    width = width.unwrap_or(0)
                )?;
            }
        }
        if let Some(miss) = &self.nearest {
            writeln!(text, "\nNearest is {}:", miss.node)?;
            for gap in &miss.gaps {
                writeln!(text, "  {}: {}", gap.plugin, gap.text)?;
            }
        }
        match &self.changes[..] {
            [] => writeln!(text, "\nNo change that was tried would let it run."),
            [first, others @ ..] => {
                let what = match first.edits.len() {
                    1 => "The smallest change that lets it run",
                    _ => "No single change lets it run; these together do",
                };
                writeln!(text, "\n{what} (tried):\n  {first}")?;
                if !others.is_empty() {
                    writeln!(text, "Others:")?;
                }
                others
                    .iter()
                    .try_for_each(|other| writeln!(text, "  {other}"))
            }
        }
    }
}

/// How many pods are named.
const FEW: usize = 4;

fn nodes(count: usize) -> String {
    match count {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, edit) in self.edits.iter().enumerate() {
            let and = if index == 0 { "" } else { "; " };
            write!(f, "{and}{edit}")?;
        }
        write!(f, " → {}", self.node)
    }
}

impl Display for Edit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::LowerRequest {
                container,
                resource,
                from,
                to,
            } => {
                let whose = match container {
                    Some(name) => format!("of container {name}"),
                    None => "of the pod".to_owned(),
                };
                let write = |of: i64| amount(resource, of);
                write!(
                    f,
                    "lower the {resource} request {whose} by {} to {}",
                    write(from - to),
                    write(*to)
                )
            }
            Self::AddToleration { key, value, effect } => {
                let value = value.as_ref().map(|value| format!("={value}"));
                write!(
                    f,
                    "tolerate the taint {key}{}:{effect}",
                    value.unwrap_or_default()
                )
            }
            Self::DropSelector { key, value } => {
                write!(f, "drop {key}: {value} from the nodeSelector")
            }
            Self::DropExpression { text, .. } => {
                write!(f, "drop {text} from the required node affinity")
            }
            Self::DropNodeAffinity => write!(f, "drop the required node affinity"),
            Self::DropPodTerm { anti, index, key } => {
                let kind = if *anti {
                    "podAntiAffinity"
                } else {
                    "podAffinity"
                };
                write!(f, "drop required term {} of {kind} ({key})", index + 1)
            }
            Self::RelaxSpread { key, .. } => {
                write!(
                    f,
                    "spread over {key} with whenUnsatisfiable: ScheduleAnyway"
                )
            }
            Self::RaiseMaxSkew { key, from, to, .. } => {
                write!(f, "raise maxSkew over {key} from {from} to {to}")
            }
            Self::DropHostPort { port } => write!(f, "drop the host port {port}"),
            Self::BindClaim { claim } => {
                write!(
                    f,
                    "bind the claim {claim} to a volume that can be used there"
                )
            }
            Self::RaisePriority {
                from,
                to,
                may_preempt,
                node,
                victims,
            } => {
                if to != from {
                    write!(f, "raise the priority from {from} to {to}")?;
                }
                if *may_preempt {
                    let and = if to == from { "" } else { " and " };
                    write!(f, "{and}let it preempt (preemptionPolicy)")?;
                }
                let (who, leave) = match &victims[..] {
                    [one] => (one.clone(), "leaves"),
                    few if few.len() <= FEW => (few.join(", "), "leave"),
                    many => (format!("{} pods", many.len()), "leave"),
                };
                write!(f, ", then {who} {leave} {node}")
            }
            Self::DeletePod { pod, node, .. } => write!(f, "delete the pod {pod} on {node}"),
            Self::Uncordon { node } => write!(f, "uncordon {node}"),
            Self::LabelNode { node, key, value } => write!(f, "label {node} with {key}={value}"),
            Self::GrowNode {
                node,
                resource,
                from,
                to,
            } => {
                let write = |of: i64| amount(resource, of);
                write!(
                    f,
                    "let {node} offer {} {resource} in place of {}",
                    write(*to),
                    write(*from)
                )
            }
            Self::AddNode { like } => write!(f, "add a node like {like}"),
        }
    }
}
