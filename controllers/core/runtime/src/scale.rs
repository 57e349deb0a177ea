//! The scale of any object that has one, custom resources too: asked of the API server, for kinds that no
//! cache holds (upstream: `k8s.io/client-go/scale` with a discovering REST mapper).

use crate::error::Refusal;
use crate::process::Process;
use crate::send;
use ahash::AHashMap;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResource, APIResourceList};
use objects::Selector;
use plan::{Cause, Kind};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Asks for scales. Cheap to clone; clones share what they know of the kinds that are served.
#[derive(Clone)]
pub struct Scales {
    process: Arc<Process>,
    plurals: Arc<Mutex<AHashMap<Which, String>>>,
}

/// apiVersion and kind.
type Which = (String, String);

/// Why a scale cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScaleError {
    /// What is wrong, in upstream's words where it has some.
    pub message: String,
    /// Whether it may be another answer in a moment: the server was not there, or had no time.
    pub transient: bool,
}

impl fmt::Display for ScaleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScaleError {}

impl Scales {
    pub(crate) fn new(process: Arc<Process>) -> Self {
        Self {
            process,
            plurals: Arc::default(),
        }
    }

    /// The scale of the object of this apiVersion (`apps/v1`), kind and name; `None` if there is no such
    /// object. One GET; two before it where the kind was not asked about before or is gone.
    ///
    /// # Errors
    /// The kind is not served, or has no scale; or the server gave no answer.
    pub async fn get(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Scale>, ScaleError> {
        let found = self.find(api_version, kind, namespace, name).await?;
        Ok(found.1)
    }

    /// The same, with what has to be known to write it.
    ///
    /// # Errors
    /// As [`Scales::get`].
    pub async fn find(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(Kind, Option<Scale>), ScaleError> {
        let which = (api_version.to_owned(), kind.to_owned());
        let plural = match self.known(&which) {
            Some(plural) => plural,
            None => self.discover(&which).await?,
        };
        let root = root(api_version);
        let path = format!("{root}/namespaces/{namespace}/{plural}/{name}/scale");
        match send::read::<Scale>(&self.process, &path).await {
            Ok(scale) => {
                readable(&scale)?;
                Ok((kind_of(&which, &plural), Some(scale)))
            }
            Err(refusal) if refusal.cause == Cause::NotFound => {
                // The object is not there, or the kind is not any more.
                self.plurals().remove(&which);
                let plural = self.discover(&which).await?;
                Ok((kind_of(&which, &plural), None))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn discover(&self, which: &Which) -> Result<String, ScaleError> {
        let (api_version, kind) = which;
        let list: APIResourceList = match send::read(&self.process, &root(api_version)).await {
            Ok(list) => list,
            Err(refusal) if refusal.cause == Cause::NotFound => APIResourceList::default(),
            Err(refusal) => return Err(refusal.into()),
        };
        let plural = scalable(&list.resources, api_version, kind)?;
        self.plurals().insert(which.clone(), plural.clone());
        Ok(plural)
    }

    fn known(&self, which: &Which) -> Option<String> {
        self.plurals().get(which).cloned()
    }

    fn plurals(&self) -> std::sync::MutexGuard<'_, AHashMap<Which, String>> {
        self.plurals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Refusal> for ScaleError {
    fn from(refusal: Refusal) -> Self {
        Self {
            transient: refusal.cause == Cause::Transient,
            message: refusal.message,
        }
    }
}

fn kind_of((api_version, kind): &Which, plural: &str) -> Kind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    crate::meta::kind(group, version, kind, plural)
}

/// A custom resource may answer with any text as its selector; upstream has no scale then.
fn readable(scale: &Scale) -> Result<(), ScaleError> {
    let selector = scale.status.as_ref().and_then(|s| s.selector.as_deref());
    let text = selector.unwrap_or_default();
    Selector::from_text(text).map_err(|error| ScaleError {
        message: format!(
            "received an object from a /scale endpoint which was not convertible to autoscaling Scale: failed to \
             parse target selector: couldn't parse the selector string {text:?}: {error}"
        ),
        transient: false,
    })?;
    Ok(())
}

/// `/apis/apps/v1`, or `/api/v1` for the core group.
fn root(api_version: &str) -> String {
    match api_version.contains('/') {
        true => format!("/apis/{api_version}"),
        false => format!("/api/{api_version}"),
    }
}

/// The plural of a kind whose objects have a scale.
fn scalable(served: &[APIResource], api_version: &str, kind: &str) -> Result<String, ScaleError> {
    let refused = |message| ScaleError {
        message,
        transient: false,
    };
    let is_it = |resource: &&APIResource| resource.kind == kind && !resource.name.contains('/');
    let Some(resource) = served.iter().find(is_it) else {
        let message = format!("no matches for kind \"{kind}\" in version \"{api_version}\"");
        return Err(refused(message));
    };
    let scale = format!("{}/scale", resource.name);
    if served.iter().any(|r| r.name == scale && r.kind == "Scale") {
        return Ok(resource.name.clone());
    }
    let group = api_version.split_once('/').map(|(group, _)| group);
    let name = group.map_or(resource.name.clone(), |g| format!("{}.{g}", resource.name));
    Err(refused(format!(
        "{name} does not implement the scale subresource"
    )))
}

#[cfg(test)]
mod tests {
    use super::{readable, scalable};
    use k8s_openapi::api::autoscaling::v1::{Scale, ScaleStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;

    fn resource(name: &str, kind: &str) -> APIResource {
        APIResource {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..APIResource::default()
        }
    }

    #[test]
    fn a_selector_that_cannot_be_read_is_no_scale() {
        let scale = |selector: &str| Scale {
            status: Some(ScaleStatus {
                selector: Some(selector.to_owned()),
                ..ScaleStatus::default()
            }),
            ..Scale::default()
        };
        assert_eq!(readable(&scale("a in (b),c")), Ok(()));
        assert_eq!(readable(&scale("")), Ok(()));
        let error = readable(&scale("a in (")).map_err(|error| error.message);
        let text =
            "failed to parse target selector: couldn't parse the selector string \"a in (\": ";
        assert!(error.is_err_and(|error| error.contains(text)));
    }

    #[test]
    fn a_kind_has_a_scale_if_its_subresource_is_served() {
        let served = [
            resource("looms/status", "Loom"),
            resource("looms", "Loom"),
            resource("looms/scale", "Scale"),
            resource("shuttles", "Shuttle"),
        ];
        let ask = |kind| scalable(&served, "craft.example/v1", kind).map_err(|e| e.message);
        assert_eq!(ask("Loom"), Ok("looms".to_owned()));
        let no = "shuttles.craft.example does not implement the scale subresource";
        assert_eq!(ask("Shuttle"), Err(no.to_owned()));
        let unknown = "no matches for kind \"Wheel\" in version \"craft.example/v1\"";
        assert_eq!(ask("Wheel"), Err(unknown.to_owned()));
    }
}
