#![allow(clippy::unwrap_used, clippy::panic)]

use crate::bill::Bill;
use crate::layout::{digest, layout};
use crate::tar::{Entry, What, archive};
use crate::{bill, contents, elf, label, unpack};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As much of a program as is looked at: one that asks for these kinds of segments.
fn program(machine: u8, segments: &[u8]) -> Vec<u8> {
    let mut program = vec![0; 64 + 56 * segments.len()];
    program[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (program[18], program[32], program[54]) = (machine, 64, 56);
    program[56] = u8::try_from(segments.len()).unwrap();
    for (n, kind) in segments.iter().enumerate() {
        program[64 + 56 * n] = *kind;
    }
    program
}

/// A new folder.
fn folder(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(format!("corten-image-{name}-{process}-{next}"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn made() -> Vec<Entry> {
    let folder = folder("program");
    let file = folder.join("corten");
    std::fs::write(&file, program(62, &[1])).unwrap();
    let bill = Bill {
        sbom: json!({}),
        licences: "theirs".to_owned(),
        own: "ours".to_owned(),
    };
    let entries = contents(&file, &bill);
    std::fs::remove_dir_all(&folder).unwrap();
    entries.unwrap()
}

#[test]
fn only_a_program_that_needs_no_others_is_taken() {
    assert_eq!(elf::of(&program(62, &[1, 2])).unwrap(), "amd64");
    assert_eq!(elf::of(&program(183, &[])).unwrap(), "arm64");
    let cases = [
        (program(62, &[1, 3]), "dynamically"),
        (program(40, &[]), "number 40"),
        (b"#!/bin/sh".to_vec(), "no program"),
    ];
    for (program, said) in cases {
        let error = elf::of(&program).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn each_part_has_its_name_in_the_image() {
    let entries = made();
    let link = |path: &str| {
        entries
            .iter()
            .find(|e| e.path == path)
            .map(|e| e.what.clone())
    };
    for name in [
        "job-controller",
        "kube-scheduler",
        "kube-controller-manager",
        "corten-nodes",
    ] {
        let to = Some(What::Link("/corten".to_owned()));
        assert_eq!(link(&format!("bin/{name}")), to);
    }
    for path in [
        "corten",
        "sbom.cdx.json",
        "licences/corten.txt",
        "licences/others.txt",
    ] {
        assert!(matches!(link(path), Some(What::File { .. })), "{path}");
    }
    assert!(entries.iter().all(|entry| entry.path.len() <= 100));
}

/// The system's own `tar` reads it.
#[test]
fn an_archive_is_one_that_others_read() {
    let folder = folder("archive");
    let file = folder.join("image.tar");
    std::fs::write(&file, archive(&made())).unwrap();
    let tar = Command::new("tar")
        .arg("-xf")
        .arg(&file)
        .arg("-C")
        .arg(&folder)
        .status();
    assert!(tar.unwrap().success());
    let read = |path: &str| std::fs::read(folder.join(path)).unwrap();
    assert_eq!(read("corten"), program(62, &[1]));
    assert_eq!(read("licences/corten.txt"), b"ours");
    let link = std::fs::read_link(folder.join("bin/job-controller")).unwrap();
    assert_eq!(link, Path::new("/corten"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_layout_names_each_blob_by_its_digest_and_is_the_same_each_time() {
    let label = label("registry.example.com/corten:0.1.0", "amd64");
    let files = layout(&made(), &label);
    assert_eq!(files, layout(&made(), &label));
    let folder = folder("layout");
    unpack(&files, &folder).unwrap();
    let read = |path: &str| std::fs::read(folder.join(path)).unwrap();
    let json = |path: &str| -> Value { serde_json::from_slice(&read(path)).unwrap() };
    let blob = |described: &Value| {
        let named = described["digest"].as_str().unwrap();
        let bytes = read(&named.replace("sha256:", "blobs/sha256/"));
        assert_eq!(digest(&bytes), named);
        assert_eq!(described["size"], bytes.len());
        bytes
    };
    let index = json("index.json");
    let named = &index["manifests"][0];
    assert_eq!(named["annotations"]["io.containerd.image.name"], label.name);
    let manifest: Value = serde_json::from_slice(&blob(named)).unwrap();
    let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
    let layer = blob(&manifest["layers"][0]);
    assert_eq!(config["rootfs"]["diff_ids"][0], digest(&layer).as_str());
    assert_eq!(config["config"]["User"], "65532:65532");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_bill_has_what_is_linked_and_nothing_that_only_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    let Bill {
        sbom,
        licences,
        own,
    } = bill::of(root, "corten").unwrap();
    let parts = sbom["components"].as_array().unwrap();
    let has = |name: &str| parts.iter().any(|part| part["name"] == name);
    for name in ["kube-client", "tokio", "rustls", "scheduler"] {
        assert!(has(name), "{name}");
    }
    assert!(!has("proptest") && !has("integration"));
    assert_eq!(sbom["metadata"]["component"]["name"], "corten");
    let unlicensed = parts.iter().filter(|part| part["licenses"].is_null());
    assert_eq!(unlicensed.count(), 0);
    assert!(own.contains("Apache License") && licences.contains("=== "));
    assert!(parts.len() > 100, "{} parts", parts.len());
}
