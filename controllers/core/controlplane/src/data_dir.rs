//! The data folder of one cluster: who holds it, and the port it keeps.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Seek, Write};
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::pki;

/// A data folder that this process holds until it drops this.
#[derive(Debug)]
pub(crate) struct DataDir {
    /// Its absolute path, symbolic links resolved.
    pub(crate) path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the folder (mode 0700) if absent, and takes its lock.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        let created = builder.create(path);
        let path = created
            .and_then(|()| path.canonicalize())
            .map_err(Error::file("cannot create", path))?;
        let file = path.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&file)
            .map_err(Error::file("cannot open", &file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Its holder may be about to write it.
                drop(lock.read_to_string(&mut pid));
                let pid = pid.trim();
                return Err(Error::InUse {
                    dir: path,
                    holder: if pid.is_empty() {
                        "another process".into()
                    } else {
                        format!("process {pid}")
                    },
                });
            }
            Err(TryLockError::Error(error)) => {
                return Err(Error::file("cannot lock", &file)(error));
            }
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(Error::file("cannot write", &file))?;
        Ok(Self { path, _lock: lock })
    }

    /// The port that was asked for, else the one of last time, else a free one; kept for next time.
    pub(crate) fn port(&self, address: IpAddr, asked: Option<u16>) -> Result<u16, Error> {
        let file = self.path.join("port");
        let free = |port| TcpListener::bind((address, port)).is_ok();
        let last = || std::fs::read_to_string(&file).ok()?.trim().parse().ok();
        let port = match asked {
            Some(port) if free(port) => port,
            Some(port) => return Err(Error::PortInUse { port }),
            None => last()
                .filter(|&port| free(port))
                .or_else(|| candidates().find(|&port| free(port)))
                .ok_or(Error::PortInUse { port: LOWEST })?,
        };
        pki::write(&file, &port.to_string())?;
        Ok(port)
    }
}

const LOWEST: u16 = 20000;

/// Ports in an order that differs from process to process. The kernel's own free ports will not
/// do: until the server listens, and until the next start, an outgoing connection may take one.
fn candidates() -> impl Iterator<Item = u16> {
    const COUNT: u16 = 10_000; // above are Services' node ports
    let start = RandomState::new().build_hasher().finish() % u64::from(COUNT);
    (0..COUNT).map(move |i| LOWEST + (start as u16 + i) % COUNT)
}
