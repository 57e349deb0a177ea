//! One process serves one family of API groups: the built-in one, or ours, which has the same kinds.
//!
//! At the edge of the process the two change places: within it, `apps/v1` is always the group that it serves, so the
//! controllers are the same. In a process for `apps.corten.dev/v1` the other name, `apps.corten.dev/v1`, is then that
//! of the built-in group: nothing is confused, and an autoscaler of ours can scale a built-in Deployment.
//!
//! ```text
//! within the process      apps/v1   apps.corten.dev/v1
//!                              ╲   ╱
//! the API server          apps.corten.dev/v1   apps/v1
//! ```
//!
//! It is done in paths and in JSON bodies, `exchange`; and a status is put as a custom resource
//! needs it, `status`. Messages for people are left as they are, and so is aggregated
//! discovery, where group and version stand apart: the controllers that read it serve all groups in any case.

mod exchange;
mod status;

use clap::ValueEnum;
use exchange::{Exchange, GROUPS};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use status::Put;

/// The kinds that a process serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// `apps/v1`, `batch/v1`, `autoscaling/v2`.
    #[default]
    #[value(name = "builtin")]
    Builtin,
    /// `apps.corten.dev/v1`, `batch.corten.dev/v1`, `autoscaling.corten.dev/v2`.
    #[value(name = "corten.dev")]
    Corten,
}

/// The components that have a kind of their own in the group; the others serve all groups as they are.
const COMPONENTS: [&str; 9] = [
    "replicaset-controller",
    "deployment-controller",
    "daemonset-controller",
    "statefulset-controller",
    "job-controller",
    "cronjob-controller",
    "ttl-after-finished-controller",
    "horizontal-pod-autoscaler-controller",
    "kube-controller-manager",
];

impl Family {
    /// Whether the component of this name has something to do in the family.
    pub fn has(self, component: &str) -> bool {
        self == Self::Builtin || COMPONENTS.contains(&component)
    }

    /// What the component is called where two of different families must not be taken for each other: its Lease and
    /// its user agent.
    pub fn name(self, component: &str) -> String {
        match self {
            Self::Builtin => component.to_owned(),
            Self::Corten => format!("{component}-corten.dev"),
        }
    }

    /// The group version that the API server knows under this name: `apps/v1` is `apps.corten.dev/v1` in a process
    /// for that, and the other way round. What is in no pair stays.
    pub fn group_version(self, name: &str) -> &str {
        let pair = GROUPS.iter().filter(|_| self == Self::Corten);
        let mut other = pair.filter_map(|[a, b]| match name {
            name if name == *a => Some(*b),
            name if name == *b => Some(*a),
            _ => None,
        });
        other.next().unwrap_or(name)
    }

    /// `client`, for a process of this family.
    pub fn client(self, client: Client) -> Client {
        if self == Self::Builtin {
            return client;
        }
        let namespace = client.default_namespace().to_owned();
        let service = tower::service_fn(move |request| send(client.clone(), request));
        Client::new(service, namespace)
    }

    /// The path with the group version in it exchanged.
    fn path(self, path: &str) -> Option<String> {
        let rest = path.strip_prefix("/apis/")?;
        let is_end = |c: char| c == '/' || c == '?';
        let slash = rest.find('/')? + 1;
        let end = rest[slash..].find(is_end).map_or(rest.len(), |i| slash + i);
        let (name, tail) = rest.split_at(end);
        let other = self.group_version(name);
        (other != name).then(|| format!("/apis/{other}{tail}"))
    }
}

/// Sends a request with the groups exchanged in it, and gives the answer with the groups exchanged in that.
async fn send(
    client: Client,
    request: Request<Body>,
) -> Result<Response<impl http_body::Body<Data = bytes::Bytes, Error = kube::Error>>, kube::Error> {
    let (mut head, mut body) = request.into_parts();
    if let Some(uri) = other(&head.uri) {
        head.uri = uri;
    }
    let mut put = None;
    if !body.is_end_stream() {
        // Whole at once, as it is in memory anyway: its length is known then.
        let whole = Exchange::default().next(body.collect().await?.to_bytes());
        head.headers.remove(CONTENT_LENGTH);
        put = Put::of(&head.method, &head.uri, &whole);
        body = Body::from(put.as_ref().map_or_else(|| whole.to_vec(), Put::body));
    }
    let accept = head.headers.get(ACCEPT).cloned();
    let mut answer = client.send(Request::from_parts(head, body)).await?;
    if let Some(put) = put.filter(|_| answer.status().is_success()) {
        let (head, body) = answer.into_parts();
        let whole = body.collect_bytes().await?;
        answer = match put.rest(&whole) {
            None => Response::from_parts(head, Body::from(whole.to_vec())),
            Some(mut rest) => {
                rest.headers_mut()
                    .extend(accept.map(|accept| (ACCEPT, accept)));
                client.send(rest).await?
            }
        };
    }
    let (mut head, body) = answer.into_parts();
    let mut exchange = is_json(&head.headers).then(Exchange::default);
    if exchange.is_some() {
        head.headers.remove(CONTENT_LENGTH);
    }
    let body = body.map_frame(move |frame| match &mut exchange {
        Some(exchange) => frame.map_data(|chunk| exchange.next(chunk)),
        None => frame,
    });
    Ok(Response::from_parts(head, body))
}

fn other(uri: &Uri) -> Option<Uri> {
    let path = Family::Corten.path(uri.path_and_query()?.as_str())?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    media.is_some_and(|media| media.contains("json"))
}

#[cfg(test)]
mod tests;
