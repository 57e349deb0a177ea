//! Leader election on a Lease, with client-go's semantics and timings
//! (`client-go/tools/leaderelection/leaderelection.go`).
//!
//! Whether another's lease has run out is judged by when *we* first saw its present state, never by the
//! times written in it: clocks of machines may differ by any amount. All waiting is tokio's, so paused
//! time works.
//!
//! ```text
//! acquire   every 2 s × (1 … 2.2)     until nobody else holds the lease
//! renew     every 2 s                 10 s without success: lost
//! others    may take it               15 s after they last saw it change
//! fence     nothing is written        15 s after the last renewal was sent
//! ```
//!
//! That loops are level-triggered is what makes two leaders harmless; the election keeps that rare.

mod fence;
mod notes;
mod record;

pub use fence::Fence;
pub(crate) use notes::Board;
pub use notes::Notes;

use crate::clock::Clock;
use crate::metrics::Metrics;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use record::{Attempt, Observed};
use std::fs;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// By how much a wait between attempts to acquire may be longer than the retry period.
const JITTER: f64 = 1.2;

/// How a process takes part in an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionOptions {
    /// Upstream's component name, the source of events.
    pub component: String,
    /// Name of the Lease.
    pub name: String,
    /// Namespace of the Lease.
    pub namespace: String,
    /// Who this process is, different from any other's: see [`identity`].
    pub identity: String,
    /// For how long others leave a lease alone after they last saw it change.
    pub lease_duration: Duration,
    /// For how long the leader tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// The pause between attempts.
    pub retry_period: Duration,
    /// Fixes the jitter; none takes it from the system.
    pub seed: Option<u64>,
}

impl ElectionOptions {
    /// Upstream's defaults (`component-base/config/v1alpha1/defaults.go`): Lease `kube-system/<component>`,
    /// 15 s, 10 s, 2 s.
    pub fn new(component: &str) -> Self {
        Self {
            component: component.to_owned(),
            name: component.to_owned(),
            namespace: "kube-system".to_owned(),
            identity: identity(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            seed: None,
        }
    }

    /// client-go's rules for the three times.
    ///
    /// # Errors
    /// One sentence that names the flags.
    pub fn validate(&self) -> Result<(), String> {
        let seconds = |d: Duration| format!("{}s", d.as_secs_f64());
        let (lease, renew, retry) = (self.lease_duration, self.renew_deadline, self.retry_period);
        if lease < Duration::from_secs(1) || retry.is_zero() {
            return Err("--leader-elect-lease-duration must be at least 1s and --leader-elect-retry-period more than 0s".to_owned());
        }
        if lease <= renew {
            return Err(format!(
                "--leader-elect-lease-duration ({}) must be longer than --leader-elect-renew-deadline ({})",
                seconds(lease),
                seconds(renew)
            ));
        }
        if renew <= retry.mul_f64(JITTER) {
            return Err(format!(
                "--leader-elect-renew-deadline ({}) must be longer than {JITTER} times --leader-elect-retry-period ({})",
                seconds(renew),
                seconds(retry)
            ));
        }
        if self.identity.is_empty() {
            return Err("the identity for leader election is empty".to_owned());
        }
        Ok(())
    }

    /// client-go takes half the deadline; then one write and one read without an answer are the end. With a
    /// third there is time for another attempt.
    fn request_timeout(&self) -> Duration {
        (self.renew_deadline / 3).max(Duration::from_secs(1))
    }
}

/// Stands in the identity of each process of ours, and in none of a stock component.
const OURS: &str = "_corten_";

/// Whether who holds a Lease under this identity is a process of ours.
pub fn is_ours(identity: &str) -> bool {
    identity.contains(OURS)
}

/// Who holds this Lease; empty if nobody does.
pub fn holder(lease: &Lease) -> &str {
    record::holder(lease)
}

/// `<host name>_corten_<random UUID>`: as upstream's components call themselves, but for the word that tells ours from
/// theirs.
pub fn identity() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "localhost".to_owned());
    // A UUID of version 4 and variant 1 is random but for six bits.
    let bits = rand::random::<u128>() & !(0xf << 76 | 0x3 << 62) | (0x4 << 76 | 0x2 << 62);
    let hex = format!("{bits:032x}");
    format!(
        "{host}{OURS}{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// A process that stands for election.
#[derive(Clone)]
pub struct Elector(Arc<Inner>);

struct Inner {
    client: Client,
    leases: Api<Lease>,
    options: ElectionOptions,
    clock: Clock,
    metrics: Metrics,
    random: Mutex<StdRng>,
    fence: Fence,
    board: Arc<Board>,
}

impl Elector {
    /// An elector that has done nothing yet. The metric `leader_election_master_status` is there from now.
    pub fn new(client: Client, options: ElectionOptions, clock: Clock, metrics: Metrics) -> Self {
        metrics.leading(&options.name, false);
        let random = options
            .seed
            .map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
        Self(Arc::new(Inner {
            leases: Api::namespaced(client.clone(), &options.namespace),
            client,
            options,
            clock,
            metrics,
            random: Mutex::new(random),
            fence: Fence::default(),
            board: Arc::default(),
        }))
    }

    /// Waits until this process is the leader, however long that takes. From then on the lease is renewed
    /// in a task of its own, until it is lost or given up.
    pub async fn acquire(&self) -> Leadership {
        let options = &self.0.options;
        info!(lease = %self.0.describe(), identity = options.identity, "waits for leadership");
        let mut observed = Observed::default();
        while !self.0.attempt(&mut observed).await {
            time::sleep(self.0.jittered()).await;
        }
        info!(lease = %self.0.describe(), "became leader");
        self.0.metrics.leading(&options.name, true);
        record::event(&self.0, "became leader");
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(keep(self.0.clone(), observed, lost.clone(), stop.clone()));
        Leadership {
            lost,
            stop,
            fence: self.0.fence.clone(),
            board: self.0.board.clone(),
            task: Some(task),
        }
    }

    /// Waits for leadership, then runs what `lead` makes until it ends or leadership is lost. If it ends,
    /// the lease is given up, so that the next in line needs not wait.
    ///
    /// # Errors
    /// [`Lost`], after which the process has to end with code 1: what it started may still be running.
    pub async fn run<F, T>(&self, lead: F) -> Result<T::Output, Lost>
    where
        F: FnOnce() -> T,
        T: Future,
    {
        let leadership = self.acquire().await;
        let output = tokio::select! {
            output = lead() => Some(output),
            () = leadership.lost() => None,
        };
        match output {
            Some(output) => {
                leadership.release().await;
                Ok(output)
            }
            None => Err(Lost(self.0.describe())),
        }
    }
}

/// The lease could not be renewed in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leader election lost: the lease {0} could not be renewed in time")]
pub struct Lost(String);

impl Lost {
    /// Upstream's components end with this code.
    pub const EXIT_CODE: u8 = 1;
}

/// This process is the leader for as long as this lives and [`Leadership::lost`] waits. Dropping it gives
/// the lease up in the background; [`Leadership::release`] waits for that.
#[derive(Debug)]
pub struct Leadership {
    lost: CancellationToken,
    stop: CancellationToken,
    fence: Fence,
    board: Arc<Board>,
    task: Option<JoinHandle<()>>,
}

impl Leadership {
    /// Says until when what the lease guards may write.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// What stands on the Lease besides who holds it; kept up to date by the renewals.
    pub(crate) fn board(&self) -> Arc<Board> {
        self.board.clone()
    }

    /// Returns when the lease could not be renewed in time; the process has to end with code 1.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Whether the lease is lost by now.
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// A token that is cancelled when the lease is lost, for what is to stop with it.
    pub fn token(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Gives the lease up, so that the next in line can have it at once. A lost one is left alone. Call it
    /// when nothing that the lease guards is running any more.
    pub async fn release(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // It fails only with the whole tokio runtime, and then there is nothing to wait for.
            let _ = task.await;
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Renews until told to stop or until the deadline has passed.
async fn keep(
    inner: Arc<Inner>,
    mut observed: Observed,
    lost: CancellationToken,
    stop: CancellationToken,
) {
    loop {
        let kept = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            kept = async {
                time::sleep(inner.options.retry_period).await;
                inner.renew(&mut observed).await
            } => kept,
        };
        if !kept {
            warn!(lease = %inner.describe(), "lost leadership");
            inner.metrics.leading(&inner.options.name, false);
            // Before anything else: each moment counts that two may be leading.
            lost.cancel();
            record::event(&inner, "stopped leading");
            return;
        }
    }
    inner.metrics.leading(&inner.options.name, false);
    let released = time::timeout(inner.options.renew_deadline, inner.release()).await;
    match released {
        Ok(Ok(true)) => info!(lease = %inner.describe(), "gave up leadership"),
        Ok(Ok(false)) => {}
        Ok(Err(error)) => warn!(lease = %inner.describe(), %error, "could not give up the lease"),
        Err(_) => warn!(lease = %inner.describe(), "could not give up the lease in time"),
    }
}

impl Inner {
    fn describe(&self) -> String {
        format!("{}/{}", self.options.namespace, self.options.name)
    }

    fn jittered(&self) -> Duration {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        self.options
            .retry_period
            .mul_f64(1.0 + JITTER * random.random::<f64>())
    }

    /// Tries until it succeeds or the renew deadline has passed since the first try.
    async fn renew(&self, observed: &mut Observed) -> bool {
        let deadline = Instant::now() + self.options.renew_deadline;
        let tries = async {
            while !self.attempt(observed).await {
                time::sleep(self.options.retry_period).await;
            }
        };
        time::timeout_at(deadline, tries).await.is_ok()
    }

    /// One attempt to acquire or renew; errors count as failure.
    async fn attempt(&self, observed: &mut Observed) -> bool {
        let began = Instant::now();
        match self.try_acquire_or_renew(observed).await {
            Ok(true) => {
                self.fence.renewed(began, self.options.lease_duration);
                true
            }
            Ok(false) => false,
            Err(error) => {
                warn!(lease = %self.describe(), %error, "could not get or renew the lease");
                false
            }
        }
    }

    async fn try_acquire_or_renew(&self, observed: &mut Observed) -> Result<bool, Trouble> {
        let (options, now) = (&self.options, self.clock.now());
        // The leader's usual way: one write on what it wrote last.
        if let Some(mut lease) = observed.renewed(options, now, Instant::now()) {
            self.board.add(&mut lease);
            match self.replace(&lease).await {
                Ok(lease) => {
                    self.board.look(&lease);
                    observed.set(lease, Instant::now());
                    return Ok(true);
                }
                Err(error) => {
                    debug!(lease = %self.describe(), %error, "reads the lease before it renews it");
                }
            }
        }
        let Some(lease) = self.get().await? else {
            let lease = self
                .in_time(
                    self.leases
                        .create(&self.parameters(), &record::first(options, now)),
                )
                .await?;
            observed.set(lease, Instant::now());
            return Ok(true);
        };
        observed.see(lease, Instant::now());
        match observed.decide(options, now, Instant::now()) {
            Attempt::Held { by } => {
                debug!(lease = %self.describe(), holder = by, "another process leads");
                Ok(false)
            }
            Attempt::Write(mut lease) => {
                self.board.add(&mut lease);
                let lease = self.replace(&lease).await?;
                self.board.look(&lease);
                observed.set(lease, Instant::now());
                Ok(true)
            }
        }
    }

    /// Gives up the lease if it is still ours: no holder, one second.
    async fn release(&self) -> Result<bool, Trouble> {
        match self.get().await? {
            Some(lease) if record::holder(&lease) == self.options.identity => {
                self.replace(&record::released(lease, self.clock.now()))
                    .await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn get(&self) -> Result<Option<Lease>, Trouble> {
        self.in_time(self.leases.get_opt(&self.options.name)).await
    }

    /// Carries the resourceVersion of what it was made from: of two that write, one is refused.
    async fn replace(&self, lease: &Lease) -> Result<Lease, Trouble> {
        self.in_time(
            self.leases
                .replace(&self.options.name, &self.parameters(), lease),
        )
        .await
    }

    fn parameters(&self) -> PostParams {
        PostParams {
            field_manager: Some(self.options.component.clone()),
            ..PostParams::default()
        }
    }

    async fn in_time<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Trouble> {
        match time::timeout(self.options.request_timeout(), request).await {
            Ok(answer) => answer.map_err(|error| Trouble::Answer(Box::new(error))),
            Err(_) => Err(Trouble::Silence),
        }
    }
}

/// Why an attempt came to nothing. The next one begins with a read, so it need not be known whether a
/// write that was not answered took place.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Answer(Box<Error>),
    #[error("the server did not answer in time")]
    Silence,
}

#[cfg(test)]
mod tests;
