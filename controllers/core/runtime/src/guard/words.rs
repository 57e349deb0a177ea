//! What people are told of it. Pure.

use super::{Duties, Found};

/// What has to be set for kube-controller-manager so that it leaves these controllers alone, where nobody has set anything
/// else: kubeadm's default, and all of these switched off. Those that only Corten has are left out, as an unknown name ends it.
pub fn flag(controllers: &[String]) -> String {
    let mut words = vec![
        "*",
        "bootstrap-signer-controller",
        "token-cleaner-controller",
    ];
    let off: Vec<String> = controllers
        .iter()
        .filter(|name| !words.contains(&name.as_str()))
        .filter(|name| *name != "hostpath-provisioner-controller")
        .map(|name| format!("-{name}"))
        .collect();
    words.extend(off.iter().map(String::as_str));
    format!("--controllers={}", words.join(","))
}

/// Why a process does not begin, and what to do, as one paragraph; nothing where there is nothing in its way.
pub(super) fn refusal(duties: &Duties, found: &Found) -> Option<String> {
    let stock = duties.stock();
    let what = match found {
        Found::Nobody | Found::Beside(_) => return None,
        Found::AtWork { by, at } => match duties {
            Duties::Pods(_) => format!("{stock} ({by}) serves pods of {} too", at.join(", ")),
            _ => format!("{stock} ({by}) is at work as {}", at.join(", ")),
        },
        Found::Unclear { by, why } if by.is_empty() => {
            format!("whether {stock} runs cannot be found out: {why}")
        }
        Found::Unclear { by, why } => {
            format!(
                "{stock} ({by}) runs, and whether it does the same work cannot be found out: {why}"
            )
        }
    };
    let change = match duties {
        Duties::Pods(_) => format!(
            "Take {stock} out (on kubeadm and kind `corten takeover` moves its manifest away and `corten handback` puts it back), or serve another schedulerName"
        ),
        Duties::Controllers(names) => format!(
            "Have {stock} leave them alone with {} (on kubeadm and kind `corten takeover` sets that and `corten handback` undoes it), or serve Corten's own groups beside it (--group=corten.dev)",
            flag(names)
        ),
        Duties::Apart => return None,
    };
    Some(format!(
        "{what}; two that do the same work get into each other's way, so nothing is begun. {change}. \
         To wait until it lets go: --if-stock-runs=wait. To work in spite of it: --if-stock-runs=ignore."
    ))
}

#[cfg(test)]
mod tests {
    use super::{flag, refusal};
    use crate::guard::{Duties, Found};

    fn at_work(at: &str) -> Found {
        Found::AtWork {
            by: "cp_1".to_owned(),
            at: vec![at.to_owned()],
        }
    }

    #[test]
    fn who_is_refused_is_told_what_to_set() {
        let names = [
            "job-controller",
            "token-cleaner-controller",
            "hostpath-provisioner-controller",
        ];
        let names: Vec<String> = names.map(str::to_owned).to_vec();
        let set =
            "--controllers=*,bootstrap-signer-controller,token-cleaner-controller,-job-controller";
        assert_eq!(flag(&names), set);
        let said = refusal(&Duties::Controllers(names), &at_work("job-controller"));
        let said = said.unwrap_or_default();
        for part in [
            "kube-controller-manager (cp_1) is at work as job-controller",
            &format!("with {set} ("),
            "`corten takeover`",
            "--if-stock-runs=wait",
            "--if-stock-runs=ignore",
            "--group=corten.dev",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(said.lines().count(), 1);
    }

    #[test]
    fn a_scheduler_is_told_of_names_and_not_of_controllers() {
        let duties = Duties::Pods(vec!["default-scheduler".to_owned()]);
        let said = refusal(&duties, &at_work("default-scheduler")).unwrap_or_default();
        assert!(said.starts_with("kube-scheduler (cp_1) serves pods of default-scheduler too"));
        assert!(said.contains("another schedulerName") && !said.contains("--controllers"));
    }

    #[test]
    fn what_cannot_be_found_out_is_in_the_way_and_what_is_idle_is_not() {
        let duties = Duties::Controllers(vec!["job-controller".to_owned()]);
        let unclear = Found::Unclear {
            by: "cp_1".to_owned(),
            why: "no right".to_owned(),
        };
        assert!(refusal(&duties, &unclear).is_some_and(|said| said.contains("no right")));
        let hidden = Found::Unclear {
            by: String::new(),
            why: "no right".to_owned(),
        };
        let said = refusal(&duties, &hidden).unwrap_or_default();
        assert!(
            said.starts_with("whether kube-controller-manager runs cannot"),
            "{said}"
        );
        assert_eq!(refusal(&duties, &Found::Beside("cp_1".to_owned())), None);
        assert_eq!(refusal(&duties, &Found::Nobody), None);
    }
}
