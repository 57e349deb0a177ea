//! Flags that every binary has, in groups to be flattened into its own. Names, defaults and spellings
//! (`--leader-elect=false`, `1m30s`) are upstream's, so that a manifest's `command` can be kept.

pub(crate) mod connect;
mod go;

use crate::lease::ElectionOptions;
use crate::log;
use clap::Args;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use connect::{Error, check_server, client, config, connect, root_ca};
pub use go::{parse_bool, parse_duration};

/// The port of the admin server of controllers.
pub const CONTROLLERS_PORT: u16 = 10257;
/// The port of the admin server of the scheduler.
pub const SCHEDULER_PORT: u16 = 10259;

/// Which API server, and as whom. See [`client`].
#[derive(Args, Clone, Debug, Default)]
pub struct ClientArgs {
    /// Path of a kubeconfig [default: $KUBECONFIG, ~/.kube/config, or the service account of the pod]
    #[arg(help_heading = "Client", long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// URL of the API server, in place of the kubeconfig's
    #[arg(help_heading = "Client", long, value_name = "URL")]
    pub master: Option<String>,
    /// Look after this namespace only
    #[arg(help_heading = "Client", long, value_name = "NAME", value_parser = parse_namespace)]
    pub namespace: Option<String>,
    /// Accepted and ignored: requests are limited by what the server can take
    #[arg(help_heading = "Client", long, value_name = "N", value_parser = parse_number)]
    pub kube_api_qps: Option<f64>,
    /// Accepted and ignored, like --kube-api-qps
    #[arg(help_heading = "Client", long, value_name = "N", value_parser = parse_whole::<i64>)]
    pub kube_api_burst: Option<i64>,
}

/// The name of a namespace, if there can be one of that name: a label of DNS.
///
/// # Errors
/// What such a name looks like.
pub fn parse_namespace(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=63).contains(&text.len()) && text.bytes().all(inner);
    match good && !text.starts_with('-') && !text.ends_with('-') {
        true => Ok(text.to_owned()),
        false => {
            Err("expected the name of a namespace: 1 to 63 of a-z, 0-9 and, within, -".to_owned())
        }
    }
}

/// Whether and how one of several processes is chosen to work. See [`crate::lease`].
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct LeaderElectionArgs {
    /// Work only while holding a Lease, so that one of several processes does
    #[arg(help_heading = "Leader election", long, value_name = "BOOL", value_parser = parse_bool, action = clap::ArgAction::Set,
        num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    pub leader_elect: bool,
    /// How long others wait after they last saw the Lease renewed
    #[arg(help_heading = "Leader election", long, value_name = "DURATION", value_parser = parse_duration, default_value = "15s")]
    pub leader_elect_lease_duration: Duration,
    /// How long the leader tries to renew before it gives up and exits
    #[arg(help_heading = "Leader election", long, value_name = "DURATION", value_parser = parse_duration, default_value = "10s")]
    pub leader_elect_renew_deadline: Duration,
    /// The pause between attempts
    #[arg(help_heading = "Leader election", long, value_name = "DURATION", value_parser = parse_duration, default_value = "2s")]
    pub leader_elect_retry_period: Duration,
    /// Name of the Lease [default: the component's name]
    #[arg(help_heading = "Leader election", long, value_name = "NAME")]
    pub leader_elect_resource_name: Option<String>,
    /// Namespace of the Lease
    #[arg(
        help_heading = "Leader election",
        long,
        value_name = "NAME",
        default_value = "kube-system"
    )]
    pub leader_elect_resource_namespace: String,
}

impl LeaderElectionArgs {
    /// How `component` takes part in an election, or `None` with `--leader-elect=false`.
    ///
    /// # Errors
    /// One sentence that names the flags if the times do not fit together.
    pub fn options(&self, component: &str) -> Result<Option<ElectionOptions>, String> {
        if !self.leader_elect {
            return Ok(None);
        }
        let mut options = ElectionOptions::new(component);
        options.lease_duration = self.leader_elect_lease_duration;
        options.renew_deadline = self.leader_elect_renew_deadline;
        options.retry_period = self.leader_elect_retry_period;
        options
            .namespace
            .clone_from(&self.leader_elect_resource_namespace);
        if let Some(name) = &self.leader_elect_resource_name {
            options.name.clone_from(name);
        }
        options.validate().map(|()| Some(options))
    }
}

/// Where the admin server listens. See [`crate::admin`].
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ServingArgs {
    /// Address of the admin server: health, metrics, plans; plain HTTP
    #[arg(
        help_heading = "Serving",
        long,
        value_name = "IP",
        default_value = "127.0.0.1"
    )]
    pub bind_address: IpAddr,
    /// Port of the admin server, 0 for none [default: upstream's port of the component]
    #[arg(help_heading = "Serving", long, value_name = "PORT", value_parser = parse_whole::<u16>)]
    pub secure_port: Option<u16>,
}

/// A flag's whole number.
///
/// # Errors
/// It is none, or not one that `T` has; the text says which it has.
pub fn parse_whole<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number = text
        .parse()
        .ok()
        .and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| {
        let mut mosts = (1..=64).rev().map(|bits| u64::MAX >> (64 - bits));
        let most = mosts.find(|most| T::try_from(*most).is_ok());
        format!("a whole number from 0 to {} is wanted", most.unwrap_or(0))
    })
}

/// A flag's number.
///
/// # Errors
/// It is none.
pub fn parse_number(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| "a number is wanted".to_owned())
}

impl ServingArgs {
    /// Where to listen if `default_port` is the component's port; `None` with `--secure-port=0`.
    pub fn address(&self, default_port: u16) -> Option<SocketAddr> {
        let port = self.secure_port.unwrap_or(default_port);
        (port != 0).then(|| SocketAddr::new(self.bind_address, port))
    }
}

/// What is logged and how. See [`crate::log`].
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggingArgs {
    /// Verbosity: 0-1 info, 2-5 debug, 6 and more trace; RUST_LOG overrides it
    #[arg(
        help_heading = "Logging",
        short,
        long = "v",
        value_name = "LEVEL",
        value_parser = parse_whole::<u8>,
        default_value_t = 0
    )]
    pub v: u8,
    /// How a line of the log looks
    #[arg(help_heading = "Logging", long, value_enum, value_name = "FORMAT", default_value_t = log::Format::Text)]
    pub logging_format: log::Format,
}

impl LoggingArgs {
    /// Sets the log of this process up: [`log::init`].
    ///
    /// # Errors
    /// One sentence if `RUST_LOG` cannot be understood.
    pub fn init(&self) -> Result<(), String> {
        log::init(self.v, self.logging_format)
    }
}

#[cfg(test)]
mod tests;
