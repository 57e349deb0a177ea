//! What can be asked of `corten`, and what each flag means.

use crate::rollout::Rollout;
use crate::{check, crds, kubectl, parts, rollout, state, takeover, up, why};
use clap::{Args, Parser, Subcommand};
use controlplane::AssetOptions;
use jiff::SignedDuration;
use objects::pod::DEFAULT_SCHEDULER;
use registry::Settings;
use runtime::args::{ClientArgs, LoggingArgs};
use runtime::guard::IfStockRuns;
use runtime::serve::{CommonArgs, Misuse, WORKERS};
use serviceaccount::Issuer;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Kubernetes' control loops in Rust, against a real kube-apiserver.
#[derive(Debug, Parser)]
#[command(
    name = "corten",
    version,
    propagate_version = true,
    about,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a cluster: API server, controllers, scheduler and nodes; show the workloads
    Up(Box<Up>),
    /// End a cluster that `up --detach` started
    Down(DataArgs),
    /// Say what runs
    Status(DataArgs),
    /// Run kubectl against the cluster (fetched or built once)
    #[command(disable_help_flag = true)]
    Kubectl(Kubectl),
    /// Run controllers against an API server
    Controllers(Controllers),
    /// Run the scheduler against an API server
    Scheduler(Scheduler),
    /// Run hollow nodes against an API server
    Nodes(Nodes),
    /// Say why a pod has no node, and the smallest change that would give it one
    Why(Why),
    /// Say how a rollout goes, go back, pause, resume or restart it; of built-in kinds and Corten's own
    Rollout(Rollout),
    /// Have Corten's controllers and scheduler work in the place of kube-controller-manager's and kube-scheduler
    Takeover(HandOverArgs),
    /// Undo that: the stock programs work again, and Corten's stand by
    Handback(HandOverArgs),
    /// Print the CustomResourceDefinitions of Corten's own groups, for `kubectl apply --server-side -f -`
    Crds,
    /// Make a Deployment with one replica, wait until it is available, and delete it: do the loops work?
    Check(Check),
    /// Do nothing until told to end: the container of the pod that `check` makes
    #[command(hide = true)]
    Stand,
}

/// Where a cluster's data are.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataArgs {
    /// Folder of etcd's data, keys, logs and the kubeconfig [default: ~/.local/share/corten]
    #[arg(long, value_name = "DIR", env = "CORTEN_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Which API server, for what is no loop and looks after no namespace.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Client")]
pub(crate) struct ServerArgs {
    /// Path of a kubeconfig [default: $KUBECONFIG, ~/.kube/config, or the service account of the pod]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// URL of the API server, in place of the kubeconfig's
    #[arg(long, value_name = "URL")]
    master: Option<String>,
}

impl ServerArgs {
    /// The same as a loop is told it.
    pub(crate) fn client(&self) -> ClientArgs {
        ClientArgs {
            kubeconfig: self.kubeconfig.clone(),
            master: self.master.clone(),
            ..ClientArgs::default()
        }
    }
}

/// What hollow nodes are like.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Hollow nodes")]
pub(crate) struct NodeArgs {
    /// CPUs of each node
    #[arg(long, value_name = "QUANTITY", default_value = "32", value_parser = quantity)]
    pub(crate) node_cpu: String,
    /// Memory of each node
    #[arg(long, value_name = "QUANTITY", default_value = "256Gi", value_parser = quantity)]
    pub(crate) node_memory: String,
    /// Pods that each node takes
    #[arg(long, value_name = "N", value_parser = runtime::args::parse_whole::<u32>, default_value_t = 110)]
    pub(crate) node_pods: u32,
    /// What pretended containers do: a file of profiles (YAML)
    #[arg(long, value_name = "FILE")]
    pub(crate) node_profiles: Option<PathBuf>,
    /// Also run Node objects that others made with the annotation kwok.x-k8s.io/node
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) manage_kwok_nodes: bool,
}

/// Where the real servers come from.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Programs")]
pub(crate) struct AssetArgs {
    /// Folder that has etcd and kube-apiserver
    #[arg(long, value_name = "DIR")]
    pub(crate) assets: Option<PathBuf>,
    /// Where to get programs that are not there: the official release, or built from source with Go
    #[arg(long, value_name = "WHERE", default_value = "auto")]
    pub(crate) from: FromArg,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum FromArg {
    /// The release if it can be reached, else Go
    Auto,
    /// The official release, verified against its checksums
    Release,
    /// `go build` of a pinned module
    Go,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Port of the API server on loopback [default: the last one, or a free one]
    #[arg(long, value_name = "PORT", value_parser = runtime::args::parse_whole::<u16>)]
    pub(crate) port: Option<u16>,
    /// How many hollow nodes to run
    #[arg(long, value_name = "N", value_parser = runtime::args::parse_whole::<u32>, default_value_t = 3)]
    pub(crate) nodes: u32,
    #[command(flatten)]
    pub(crate) controllers: ControllersArg,
    /// Manifests to apply: a file or a folder of them; may be repeated
    #[arg(short, long = "filename", value_name = "FILE|DIR")]
    pub(crate) filename: Vec<PathBuf>,
    /// Return when the cluster is ready; `corten down` ends it
    #[arg(long)]
    pub(crate) detach: bool,
    /// Also get kubectl, for `corten kubectl`
    #[arg(long)]
    pub(crate) kubectl: bool,
    /// Print plain lines even on a terminal
    #[arg(long)]
    pub(crate) plain: bool,
    /// The process that `--detach` leaves behind.
    #[arg(long, hide = true)]
    pub(crate) serve: bool,
    #[command(flatten)]
    pub(crate) hollow: NodeArgs,
    #[command(flatten)]
    pub(crate) assets: AssetArgs,
    /// What to do where kube-controller-manager or kube-scheduler does the same work on an API server that you have:
    /// refuse, wait or ignore
    #[arg(help_heading = "Client", long, value_enum, value_name = "WHAT", default_value_t = IfStockRuns::Refuse, hide_possible_values = true)]
    pub(crate) if_stock_runs: IfStockRuns,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(flatten)]
    pub(crate) log: LoggingArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Kubectl {
    /// Arguments for kubectl
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

/// Which controllers.
#[derive(Clone, Debug, Args)]
pub(crate) struct ControllersArg {
    /// Controllers to run, as kube-controller-manager's flag: `*` are all, `-NAME` leaves one out
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "*",
        allow_hyphen_values = true
    )]
    pub(crate) controllers: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Controllers {
    #[command(flatten)]
    pub(crate) controllers: ControllersArg,
    /// Objects worked on at once by each controller
    #[arg(long, value_name = "N", value_parser = runtime::args::parse_whole::<usize>, default_value_t = runtime::serve::WORKERS)]
    pub(crate) workers: usize,
    /// CA certificates for the ConfigMap kube-root-ca.crt [default: the kubeconfig's]
    #[arg(long, value_name = "FILE")]
    pub(crate) root_ca_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) manager: ManagerArgs,
    /// Pods that have ended beyond so many are deleted, the oldest first; 0 keeps all
    #[arg(long, value_name = "N", value_parser = runtime::args::parse_whole::<usize>, default_value_t = podgc::THRESHOLD)]
    pub(crate) terminated_pod_gc_threshold: usize,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What some controllers need to do their work, in upstream's words.
#[derive(Clone, Debug, Args)]
pub(crate) struct ManagerArgs {
    /// Give nodes ranges for their pods, out of --cluster-cidr
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Ranges of nodes")]
    pub(crate) allocate_node_cidrs: bool,
    #[command(flatten)]
    pub(crate) ranges: nodeipam::Flags,
    #[command(flatten)]
    pub(crate) signing: certificates::Flags,
    /// Private key that signs tokens in Secrets (PEM); without it none are made
    #[arg(long, value_name = "FILE", help_heading = "Service accounts")]
    pub(crate) service_account_private_key_file: Option<PathBuf>,
    /// How long a token in a Secret may be unused before it is marked, and again before it is deleted
    #[arg(long, value_name = "DURATION", value_parser = runtime::args::parse_duration, default_value = "8760h0m0s", help_heading = "Service accounts")]
    pub(crate) legacy_service_account_token_clean_up_period: Duration,
}

impl Default for ManagerArgs {
    fn default() -> Self {
        Self {
            allocate_node_cidrs: false,
            ranges: nodeipam::Flags::default(),
            signing: certificates::Flags::default(),
            service_account_private_key_file: None,
            legacy_service_account_token_clean_up_period: Duration::from_hours(8760),
        }
    }
}

impl ManagerArgs {
    /// What the flags mean.
    pub(crate) fn settings(&self, root_ca: Option<String>) -> Result<Settings, Misuse> {
        let ranges = self.allocate_node_cidrs.then(|| self.ranges.options());
        let issuer = self.service_account_private_key_file.as_deref();
        let issuer = issuer.map(Issuer::open).transpose();
        let issuer = issuer.map_err(|error| format!("--service-account-private-key-file {error}"));
        let unused = self.legacy_service_account_token_clean_up_period;
        Ok(Settings {
            workers: WORKERS,
            root_ca,
            node_ranges: ranges.transpose().map_err(Misuse)?,
            authorities: self.signing.authorities().map_err(Misuse)?,
            issuer: issuer.map_err(Misuse)?,
            unused_tokens: SignedDuration::try_from(unused).unwrap_or(SignedDuration::MAX),
            ended_pods: podgc::THRESHOLD,
        })
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Scheduler {
    /// Pods with this schedulerName are ours
    #[arg(long, value_name = "NAME", default_value = DEFAULT_SCHEDULER)]
    pub(crate) scheduler_name: String,
    /// Profiles, plugins and their arguments: a KubeSchedulerConfiguration
    #[arg(long, value_name = "FILE", conflicts_with = "scheduler_name")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Nodes {
    /// How many nodes to register
    #[arg(long, value_name = "N", value_parser = runtime::args::parse_whole::<u32>, default_value_t = 3)]
    pub(crate) count: u32,
    /// What their names begin with
    #[arg(long, value_name = "PREFIX", default_value = "node-")]
    pub(crate) name_prefix: String,
    #[command(flatten)]
    pub(crate) hollow: NodeArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Why {
    /// What to explain
    #[arg(value_name = "pod/NAME")]
    pub(crate) object: String,
    /// Its namespace [default: the kubeconfig's]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Profiles, plugins and their arguments of the scheduler: a KubeSchedulerConfiguration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    pub(crate) output: Option<String>,
    /// Path of a kubeconfig [default: $KUBECONFIG, the cluster that `up` runs, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// URL of the API server, in place of the kubeconfig's
    #[arg(long, value_name = "URL")]
    pub(crate) master: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Check {
    /// The Deployment's group: the built-in one, or Corten's own
    #[arg(long, value_name = "GROUP", default_value = "builtin", value_parser = ["builtin", "corten.dev"])]
    pub(crate) group: String,
    /// Who is to schedule its pod [default: the cluster's default]
    #[arg(long, value_name = "NAME")]
    pub(crate) scheduler_name: Option<String>,
    /// Image of its container
    #[arg(
        long,
        value_name = "IMAGE",
        default_value = "registry.k8s.io/pause:3.10.1"
    )]
    pub(crate) image: String,
    /// Argument of its container; may be repeated
    #[arg(long, value_name = "WORD")]
    pub(crate) argument: Vec<String>,
    /// How long its replica may take to become available
    #[arg(long, value_name = "DURATION", value_parser = runtime::args::parse_duration, default_value = "2m")]
    pub(crate) timeout: Duration,
    /// Its namespace [default: the kubeconfig's]
    #[arg(help_heading = "Client", long, value_name = "NAME", value_parser = runtime::args::parse_namespace)]
    pub(crate) namespace: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Where the stock programs' static pods are, and what of them.
#[derive(Clone, Debug, Args)]
pub(crate) struct HandOverArgs {
    /// Folder of static pods, as kubeadm has it; on this machine, or in the node that --kind names
    #[arg(
        help_heading = "Control plane",
        long,
        value_name = "DIR",
        default_value = "/etc/kubernetes/manifests"
    )]
    pub(crate) manifests: PathBuf,
    /// Reach them in this node of kind (`kind-control-plane`), through its container engine
    #[arg(help_heading = "Control plane", long, value_name = "NODE")]
    pub(crate) kind: Option<String>,
    /// The container engine of --kind
    #[arg(
        help_heading = "Control plane",
        long,
        value_name = "PROGRAM",
        default_value = "docker"
    )]
    pub(crate) engine: String,
    /// Change nothing: say what is to be set, and wait until it is
    #[arg(help_heading = "Control plane", long, conflicts_with_all = ["kind", "backup"])]
    pub(crate) by_hand: bool,
    /// Folder for what was there before [default: corten-handback beside the manifests' folder]
    #[arg(help_heading = "Control plane", long, value_name = "DIR")]
    pub(crate) backup: Option<PathBuf>,
    /// One part only [default: all that processes of Corten wait for]
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Option<Only>,
    /// Say what would be changed, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long the other side may take
    #[arg(long, value_name = "DURATION", value_parser = runtime::args::parse_duration, default_value = "3m")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// One of the stock programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Only {
    /// kube-controller-manager
    Controllers,
    /// kube-scheduler
    Scheduler,
}

impl Command {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Up(up) => up::run(*up).await,
            Self::Down(data) => state::down(&data.path()).await,
            Self::Status(data) => state::status(&data.path()).await,
            Self::Kubectl(kubectl) => kubectl::run(kubectl).await,
            Self::Controllers(args) => Ok(parts::controllers(args).await),
            Self::Scheduler(args) => Ok(parts::scheduler(args).await),
            Self::Nodes(args) => Ok(parts::nodes(args).await),
            Self::Why(args) => why::run(args).await,
            Self::Rollout(args) => rollout::run(args).await,
            Self::Takeover(args) => takeover::take(args).await,
            Self::Handback(args) => takeover::give_back(args).await,
            Self::Crds => Ok(crds::print()),
            Self::Check(args) => check::run(args).await,
            Self::Stand => {
                runtime::serve::told_to_end().await;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl DataArgs {
    /// The folder, chosen or default.
    pub(crate) fn path(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }
}

impl NodeArgs {
    /// The options of a node agent that runs `count` such nodes.
    pub(crate) fn options(&self, count: u32) -> Result<kubelet::Options, Misuse> {
        let mut options = kubelet::Options {
            count: count as usize,
            cpu: self.node_cpu.clone(),
            memory: self.node_memory.clone(),
            pods: self.node_pods,
            manage_kwok_nodes: self.manage_kwok_nodes,
            ..kubelet::Options::default()
        };
        if let Some(file) = &self.node_profiles {
            let wrong = |error: &dyn std::fmt::Display| {
                Misuse(format!("--node-profiles {}: {error}", file.display()))
            };
            let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
            options.profiles = kubelet::Profiles::parse(&text).map_err(|error| wrong(&error))?;
        }
        Ok(options)
    }
}

/// The text of a quantity, if it is one.
fn quantity(text: &str) -> Result<String, objects::quantity::QuantityError> {
    text.parse::<objects::Quantity>().map(|_| text.to_owned())
}

fn default_data_dir() -> PathBuf {
    let share = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    share
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("corten")
}

impl AssetArgs {
    pub(crate) fn options(&self) -> AssetOptions {
        AssetOptions {
            dir: self.assets.clone(),
            from: match self.from {
                FromArg::Auto => controlplane::From::Auto,
                FromArg::Release => controlplane::From::Release,
                FromArg::Go => controlplane::From::Go,
            },
            ..AssetOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cli, ManagerArgs};
    use clap::{Args, CommandFactory, FromArgMatches};

    #[test]
    fn the_flags_of_all_commands_fit_together() {
        Cli::command().debug_assert();
    }

    /// Each command, by the words that name it.
    fn commands(of: &clap::Command, words: &[String]) -> Vec<(Vec<String>, clap::Command)> {
        let mut found = vec![(words.to_vec(), of.clone())];
        for below in of.get_subcommands() {
            let mut words = words.to_vec();
            words.push(below.get_name().to_owned());
            found.extend(commands(below, &words));
        }
        found
    }

    /// What is said of this command line, and the exit code.
    fn said(words: &[String], more: &[&str]) -> (i32, String) {
        let line = words.iter().map(String::as_str).chain(more.iter().copied());
        match Cli::command().try_get_matches_from(line) {
            Ok(_) => (0, String::new()),
            Err(error) => (error.exit_code(), error.to_string()),
        }
    }

    #[test]
    fn every_command_has_a_help_whose_flags_say_what_they_are() {
        for (words, command) in commands(&Cli::command(), &["corten".to_owned()]) {
            if command.is_disable_help_flag_set() {
                continue;
            }
            let (code, help) = said(&words, &["--help"]);
            assert_eq!(code, 0, "{words:?}");
            assert!(help.contains("Usage: corten"), "{words:?}: {help}");
            let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
            let flags: Vec<&clap::Arg> = flags.collect();
            for flag in &flags {
                assert!(flag.get_help().is_some(), "{words:?}: {}", flag.get_id());
            }
            // So many that nobody reads them at a stretch stand under headings.
            let headings: std::collections::BTreeSet<_> = flags
                .iter()
                .filter_map(|flag| flag.get_help_heading())
                .collect();
            assert!(
                flags.len() < 15 || headings.len() > 2,
                "{words:?}: {headings:?}"
            );
        }
    }

    #[test]
    fn a_flag_that_is_none_ends_with_2_and_is_named() {
        for (words, command) in commands(&Cli::command(), &["corten".to_owned()]) {
            if command.is_disable_help_flag_set() {
                continue;
            }
            let (code, error) = said(&words, &["--no-such-flag"]);
            assert_eq!(code, 2, "{words:?}: {error}");
            assert!(error.contains("--no-such-flag"), "{words:?}: {error}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_ends_with_2_and_its_flag_is_named() {
        let mut refused = 0;
        for (words, command) in commands(&Cli::command(), &["corten".to_owned()]) {
            for flag in command
                .get_arguments()
                .filter(|flag| flag.get_action().takes_values())
            {
                let Some(long) = flag.get_long() else {
                    continue;
                };
                // Text and paths are read later, by whoever knows what they mean.
                let parser = flag.get_value_parser().type_id();
                let free = [
                    clap::builder::ValueParser::string().type_id(),
                    clap::builder::ValueParser::path_buf().type_id(),
                ];
                if free.contains(&parser) {
                    continue;
                }
                let (code, error) = said(&words, &[&format!("--{long}=\u{1}")]);
                refused += 1;
                assert_eq!(code, 2, "{words:?} --{long}: {error}");
                assert!(error.contains(&format!("--{long}")), "{words:?}: {error}");
                let sentence = error.lines().next().unwrap_or_default();
                assert!(
                    sentence.starts_with("error: "),
                    "{words:?} --{long}: {error}"
                );
                // That is what Rust says, and not what is allowed.
                assert!(
                    !sentence.contains("invalid digit"),
                    "{words:?} --{long}: {error}"
                );
            }
        }
        assert!(refused > 30, "only {refused} flags were tried");
    }

    #[test]
    fn what_no_flag_says_is_what_a_cluster_of_our_own_has() {
        let command = ManagerArgs::augment_args(clap::Command::new("controllers"));
        let matches = command.get_matches_from(["controllers"]);
        let parsed = ManagerArgs::from_arg_matches(&matches).map(|args| format!("{args:?}"));
        assert_eq!(parsed.ok(), Some(format!("{:?}", ManagerArgs::default())));
    }
}
