//! What kind of program a file is: for which machine, and whether it needs others to run.

use anyhow::{Result, bail, ensure};

/// OCI's name of the machine that `program` is for.
///
/// # Errors
/// It is no ELF program of 64 bits for a known machine, or it asks for a dynamic loader, which an image of ours has not.
pub fn of(program: &[u8]) -> Result<&'static str> {
    const INTERPRETER: u32 = 3;
    ensure!(
        program.starts_with(b"\x7fELF\x02\x01"),
        "it is no program for Linux of 64 bits"
    );
    let machine = match number(program, 18, 2) {
        62 => "amd64",
        183 => "arm64",
        other => bail!("it is for a machine of the number {other}: neither amd64 nor arm64"),
    };
    let (at, size) = (number(program, 32, 8), number(program, 54, 2));
    for n in 0..number(program, 56, 2) {
        let kind = number(program, at.saturating_add(n * size), 4);
        ensure!(
            kind != u64::from(INTERPRETER),
            "it is linked dynamically: build it for a target *-linux-musl, or with \
             RUSTFLAGS='-C target-feature=+crt-static'"
        );
    }
    Ok(machine)
}

/// The number of so many bytes at this place; 0 beyond the end.
fn number(bytes: &[u8], at: u64, length: usize) -> u64 {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    let bytes = bytes.get(at..at.saturating_add(length)).unwrap_or_default();
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
