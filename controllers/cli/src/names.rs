//! The program under another name: one file is the whole image, and links to it are the programs.

use crate::commands::Cli;
use clap::{CommandFactory, Error, FromArgMatches};
use registry::programs;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// What the command line asks for; ends the process where it asks for help, or for something that is not there.
pub(crate) fn parse(given: impl IntoIterator<Item = OsString>) -> Cli {
    read(given).unwrap_or_else(|error| error.exit())
}

/// A link's command line is what `corten` itself would be given: `job-controller --v=2` is `corten controllers
/// --controllers=job-controller … --v=2`, with the Lease and the component's name that this program has alone. It is called
/// by its own name in what is said of it.
fn read(given: impl IntoIterator<Item = OsString>) -> Result<Cli, Error> {
    let mut given: Vec<OsString> = given.into_iter().collect();
    let called = given.first().map(|word| Path::new(word).file_name());
    let called = called.flatten().and_then(OsStr::to_str).unwrap_or_default();
    let mut cli = Cli::command();
    if let Some((command, words)) = programs::stands_for(called) {
        let (name, usage) = (called.to_owned(), format!("{called} [OPTIONS]"));
        cli = cli.mut_subcommand(command, |part| {
            part.display_name(name).override_usage(usage)
        });
        let more = std::iter::once(command.to_owned()).chain(words);
        given.splice(1..1, more.map(OsString::from));
    }
    let mut matches = cli.try_get_matches_from_mut(given)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut cli))
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::commands::Command;

    fn asked(line: &str) -> Result<Command, String> {
        let given = line.split(' ').map(Into::into);
        read(given)
            .map(|cli| cli.command)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_link_to_the_program_is_one_of_its_parts() {
        let part = |line: &str| match asked(line) {
            Ok(Command::Controllers(flags)) => {
                let lease = flags.common.election.leader_elect_resource_name;
                let lease = lease.unwrap_or_default();
                format!(
                    "controllers {} {lease} {}",
                    flags.controllers.controllers.join(","),
                    flags.common.logging.v
                )
            }
            Ok(Command::Scheduler(flags)) => format!("scheduler {}", flags.common.logging.v),
            Ok(Command::Nodes(flags)) => format!("nodes {}", flags.count),
            Ok(other) => format!("{other:?}").to_lowercase(),
            Err(error) => error.lines().next().unwrap_or_default().to_owned(),
        };
        let cases = [
            ("corten crds", "crds"),
            ("/bin/corten crds", "crds"),
            ("kube-scheduler --v=2", "scheduler 2"),
            ("corten-nodes --count=7", "nodes 7"),
            ("kube-controller-manager", "controllers *  0"),
            (
                "/bin/job-controller --v=2",
                "controllers job-controller job-controller 2",
            ),
            // No name of a part: a name of the program.
            ("jobs-controller crds", "crds"),
            ("* crds", "crds"),
        ];
        for (given, expected) in cases {
            assert_eq!(part(given), expected, "{given}");
        }
    }

    #[test]
    fn a_part_is_called_by_its_own_name_in_its_help() {
        for name in registry::programs::names() {
            let help = asked(&format!("{name} --help")).expect_err("help is asked for");
            let usage = format!("Usage: {name} [OPTIONS]");
            assert!(help.lines().any(|line| line == usage), "{name}: {help}");
            let version = asked(&format!("{name} --version")).expect_err("so is the version");
            assert!(version.starts_with(&format!("{name} ")), "{version}");
        }
    }
}
