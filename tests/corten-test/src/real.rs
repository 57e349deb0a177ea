//! A real cluster: etcd and kube-apiserver as children of this process, the loops of a whole cluster on a thread of
//! their own, so that a test which blocks holds nothing up.

use crate::folder::Folder;
use crate::{Error, Options};
use controlplane::ControlPlane;
use controlplane::apiserver::SERVICE_RANGE;
use kube::{Client, Config};
use registry::Settings;
use registry::whole::{Whole, run_metrics};
use runtime::Runtime;
use std::path::PathBuf;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

pub(crate) struct Real {
    pub(crate) config: Config,
    pub(crate) kubeconfig: PathBuf,
    // It ends when this is dropped.
    lives: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    // Last: it is removed when nobody writes to it any more.
    _folder: Folder,
}

impl Real {
    pub(crate) async fn start(options: Options) -> Result<Self, Error> {
        let folder = Folder::new().map_err(|error| Error::Start(error.to_string()))?;
        let mut place = controlplane::Options::new(folder.path());
        place.unsafe_no_fsync = true;
        let (told, hears) = oneshot::channel();
        let (lives, dies) = oneshot::channel::<()>();
        let run = move || {
            let threads = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("cluster")
                .enable_all()
                .build();
            let threads = match threads {
                Ok(threads) => threads,
                Err(error) => return drop(told.send(Err(error.to_string()))),
            };
            threads.block_on(async {
                match Box::pin(begin(place, options)).await {
                    Ok((plane, runtime)) => {
                        let access = (plane.admin_config(), plane.kubeconfig_path());
                        // Whoever asked may be gone; then there is nobody to run for.
                        if told.send(Ok(access)).is_ok() {
                            // It ends by being dropped.
                            let _ = dies.await;
                        }
                        // Nobody will look at what is left: as a kill would.
                        runtime.kill();
                        drop(plane);
                    }
                    Err(said) => drop(told.send(Err(said))),
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name("cluster".into())
            .spawn(run);
        let thread = thread.map_err(|error| Error::Start(error.to_string()))?;
        let gone = |_| "its thread has ended".to_owned();
        let access = hears.await.map_err(gone).and_then(|answer| answer);
        let (config, kubeconfig) = access.map_err(Error::Start)?;
        Ok(Self {
            config,
            kubeconfig,
            lives: Some(lives),
            thread: Some(thread),
            _folder: folder,
        })
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.lives = None;
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            drop(thread.join());
        }
    }
}

async fn begin(
    place: controlplane::Options,
    options: Options,
) -> Result<(ControlPlane, Runtime), String> {
    let plane = ControlPlane::start(place);
    let plane = plane.await.map_err(|error| error.to_string())?;
    let whole = Whole {
        controllers: options.controllers,
        settings: Settings::of_own(plane.pki().dir(), SERVICE_RANGE)?,
        nodes: options.nodes,
    };
    let client = Client::try_from(plane.admin_config()).map_err(|error| error.to_string())?;
    let runtime = Runtime::new(client, runtime::Options::default());
    whole.run(&runtime).map_err(|wrong| wrong.0)?;
    run_metrics(&runtime, whole.nodes.clone());
    runtime.start().await;
    whole.ready(&runtime).await?;
    whole.offer_storage(&runtime).await?;
    Ok((plane, runtime))
}
