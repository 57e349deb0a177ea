//! What `--controllers` of kube-controller-manager means, and what it has to be. Pure.
//!
//! The first word about a controller counts, `*` wherever it stands; each has a name and an alias
//! (`k8s.io/controller-manager/app/helper.go`, `IsControllerEnabled`).

/// What kube-controller-manager does without the flag.
pub(super) const DEFAULT: &str = "*";

/// The flag's value with these controllers off, and the rest of it as it is.
pub(super) fn without(value: &str, controllers: &[String]) -> String {
    let mut words: Vec<&str> = value.split(',').collect();
    let off: Vec<&String> = controllers
        .iter()
        .filter(|name| **name != registry::HOSTPATH && is_on(value, name))
        .collect();
    words.retain(|word| !off.iter().any(|name| is(word, name)));
    let has_star = words.iter().any(|word| word.trim() == "*");
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    if has_star {
        words.extend(off.iter().map(|name| format!("-{name}")));
    }
    words.join(",")
}

/// Whether it runs this controller; one that is off by default counts as one that `*` means.
pub(super) fn is_on(value: &str, controller: &str) -> bool {
    let words = || value.split(',').map(str::trim);
    for word in words() {
        match word.strip_prefix('-') {
            Some(word) if is(word, controller) => return false,
            None if is(word, controller) => return true,
            _ => {}
        }
    }
    words().any(|word| word == "*")
}

/// Whether the word is the controller's name or alias.
fn is(word: &str, controller: &str) -> bool {
    let word = word.trim();
    word == controller || registry::alias(controller) == Some(word)
}

#[cfg(test)]
mod tests {
    use super::{is_on, without};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_first_word_about_a_controller_counts_and_each_has_two_names() {
        let cases = [
            ("*", true),
            ("", false),
            ("*,-job", false),
            ("-job-controller,*", false),
            ("job,-job", true),
            ("-job,job-controller,*", false),
            ("cronjob", false),
            ("* , -job", false),
        ];
        for (value, expected) in cases {
            assert_eq!(is_on(value, "job-controller"), expected, "{value}");
        }
    }

    #[test]
    fn what_is_left_alone_is_switched_off_and_all_else_stays_as_it_is() {
        let cases = [
            ("*", "*,-job-controller,-deployment-controller"),
            (
                "*,bootstrapsigner,tokencleaner",
                "*,bootstrapsigner,tokencleaner,-job-controller,-deployment-controller",
            ),
            (
                "*,-job,tokencleaner",
                "*,-job,tokencleaner,-deployment-controller",
            ),
            ("job,*", "*,-job-controller,-deployment-controller"),
            ("job,deployment-controller,cronjob", "cronjob"),
            (
                "*,-deployment,-job-controller",
                "*,-deployment,-job-controller",
            ),
        ];
        let ours = names(&["job-controller", "deployment-controller"]);
        for (value, expected) in cases {
            let changed = without(value, &ours);
            assert_eq!(changed, expected);
            assert_eq!(without(&changed, &ours), changed, "twice is once");
            for name in &ours {
                assert!(!is_on(&changed, name), "{changed}");
            }
        }
    }

    #[test]
    fn a_controller_that_upstream_has_not_is_not_named() {
        assert_eq!(
            without("*", &names(&["hostpath-provisioner-controller"])),
            "*"
        );
    }
}
