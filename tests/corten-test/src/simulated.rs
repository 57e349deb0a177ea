//! A cluster in memory: the server that counts time by tokio's clock, which stands still, and the loops of a whole
//! cluster in this very thread.

use crate::{Error, Options};
use kubelet::metrics::{Question, World};
use registry::Settings;
use registry::whole::Whole;
use runtime::{Clock, Runtime};
use serde_json::json;
use sim::Sim;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Who the loops are to the server, for faults and counters of [`Sim`].
pub const LOOPS: &str = "loops";
/// The same names in each run.
const SEED: u64 = 7;

pub(crate) struct Simulated {
    pub(crate) sim: Sim,
    runtime: Runtime,
}

impl Simulated {
    pub(crate) async fn start(options: Options) -> Result<Self, Error> {
        freeze()?;
        let sim = Sim::new();
        serve_what_is_behind(&sim, options.nodes.profiles.clone());
        let clock = sim.clone();
        let process = runtime::Options {
            clock: Clock::new(move || clock.now()),
            seed: Some(SEED),
            ..runtime::Options::default()
        };
        let whole = Whole {
            controllers: options.controllers,
            settings: Settings {
                root_ca: Some("There is nobody to be known by it.\n".to_owned()),
                ..Settings::bare()
            },
            nodes: options.nodes,
        };
        let runtime = Runtime::new(sim.client_for(LOOPS), process);
        let simulated = Self { sim, runtime };
        let runtime = &simulated.runtime;
        whole.run(runtime).map_err(|wrong| Error::Start(wrong.0))?;
        runtime.start().await;
        whole.ready(runtime).await.map_err(Error::Start)?;
        whole.offer_storage(runtime).await.map_err(Error::Start)?;
        Ok(simulated)
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.runtime.kill();
    }
}

/// Stops tokio's clock, which then goes on by itself, to the next timer, whenever nobody has anything to do.
fn freeze() -> Result<(), Error> {
    if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
        let said =
            "a cluster in memory needs a test of one thread: #[tokio::test] without a flavor";
        return Err(Error::Start(said.to_owned()));
    }
    // Tokio does not tell whether its clock stands still, and refuses to stop it twice.
    let (real, tokio) = (std::time::Instant::now(), tokio::time::Instant::now());
    while real.elapsed() < Duration::from_micros(10) {
        std::hint::spin_loop();
    }
    if tokio.elapsed() > Duration::ZERO {
        tokio::time::pause();
    }
    Ok(())
}

/// The servers behind a real one: who asks may do everything, and hollow pods use what their profiles say.
fn serve_what_is_behind(sim: &Sim, profiles: kubelet::Profiles) {
    sim.aggregate("/apis/authorization.k8s.io/", |_, _, _| {
        Some(json!({ "status": { "allowed": true } }))
    });
    sim.aggregate("/apis/metrics.k8s.io", move |state, path, query| {
        let world = World {
            profiles: &profiles,
            nodes: state.list(None),
            pods: state.list(None),
            now: state.now(),
        };
        let question = Question::parse(path, query).ok()?;
        world.answer(&question).ok()
    });
}
