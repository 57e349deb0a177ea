//! What the programs say of their flags, and of what is wrong with those that they are given. Nobody is asked for that:
//! there is no API server here.

use crate::{Program, parts};
use anyhow::{Context, Result, ensure};
use cluster::Outcome;
use corten_test::folder::Folder;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The headings that each help has, in this order.
const HEADINGS: [&str; 5] = [
    "Options:",
    "Client:",
    "Leader election:",
    "Serving:",
    "Logging:",
];

/// A flag of each kind that each program has.
const COMMON: [&str; 8] = [
    "--kubeconfig",
    "--master",
    "--group",
    "--namespaces",
    "--leader-elect",
    "--if-stock-runs",
    "--secure-port",
    "--v",
];

/// A flag that some have besides.
const OWN: [(&str, &str); 9] = [
    ("certificate-controller", "--cluster-signing-cert-file"),
    ("corten-nodes (a link)", "--node-profiles"),
    (
        "kube-controller-manager",
        "--service-account-private-key-file",
    ),
    ("kube-controller-manager", "--controllers"),
    ("kube-controller-manager", "--terminated-pod-gc-threshold"),
    ("kube-scheduler", "--config"),
    ("node-ipam-controller", "--cluster-cidr"),
    (
        "serviceaccount-controller",
        "--service-account-private-key-file",
    ),
    ("job-controller (a link)", "--workers"),
];

/// What cannot be, and what is said of it: which flag, and what is allowed. `BROKEN` is a file with something else in it.
const WRONG: [(&[&str], &[&str]); 24] = [
    (&["--no-such-flag"], &["--no-such-flag"]),
    (&["word"], &["'word'"]),
    (&["--kubeconfig"], &["--kubeconfig", "value is required"]),
    (
        &["--kubeconfig=/nowhere/config"],
        &["/nowhere/config (--kubeconfig) does not exist"],
    ),
    (
        &["--kubeconfig=BROKEN"],
        &["BROKEN (--kubeconfig) cannot be used: failed to parse"],
    ),
    (&["--master=::"], &["--master", "URL like https://"]),
    (&["--group=apps"], &["--group", "builtin, corten.dev"]),
    (
        &["--if-stock-runs=fight"],
        &["--if-stock-runs", "refuse, wait, ignore"],
    ),
    (
        &["--namespaces=kube_system"],
        &["--namespaces", "1 to 63 of a-z, 0-9"],
    ),
    (&["--namespaces="], &["--namespaces", "1 to 63 of a-z, 0-9"]),
    (&["--namespace=A"], &["--namespace", "1 to 63 of a-z, 0-9"]),
    (
        &["--namespace=a", "--namespaces=b"],
        &["--namespace ", "--namespaces", "cannot be used with"],
    ),
    (
        &["--leader-elect=perhaps"],
        &["--leader-elect", "true or false"],
    ),
    (
        &["--leader-elect-lease-duration=15"],
        &["--leader-elect-lease-duration", "like 15s"],
    ),
    (
        &["--leader-elect-renew-deadline=20s"],
        &["--leader-elect-lease-duration (15s) must be longer than --leader-elect-renew-deadline"],
    ),
    (
        &["--leader-elect-retry-period=-1s"],
        &["--leader-elect-retry-period", "like 15s"],
    ),
    (&["--secure-port=70000"], &["--secure-port", "0 to 65535"]),
    (&["--secure-port=-1"], &["--secure-port", "0 to 65535"]),
    (&["--bind-address=here"], &["--bind-address", "IP address"]),
    (&["--v=256"], &["--v", "0 to 255"]),
    (
        &["--logging-format=xml"],
        &["--logging-format", "text, json"],
    ),
    (&["--v=many"], &["--v", "0 to 255"]),
    (
        &["--kube-api-qps=many"],
        &["--kube-api-qps", "a number is wanted"],
    ),
    (
        &["--kube-api-burst=many"],
        &["--kube-api-burst", "a whole number from 0"],
    ),
];

/// What of `corten` asks an API server and is no part, and what each of them refuses.
const COMMANDS: [&[&str]; 8] = [
    &["check"],
    &["why", "pod/a"],
    &["rollout", "status", "deployment/a"],
    &["rollout", "history", "deployment/a"],
    &["rollout", "undo", "deployment/a"],
    &["takeover", "--by-hand"],
    &["handback", "--by-hand"],
    &["up"],
];
const REFUSED: [(&str, &str); 3] = [
    ("--no-such-flag", "--no-such-flag"),
    (
        "--kubeconfig=/nowhere/config",
        "/nowhere/config (--kubeconfig) does not exist",
    ),
    ("--master=::", "URL like https://"),
];
/// What means nothing to a hand-over, as it is no loop and looks after no namespace.
const NO_LOOP: [&str; 4] = [
    "--namespace=a",
    "--group=builtin",
    "--kube-api-qps=1",
    "--v=2",
];

/// Those that can be kept to some namespaces.
const KEPT: [&str; 13] = [
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
];

/// Those that do nothing, anywhere, without a key or a range.
const IDLE: [&str; 4] = [
    "certificatesigningrequest-signing-controller",
    "node-ipam-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-token-controller",
];

/// The exit code and what is printed, where there is no cluster and no home.
fn said(program: &Path, words: &[&str]) -> Result<(i32, String, String)> {
    let mut command = Command::new(program);
    let output = command.args(words).env_clear().output();
    let output = output.with_context(|| program.display().to_string())?;
    let code = output.status.code().context("it was killed")?;
    let text = |bytes| String::from_utf8(bytes).context("it is text");
    Ok((code, text(output.stdout)?, text(output.stderr)?))
}

/// That these words are refused with one sentence in which all these parts are.
fn refuses(program: &Program, words: &[&str], parts: &[&str]) -> Result<()> {
    let (code, output, error) = said(&program.file, words)?;
    let of = || format!("{} {words:?}: {code}\n{output}{error}", program.said());
    ensure!(code == 2 && output.is_empty(), of());
    ensure!(!error.contains("panicked"), of());
    // clap says in the second line which values there are, and below how the program is used.
    let mut lines = error.lines();
    let sentence = lines.next().unwrap_or_default();
    let by_flag = sentence.starts_with("error: ");
    ensure!(by_flag || lines.next().is_none(), of());
    let speaks = sentence.split(": ").next().unwrap_or_default();
    let is_part = program.is_link && speaks == "kube-controller-manager";
    ensure!(by_flag || is_part || speaks == program.name, of());
    for part in parts {
        ensure!(error.contains(part), "{part}: {}", of());
    }
    Ok(())
}

/// That its help is grouped, says of each flag what it is, and has these flags.
fn helps(program: &Program) -> Result<()> {
    let (code, help, error) = said(&program.file, &["--help"])?;
    let of = || format!("{}: {code}\n{error}{help}", program.said());
    ensure!(code == 0 && error.is_empty(), of());
    let usage = format!("Usage: {} [OPTIONS]", program.name);
    let lines: Vec<&str> = help.lines().collect();
    ensure!(lines.contains(&&*usage), "{usage}: {}", of());
    let at = HEADINGS.map(|heading| lines.iter().position(|line| *line == heading));
    ensure!(
        at.is_sorted() && at.iter().all(Option::is_some),
        "{at:?}: {}",
        of()
    );
    let mut flags = BTreeSet::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some((_, flag)) = line
            .split_once("--")
            .filter(|_| line.trim().starts_with('-'))
        {
            flags.insert(format!(
                "--{}",
                flag.split([' ', '[', '=']).next().unwrap_or(flag)
            ));
            let about = lines
                .get(at + 1)
                .is_some_and(|next| !next.trim().is_empty());
            ensure!(about, "{flag}: {}", of());
        }
    }
    let said = program.said();
    let own = OWN.iter().filter(|(name, _)| said.starts_with(name));
    for flag in COMMON.iter().chain(own.map(|(_, flag)| flag)) {
        ensure!(flags.contains(*flag), "{flag}: {}", of());
    }
    let (code, version, error) = self::said(&program.file, &["--version"])?;
    let expected = format!("{} {}\n", program.name, env!("CARGO_PKG_VERSION"));
    ensure!(code == 0 && version == expected, "{version}{error}");
    Ok(())
}

#[test]
fn every_program_has_a_help_and_says_in_a_sentence_which_flag_cannot_be_and_what_can() -> Outcome {
    let all = || -> Result<()> {
        let folder = Folder::new()?;
        let parts = parts(folder.path())?;
        let broken = folder.path().join("broken");
        std::fs::write(&broken, "no: kubeconfig: here\n")?;
        let broken = broken.display().to_string();
        let mut kept = BTreeSet::new();
        let expected: BTreeSet<&str> = KEPT.into_iter().chain(IDLE).collect();
        for program in &parts {
            helps(program)?;
            for (words, parts) in WRONG {
                let named = |text: &&str| text.replace("BROKEN", &broken);
                let (words, parts): (Vec<String>, Vec<String>) = (
                    words.iter().map(named).collect(),
                    parts.iter().map(named).collect(),
                );
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                refuses(program, &words, &parts)?;
            }
            // Of nobody: where the flag is taken, it is the API server that is missing.
            let mut words = vec!["--namespaces=a", "--master=http://127.0.0.1:1"];
            words.extend(program.needs);
            match refuses(program, &words, &["--namespaces: ", "whole cluster"]) {
                Ok(()) => {}
                Err(_) => {
                    refuses(program, &words, &["cannot be reached"])?;
                    kept.insert(program.name.as_str());
                }
            }
        }
        ensure!(kept.iter().eq(&expected), "{kept:?}");
        let links = parts.iter().filter(|part| part.is_link).count();
        eprintln!(
            "{} programs, {links} of them links, and {} command lines that cannot be of each",
            parts.len(),
            WRONG.len() + 1
        );
        Ok(())
    };
    Ok(all()?)
}

#[test]
fn every_command_that_asks_an_api_server_says_in_a_sentence_which_flag_cannot_be() -> Outcome {
    let all = || -> Result<()> {
        let corten = Program {
            name: "corten".to_owned(),
            file: cluster::program(None)?,
            is_link: false,
            needs: None,
        };
        for command in COMMANDS {
            for (wrong, expected) in REFUSED {
                refuses(&corten, &[command, &[wrong]].concat(), &[expected])?;
            }
        }
        for command in ["takeover", "handback"] {
            for flag in NO_LOOP {
                let name = flag.split('=').next().unwrap_or(flag);
                refuses(&corten, &[command, flag], &["unexpected argument", name])?;
            }
        }
        Ok(())
    };
    Ok(all()?)
}
