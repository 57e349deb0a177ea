//! Waiting for what loops bring about in their own time.

use crate::{Cluster, Error, Kind, placed, shown};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::DynamicObject;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What has not come about after this long never will.
pub const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Asks `look` until it gives a value, and gives that. After `patience` it fails with `what` was waited for and the
/// error that `look` gave last, so that error should say what it saw.
///
/// # Errors
/// [`Error::Late`].
pub async fn within<T, E: Display>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(last) if begun.elapsed() > patience => {
                return Err(Error::Late {
                    what: what.to_owned(),
                    patience,
                    last: format!("{last:#}"),
                    seen: String::new(),
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

impl Cluster {
    /// Waits until an object is there and `is` says yes of it; `what` completes the sentence "Website shop …".
    ///
    /// # Errors
    /// [`Error::Late`], with all that is in the cluster.
    pub async fn until<K: Kind>(
        &self,
        place: &str,
        what: &str,
        is: impl Fn(&K) -> bool,
    ) -> Result<K, Error> {
        let what = format!("{} {place} {what}", K::kind(&()));
        self.eventually(&what, async || {
            let object = self.get::<K>(place).await.map_err(said)?;
            match is(&object) {
                true => Ok(object),
                false => Err(seen(&object)),
            }
        })
        .await
    }

    /// Waits until there is no such object any more.
    ///
    /// # Errors
    /// [`Error::Late`], with all that is in the cluster.
    pub async fn until_gone<K: Kind>(&self, place: &str) -> Result<(), Error> {
        let (namespace, name) = placed(place);
        let what = format!("{} {place} is gone", K::kind(&()));
        let objects = self.api::<K>(namespace);
        self.eventually(&what, async || {
            let found = objects.get_opt(name).await;
            match found.map_err(said)? {
                None => Ok(()),
                Some(object) => Err(shown::line(&object)),
            }
        })
        .await
    }

    /// Waits until so many pods of a namespace that a label selector selects are ready, and no others are there.
    ///
    /// # Errors
    /// [`Error::Late`], with all that is in the cluster.
    pub async fn until_pods_ready(
        &self,
        namespace: &str,
        selector: &str,
        count: usize,
    ) -> Result<Vec<Pod>, Error> {
        let what = format!("{count} pods ({selector}) are ready");
        self.eventually(&what, async || {
            let pods = self.list::<Pod>(namespace, selector).await;
            let pods = pods.map_err(said)?;
            let ready = pods
                .iter()
                .filter(|pod| objects::pod::is_ready(pod))
                .count();
            match ready == count && pods.len() == count {
                true => Ok(pods),
                false => Err(format!("{ready} of {} are ready", pods.len())),
            }
        })
        .await
    }

    /// Asks `look` until it gives a value, and gives that; `what` is what is waited for. The error that `look` gives
    /// last is told after [`PATIENCE`], so it should say what it saw.
    ///
    /// # Errors
    /// [`Error::Late`], with all that is in the cluster.
    pub async fn eventually<T, E: Display>(
        &self,
        what: &str,
        look: impl AsyncFnMut() -> Result<T, E>,
    ) -> Result<T, Error> {
        self.within(PATIENCE, what, look).await
    }

    /// As [`Cluster::eventually`], for what takes its time, or must not.
    ///
    /// # Errors
    /// [`Error::Late`], with all that is in the cluster.
    pub async fn within<T, E: Display>(
        &self,
        patience: Duration,
        what: &str,
        look: impl AsyncFnMut() -> Result<T, E>,
    ) -> Result<T, Error> {
        match within(patience, what, look).await {
            Err(Error::Late {
                what,
                patience,
                last,
                ..
            }) => {
                let seen = format!("\n{}", self.describe().await);
                Err(Error::Late {
                    what,
                    patience,
                    last,
                    seen,
                })
            }
            other => other,
        }
    }

    /// Waits until the kind that a CustomResourceDefinition makes is served.
    pub(crate) async fn until_served(&self, definition: &str) -> Result<(), Error> {
        let established = |definition: &CustomResourceDefinition| {
            let status = definition.status.as_ref();
            let conditions = status.and_then(|status| status.conditions.as_ref());
            conditions
                .into_iter()
                .flatten()
                .any(|c| c.type_ == "Established" && c.status == "True")
        };
        let made = self.until(definition, "is served", established).await?;
        // The server says so a moment before it does so.
        let spec = made.spec;
        let version = spec.versions.iter().find(|version| version.served);
        let version = version.map(|version| version.name.as_str());
        let path = format!(
            "/apis/{}/{}/{}",
            spec.group,
            version.unwrap_or_default(),
            spec.names.plural
        );
        let what = format!("{path} is served");
        self.eventually(&what, async || {
            let request = http::Request::get(&path).body(Vec::new());
            let answer = self.client.request_text(request.map_err(said)?).await;
            answer.map(drop).map_err(said)
        })
        .await
    }
}

/// What a look that was in vain saw.
fn seen<K: Kind>(object: &K) -> String {
    let value = serde_json::to_value(object).unwrap_or_default();
    let object = serde_json::from_value::<DynamicObject>(value);
    object
        .map(|object| shown::line(&object))
        .unwrap_or_default()
}

/// What a look that was in vain says.
fn said(error: impl Display) -> String {
    error.to_string()
}
