//! The program under another name: one file is the whole image, and links to it are the programs.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The words of the command line, as `corten` itself would be given them: `job-controller --v=2` is `corten controllers
/// --controllers=job-controller … --v=2`, with the Lease and the component's name that this program has alone.
pub(crate) fn words(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut given: Vec<OsString> = given.into_iter().collect();
    let name = given.first().map(|word| Path::new(word).file_name());
    let name = name.flatten().and_then(OsStr::to_str).unwrap_or_default();
    let more: Vec<String> = match name {
        "kube-controller-manager" => vec!["controllers".to_owned()],
        "kube-scheduler" => vec!["scheduler".to_owned()],
        "corten-nodes" => vec!["nodes".to_owned()],
        _ if registry::select(&[name]).is_ok() && name.ends_with("-controller") => vec![
            "controllers".to_owned(),
            format!("--controllers={name}"),
            format!("--leader-elect-resource-name={name}"),
        ],
        _ => return given,
    };
    given.splice(1..1, more.into_iter().map(OsString::from));
    given
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_link_to_the_program_is_one_of_its_parts() {
        let read = |line: &str| {
            let words = words(line.split(' ').map(Into::into));
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            words.join(" ")
        };
        let cases = [
            ("corten up", "corten up"),
            ("/bin/corten status", "/bin/corten status"),
            ("kube-scheduler --v=2", "kube-scheduler scheduler --v=2"),
            ("corten-nodes", "corten-nodes nodes"),
            (
                "/bin/job-controller --v=2",
                "/bin/job-controller controllers --controllers=job-controller \
                 --leader-elect-resource-name=job-controller --v=2",
            ),
            ("jobs-controller", "jobs-controller"),
            ("*", "*"),
        ];
        for (given, expected) in cases {
            assert_eq!(read(given), expected);
        }
    }
}
