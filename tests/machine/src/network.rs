//! The network between machines: a bridge on the host, which has an address for the API server. Whatever outlives
//! processes (the bridge, cgroups, the folder) goes with it, also when the test is killed.

use crate::command::run;
use crate::packages;
use anyhow::{Context, Result, bail};
use corten_test::folder::keep;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// `$0` is the folder (or nothing, if it is to stay), `$1` the name of bridge and cgroups. It reads from a pipe that only
/// we hold. The machines' processes are killed at the same moment; a cgroup can go when its last process is gone, and a
/// network namespace when the last connection in it has been given up.
const SWEEP: &str = r#"trap '' HUP INT TERM
read -r _
for link in /sys/class/net/"$1"*; do ip link delete "${link##*/}"; done
for _ in 1 2 3 4 5 6 7 8 9 10; do
  find /sys/fs/cgroup -depth -type d -path "*/$1*" -exec rmdir {} + || true
  [ -z "$(find /sys/fs/cgroup -type d -name "$1" -print -quit)" ] && break
  sleep 0.5
done
if [ -n "$0" ]; then rm -rf "$0" || { sleep 1; rm -rf "$0"; }; fi"#;

/// A network of machines. Dropping it takes away what they leave behind; they must be dropped before.
#[derive(Debug)]
pub struct Network {
    name: String,
    folder: PathBuf,
    /// Where CNI's plugins are.
    plugins: PathBuf,
    /// The third part of its addresses, and the second of its pods'.
    number: u8,
    /// The numbers of the machines that are connected, with their first processes.
    machines: Mutex<Vec<(u8, u32)>>,
    sweeper: Option<Child>,
}

impl Network {
    /// A new one, with a random name. What machines need is installed first, where that is possible.
    ///
    /// # Errors
    /// We are not root, something is missing that cannot be installed here, or the kernel has no bridges.
    pub fn new() -> Result<Self> {
        let plugins = packages::install()?;
        // Names of interfaces have 15 bytes, and those of cables begin with this one.
        let name = format!("crtn{:06x}", rand::random::<u32>() >> 8);
        let folder = std::env::temp_dir().join(format!("corten-machines-{name}"));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let keep = keep();
        if keep {
            eprintln!(
                "KEEP: what the machines leave stays in {}",
                folder.display()
            );
        }
        let mut sweeper = Command::new("/bin/sh");
        sweeper.arg("-c").arg(SWEEP);
        sweeper.arg(if keep { Path::new("") } else { &folder });
        sweeper.arg(&name).stdin(Stdio::piped());
        sweeper.stdout(Stdio::null()).stderr(Stdio::null());
        let mut network = Self {
            plugins,
            number: free()?,
            machines: Mutex::default(),
            sweeper: Some(sweeper.spawn().context("/bin/sh")?),
            name,
            folder,
        };
        network
            .up()
            .context("a bridge for the machines: CONFIG_BRIDGE and CAP_NET_ADMIN are needed")?;
        Ok(network)
    }

    fn up(&mut self) -> Result<()> {
        let own = format!("{}/24", self.address());
        run(&["ip", "link", "add", "name", &self.name, "type", "bridge"])?;
        run(&["ip", "address", "add", &own, "dev", &self.name])?;
        run(&["ip", "link", "set", &self.name, "up"])
    }

    /// Where the host is in it, and so the API server.
    pub fn address(&self) -> Ipv4Addr {
        self.host(1)
    }

    /// A folder for what belongs to it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where CNI's plugins are.
    pub(crate) fn plugins(&self) -> &Path {
        &self.plugins
    }

    /// The name of the bridge, and of the cgroups of all machines.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The address of the machine with this number.
    pub(crate) fn machine(&self, number: u8) -> Ipv4Addr {
        self.host(10 + number)
    }

    /// The range of the pods of the machine with this number: 254 of them.
    pub(crate) fn pods(&self, number: u8) -> String {
        format!("100.{}.{number}.0/24", 64 + self.number)
    }

    /// Puts a cable between the bridge and the machine whose first process is `pid`, and says where its pods are.
    pub(crate) fn connect(&self, number: u8, pid: u32) -> Result<()> {
        let (pid, end) = (pid.to_string(), format!("{}n{number}", self.name));
        run(&[
            "ip", "link", "add", "name", &end, "type", "veth", "peer", "name", "eth0", "netns",
            &pid,
        ])?;
        run(&["ip", "link", "set", &end, "master", &self.name, "up"])?;
        self.route(number, None)
    }

    /// Tells the machine, which has its address now, the way to the pods of all others, and these the way to its own.
    pub(crate) fn introduce(&self, number: u8, pid: u32) -> Result<()> {
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has ended need not know.
        machines.retain(|(_, theirs)| self.route(number, Some(*theirs)).is_ok());
        for (other, _) in machines.iter() {
            self.route(*other, Some(pid))?;
        }
        machines.push((number, pid));
        Ok(())
    }

    /// Says where the pods of a machine are: on the machine whose first process is `on`, or on the host.
    fn route(&self, number: u8, on: Option<u32>) -> Result<()> {
        let (pods, via) = (self.pods(number), self.machine(number).to_string());
        let way = ["ip", "route", "replace", &pods, "via", &via];
        match on {
            None => run(&way),
            Some(pid) => {
                let target = format!("--target={pid}");
                run(&[&["nsenter", &*target, "--net"], &way[..]].concat())
            }
        }
    }

    /// Of 198.18.0.0/15, which is for tests of networks (RFC 2544).
    fn host(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, number)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(sweeper) = &mut self.sweeper {
            drop(sweeper.stdin.take());
            // What it could not take away is not ours to mend.
            drop(sweeper.wait());
        }
    }
}

/// A number whose addresses nobody uses. Pods have 100.64.0.0/10 (RFC 6598), so there are 64.
fn free() -> Result<u8> {
    let first = rand::random::<u8>();
    for n in 0..64 {
        let number = first.wrapping_add(n) % 64;
        let mut asked = Command::new("ip");
        asked.args(["-4", "route", "show", &format!("198.18.{number}.0/24")]);
        let said = asked.output().context("ip")?.stdout;
        if said.is_empty() {
            return Ok(number);
        }
    }
    bail!("all networks between 198.18.0.0 and 198.18.63.0 are in use")
}
