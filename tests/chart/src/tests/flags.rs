//! The program takes each command line that the chart and the static pods give it.

use super::helm::{rendered, values};
use super::kind;
use anyhow::{Context, Result, ensure};
use cluster::Outcome;
use serde_json::Value;
use std::process::Command;

/// What goes before `--help` is looked at first.
fn takes(container: &Value) -> Result<()> {
    let words = container["args"].as_array().context("args")?;
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    let mut program = Command::new(cluster::program(None)?);
    let output = program.args(&words).arg("--help").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{words:?}: {said}");
    Ok(())
}

#[test]
fn the_program_takes_each_command_line_that_it_is_given() -> Outcome {
    let all = || -> Result<()> {
        for pod in ["corten-controllers", "corten-scheduler"] {
            let pod = kind::read(&format!("static-pods/{pod}.yaml"));
            takes(&pod["spec"]["containers"][0])?;
        }
        let mut taken = 0;
        for file in values() {
            let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered(&file)?)?;
            let pods = objects
                .iter()
                .filter_map(|object| match object["kind"].as_str()? {
                    "Deployment" => Some(&object["spec"]["template"]["spec"]),
                    "Pod" => Some(&object["spec"]),
                    _ => None,
                });
            for pod in pods {
                takes(&pod["containers"][0]).with_context(|| file.display().to_string())?;
                taken += 1;
            }
        }
        // Two components or more of each file, and its test.
        ensure!(taken >= 18, "{taken} command lines");
        Ok(())
    };
    Ok(all()?)
}
