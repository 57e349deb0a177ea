//! A process from its flags to its end: the whole of `main` but for what runs in it.

use crate::args::{self, ClientArgs, LeaderElectionArgs, LoggingArgs, ServingArgs};
use crate::groups::Family;
use crate::guard::{Duties, Guard, IfStockRuns, Refused, STOCK_NAMESPACE};
use crate::lease::{ElectionOptions, Elector, Lost, holder, is_ours};
use crate::log;
use crate::{Options, Runtime};
use clap::{Args, FromArgMatches};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config};
use std::convert::Infallible;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long workers may take to finish what they are at.
const PATIENCE: Duration = Duration::from_secs(10);

/// The flags that every program has.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    /// Which API server.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Which workloads: the built-in kinds (apps, batch, autoscaling), or the same kinds in Corten's own groups
    /// (apps.corten.dev, …), whose CustomResourceDefinitions must be installed
    #[arg(help_heading = "Client", long, value_enum, value_name = "GROUP", default_value_t = Family::Builtin, hide_possible_values = true)]
    pub group: Family,
    /// Work only on objects in these namespaces; of controllers of workloads, budgets and Services. Others see to the rest:
    /// another process of Corten, under a Lease of its own
    #[arg(
        help_heading = "Client",
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = args::parse_namespace,
        conflicts_with = "namespace"
    )]
    pub namespaces: Vec<String>,
    /// Whether one of several waits for the other.
    #[command(flatten)]
    pub election: LeaderElectionArgs,
    /// What to do where kube-controller-manager or kube-scheduler does the same work: refuse to begin, wait until it lets
    /// go (`corten takeover`), or ignore it
    #[arg(help_heading = "Leader election", long, value_enum, value_name = "WHAT", default_value_t = IfStockRuns::Refuse, hide_possible_values = true)]
    pub if_stock_runs: IfStockRuns,
    /// Where health and metrics are served.
    #[command(flatten)]
    pub serving: ServingArgs,
    /// What is logged.
    #[command(flatten)]
    pub logging: LoggingArgs,
}

/// Objects that a controller works on at once, if nobody chooses another number: turns wait for the API
/// server, not for the processor.
pub const WORKERS: usize = 16;

/// A program that has the common flags and no others: the whole of its `main`. See [`serve`].
pub fn main<F>(component: Component, begin: F) -> ExitCode
where
    F: FnOnce(&Runtime, &Config) -> Result<(), Misuse>,
{
    let command = CommonArgs::augment_args(clap::Command::new(component.name))
        .version(env!("CARGO_PKG_VERSION"))
        .about(format!("Runs the {} against an API server", component.name));
    let args = match CommonArgs::from_arg_matches(&command.get_matches()) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    start(component, args, |config| {
        let config = config.clone();
        Ok(move |runtime: &Runtime| begin(runtime, &config))
    })
}

/// A program whose flags have been read: the rest of its `main`. See [`serve`].
pub fn start<F, B>(component: Component, args: CommonArgs, prepare: F) -> ExitCode
where
    F: FnOnce(&Config) -> Result<B, Misuse>,
    B: FnOnce(&Runtime) -> Result<(), Misuse>,
{
    match threads() {
        Ok(threads) => threads.block_on(serve(component, args, prepare)),
        Err(error) => {
            eprintln!("{}: no threads to run on: {error}", component.name);
            ExitCode::FAILURE
        }
    }
}

/// The threads of a program, besides its first: one, as waking another costs more than most turns take; a second
/// where the machine has more processors than the API server and etcd need at the same time.
///
/// # Errors
/// The machine has no more threads or no more files.
pub fn threads() -> std::io::Result<tokio::runtime::Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(if processors > 3 { 2 } else { 1 })
        .enable_all()
        .build()
}

/// Who a program is.
#[derive(Clone, Copy, Debug)]
pub struct Component {
    /// Its name: the lease, the user agent, the event source of its election.
    pub name: &'static str,
    /// Its port if the flags choose none.
    pub port: u16,
}

/// A flag or file with something in it that cannot be: one sentence, exit code 2.
#[derive(Debug)]
pub struct Misuse(pub String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// Runs a program until it is told to end (SIGINT, SIGTERM) or loses its lease. First `prepare` reads what the program's own
/// flags name; nobody has been asked for anything then. It serves health and metrics, waits to become leader, and sees that
/// no stock program does the same work ([`crate::guard`]); then what `prepare` gave is called, which asks the runtime for
/// what it wants to run.
///
/// Gives the exit code: 0 when it was told to end, 1 when the lease was lost or a stock program is in the way, 2 for wrong
/// flags.
pub async fn serve<F, B>(component: Component, args: CommonArgs, prepare: F) -> ExitCode
where
    F: FnOnce(&Config) -> Result<B, Misuse>,
    B: FnOnce(&Runtime) -> Result<(), Misuse>,
{
    let duties = Duties::of(component.name);
    serve_as(component, args, |config| Ok((duties, prepare(config)?))).await
}

/// The same of a program whose name does not say what it does: `prepare` says it.
pub async fn serve_as<F, B>(component: Component, args: CommonArgs, prepare: F) -> ExitCode
where
    F: FnOnce(&Config) -> Result<(Duties, B), Misuse>,
    B: FnOnce(&Runtime) -> Result<(), Misuse>,
{
    let code = match run(component, args, prepare).await {
        Ok(code) => code,
        Err(Misuse(sentence)) => {
            eprintln!("{}: {sentence}", component.name);
            ExitCode::from(2)
        }
    };
    log::flush();
    code
}

async fn run<F, B>(component: Component, args: CommonArgs, prepare: F) -> Result<ExitCode, Misuse>
where
    F: FnOnce(&Config) -> Result<(Duties, B), Misuse>,
    B: FnOnce(&Runtime) -> Result<(), Misuse>,
{
    args.logging.init().map_err(Misuse)?;
    if !args.group.has(component.name) {
        return Err(Misuse(
            "--group: it has no kind of its own in another group than the built-in one".to_owned(),
        ));
    }
    let name = args.group.name(component.name);
    let election = args.election.options(&name).map_err(Misuse)?;
    let config = args::config(&args.client, &name).await.map_err(say)?;
    let (duties, begin) = prepare(&config)?;
    if let (Some(one), false) = (duties.not_kept(), args.namespaces.is_empty()) {
        return Err(Misuse(format!(
            "--namespaces: {one} works for the whole cluster; choose those that can be kept to namespaces by --controllers"
        )));
    }
    let options = Options {
        namespace: args.client.namespace.clone(),
        namespaces: args.namespaces.clone(),
        ..Options::default()
    };
    let client = args::connect(&config, &options.metrics).map_err(say)?;
    let client = args.group.client(client);
    args::check_server(&client).await.map_err(say)?;

    let clock = options.clock.clone();
    let runtime = Runtime::new(client.clone(), options);
    let admin = runtime.admin();
    if let Some(address) = args.serving.address(component.port) {
        let caches = runtime.caches().clone();
        admin.ready("informer-sync", move || match caches.unsynced() {
            missing if missing.is_empty() => Ok(()),
            missing => Err(format!("not yet listed: {}", missing.join(", "))),
        });
        let server = admin.bind(address).await.map_err(say)?;
        runtime.spawn("admin", server.run(runtime.shutdown()));
    }

    let work = async {
        begin(&runtime)?;
        tokio::select! {
            () = runtime.start() => told_to_end().await,
            () = told_to_end() => {}
        }
        runtime.stop(PATIENCE).await;
        Ok(())
    };
    // Of Corten's own groups no stock program knows.
    let duties = match args.group {
        Family::Builtin => duties,
        Family::Corten => Duties::Apart,
    };
    let (how, own) = (args.if_stock_runs, election.as_ref());
    let mut guard = Guard::new(client.clone(), clock.clone(), duties.clone(), how, own);
    let ended = match election {
        None => guarded(&mut guard, &runtime, work).await,
        Some(options) => {
            let stands = Stands {
                client,
                options,
                clock,
                duties,
            };
            stands.lead(&mut guard, &runtime, work).await
        }
    };
    match ended? {
        Ended::Told => Ok(ExitCode::SUCCESS),
        Ended::Lost => {
            tracing::error!("the lease could not be renewed in time, another one leads now");
            Ok(ExitCode::from(Lost::EXIT_CODE))
        }
        Ended::Refused(Refused(why)) => {
            eprintln!("{}: {why}", component.name);
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Why a program ends.
enum Ended {
    Told,
    Lost,
    Refused(Refused),
}

/// Does its work, while no stock program is in the way of it. Whoever loses the Lease in the middle of it leaves to the next
/// one what was made to be looked at, under names that are the same.
async fn guarded(
    guard: &mut Option<Guard>,
    runtime: &Runtime,
    work: impl Future<Output = Result<(), Misuse>>,
) -> Result<Ended, Misuse> {
    let Some(guard) = guard else {
        return work.await.map(|()| Ended::Told);
    };
    let ended = watched(guard, runtime, work).await;
    guard.tidy().await;
    ended
}

async fn watched(
    guard: &mut Guard,
    runtime: &Runtime,
    work: impl Future<Output = Result<(), Misuse>>,
) -> Result<Ended, Misuse> {
    tokio::select! {
        begun = guard.begin() => if let Err(refused) = begun {
            return Ok(Ended::Refused(refused));
        },
        () = told_to_end() => return Ok(Ended::Told),
    }
    tokio::select! {
        ended = work => ended.map(|()| Ended::Told),
        refused = guard.watch() => {
            runtime.stop(PATIENCE).await;
            Ok(Ended::Refused(refused))
        }
    }
}

/// A program that stands for election.
struct Stands {
    client: Client,
    options: ElectionOptions,
    clock: crate::Clock,
    duties: Duties,
}

impl Stands {
    async fn lead(
        self,
        guard: &mut Option<Guard>,
        runtime: &Runtime,
        work: impl Future<Output = Result<(), Misuse>>,
    ) -> Result<Ended, Misuse> {
        let (client, clock) = (self.client.clone(), self.clock.clone());
        let elector = Elector::new(
            client,
            self.options.clone(),
            clock,
            runtime.metrics().clone(),
        );
        let leadership = tokio::select! {
            leadership = elector.acquire() => leadership,
            () = told_to_end() => return Ok(Ended::Told),
            never = self.says_who_holds_it() => match never {},
        };
        runtime.fence(leadership.fence());
        if let Some(guard) = guard {
            guard.led_by(&leadership);
        }
        // From here on `work` sees to its own end: the lease is given up when nothing runs any more.
        let ended = tokio::select! {
            ended = guarded(guard, runtime, work) => ended,
            () = leadership.lost() => return Ok(Ended::Lost),
        };
        leadership.release().await;
        ended
    }

    /// Says once if it waits for a stock program, which may hold the Lease for ever, and does nothing more.
    async fn says_who_holds_it(&self) -> Infallible {
        tokio::time::sleep(PATIENCE).await;
        let (own, stock) = (&self.options, self.duties.stock());
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &own.namespace);
        let is_same = own.namespace == STOCK_NAMESPACE && own.name == stock;
        let lease = match is_same && self.duties != Duties::Apart {
            // Who stands for it may read it; if not now, the elector says so.
            true => leases.get_opt(&own.name).await.ok().flatten(),
            false => None,
        };
        let by = lease.as_ref().map(holder).unwrap_or_default();
        if !by.is_empty() && !is_ours(by) {
            tracing::warn!(
                "{stock} ({by}) holds the Lease for which this process stands, and may do so for ever; to work beside it, \
                 or to take over from it, stand for another: --leader-elect-resource-name=corten-{}",
                if stock == "kube-scheduler" {
                    "scheduler"
                } else {
                    "controllers"
                }
            );
        }
        std::future::pending().await
    }
}

/// Waits for SIGINT or SIGTERM.
pub async fn told_to_end() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        // Without signals there is nothing to wait for but a kill.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn say(error: impl fmt::Display) -> Misuse {
    Misuse(error.to_string())
}
