//! What has to be installed. On Debian and Ubuntu root may install it; elsewhere a test says what is missing, and fails.

use crate::command::{output, run};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// Each package of Debian with a program of it. The kernel's namespaces are entered by util-linux's.
const PACKAGES: [(&str, &str); 8] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("containernetworking-plugins", "host-local"),
    ("busybox-static", "busybox"),
    ("iproute2", "ip"),
    ("iptables", "iptables"),
    ("util-linux", "unshare"),
    ("mount", "mount"),
];

/// Where programs are besides PATH: CNI's plugins, on Debian and as their project installs them.
const CNI: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Where CNI's plugins are, after all packages have been seen or installed.
///
/// # Errors
/// We are not root, or something is missing that cannot be installed here.
pub(crate) fn install() -> Result<PathBuf> {
    let root = output(&["id", "-u"])?.trim() == "0";
    ensure!(
        root,
        "real containers need root, for namespaces, cgroups and mounts: run this test with sudo -E"
    );
    let lacking = lacking();
    if !lacking.is_empty() {
        let wanted = lacking.join(" ");
        let debian = find("apt-get").is_some();
        ensure!(
            debian,
            "install {wanted} (Debian's names), then run this test again"
        );
        eprintln!("installing {wanted}");
        let install =
            "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends";
        let twice = format!("{install} {wanted} || {{ apt-get update && {install} {wanted}; }}");
        run(&["sh", "-c", &twice]).with_context(|| format!("install {wanted} by hand"))?;
    }
    let still = self::lacking();
    ensure!(
        still.is_empty(),
        "these are installed, and what is needed of them is not there: {}",
        still.join(" ")
    );
    let plugin = find("host-local").context("CNI's plugins")?;
    Ok(plugin.parent().context("a folder")?.to_owned())
}

/// The packages whose programs are not there.
fn lacking() -> Vec<&'static str> {
    let absent = |(_, program): &&(&str, &str)| match *program {
        // The ordinary busybox needs a library that an image of ours has not.
        "busybox" => busybox().is_err(),
        program => find(program).is_none(),
    };
    let lacking = PACKAGES.iter().filter(absent);
    lacking.map(|(package, _)| *package).collect()
}

/// The program busybox, linked statically.
pub(crate) fn busybox() -> Result<Vec<u8>> {
    let file = find("busybox").context("there is no busybox")?;
    let program = std::fs::read(&file).with_context(|| file.display().to_string())?;
    image::elf::of(&program)?;
    Ok(program)
}

/// The program of this name.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(CNI.map(PathBuf::from));
    // PATH of a user may lack those of an administrator.
    let folders = folders.chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| Path::is_file(file))
}
