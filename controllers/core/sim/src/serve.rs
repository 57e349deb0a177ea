//! From an HTTP request to a verb, and back. `k8s.io/apiserver pkg/endpoints`.

mod read;
mod route;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::fault::{Effect, Lost, Moment, Seen};
use crate::meta;
use crate::patch::PatchType;
use crate::refusal::{self, Answer, Refusal};
use crate::state::{Object, Verb};
use crate::verbs::{Patch, Removed};
use crate::{Sim, watch};

pub(crate) use read::version_of;
pub(crate) use route::Route;
use route::route;

/// What goes back to the client.
pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

pub(crate) fn client(sim: &Sim, actor: &str) -> Client {
    let sim = sim.clone();
    let actor: Arc<str> = actor.into();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (sim, actor) = (sim.clone(), Arc::clone(&actor));
        async move { serve(sim, actor, request).await }
    });
    Client::new(service, "default")
}

async fn serve(sim: Sim, actor: Arc<str>, request: Request<Body>) -> Result<Reply, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if sim.faults().is_away(&actor) {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    if let Some(reply) = sim.ask_behind(&parts.uri) {
        return Ok(reply);
    }
    let routed = route(&sim.state(), &parts.method, &parts.uri);
    let route = match routed {
        Ok(Some(route)) => route,
        Ok(None) => {
            let accept = parts.headers.get(header::ACCEPT);
            let accept = accept.and_then(|accept| accept.to_str().ok());
            let accept = accept.unwrap_or("");
            return Ok(read::discovery(&sim.state(), parts.uri.path(), accept));
        }
        Err(refusal) => return Ok(refused(&refusal)),
    };
    let effect = sim.faults().strike(&mut Seen {
        actor: &actor,
        verb: route.verb,
        kind: route.table.kind,
        subresource: route.subresource,
        namespace: &route.namespace,
        name: &route.name,
        write: 0,
    });
    let call = Call {
        sim: &sim,
        actor: &actor,
        route: &route,
        headers: &parts.headers,
        body: &body,
    };
    match effect {
        None => Ok(call.answer()),
        Some(Effect::FailBefore(code)) => Ok(refused(&refusal::fault(code))),
        Some(Effect::Conflict) => Ok(refused(&refusal::fault(409))),
        Some(Effect::Disconnect) => Err(io::ErrorKind::ConnectionReset.into()),
        Some(Effect::TooManyRequests { retry_after }) => {
            let message =
                "the server has received too many requests and has asked us to try again later";
            Ok(refused(&refusal::too_many_requests(message, retry_after)))
        }
        Some(Effect::FailAfter(lost)) => {
            drop(call.answer());
            match lost {
                Lost::Timeout => Ok(refused(&refusal::fault(504))),
                Lost::Connection => Err(io::ErrorKind::ConnectionReset.into()),
                Lost::Silence => std::future::pending().await,
            }
        }
        Some(Effect::Crash(moment, tell)) => {
            if moment == Moment::After {
                drop(call.answer());
            }
            tell();
            std::future::pending().await
        }
    }
}

/// A request that is being served.
struct Call<'a> {
    sim: &'a Sim,
    actor: &'a Arc<str>,
    route: &'a Route,
    headers: &'a HeaderMap,
    body: &'a Bytes,
}

/// How a write came out.
enum Outcome {
    Object(u16, Arc<Object>),
    Value(u16, Value),
}

impl Call<'_> {
    fn answer(&self) -> Reply {
        let partial = self
            .header(header::ACCEPT)
            .contains("as=PartialObjectMetadata");
        let answer = match self.route.verb {
            Verb::Watch => watch::start(self.sim, self.actor, self.route, partial),
            Verb::Get | Verb::List => self.read(partial),
            _ => self.write().map(|outcome| match outcome {
                Outcome::Object(code, object) if partial => text(code, object.partial()),
                Outcome::Object(code, object) => text(code, object.bytes.clone()),
                Outcome::Value(code, value) => reply(code, &value),
            }),
        };
        answer.unwrap_or_else(|refusal| refused(&refusal))
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
    }

    fn json(&self) -> Answer<Value> {
        serde_json::from_slice(self.body)
            .map_err(|e| refusal::bad_request(format!("the object provided is unrecognized: {e}")))
    }

    fn options(&self) -> Answer<Value> {
        let mut options = if self.body.is_empty() {
            json!({})
        } else {
            self.json()?
        };
        for field in ["propagationPolicy"] {
            if let Some(value) = self.route.query.get(field) {
                options[field] = json!(value);
            }
        }
        Ok(options)
    }

    fn write(&self) -> Answer<Outcome> {
        let route = self.route;
        let table = route.table;
        let mut context = self.sim.context(self.actor, route.verb);
        context.subresource = route.subresource;
        context.dry_run = route.query.contains_key("dryRun");
        let name = (route.namespace.as_str(), route.name.as_str());
        match (route.verb, route.subresource) {
            (Verb::Create, "") => {
                let body = self.json()?;
                let mut state = self.sim.state_at(&context);
                state
                    .create(&context, route.kind, name.0, body, false)
                    .map(|object| Outcome::Object(201, object))
            }
            (Verb::Create, "binding" | "eviction") => {
                let body = self.json()?;
                let mut state = self.sim.state_at(&context);
                if route.subresource == "binding" {
                    state.bind(&context, name, &body)?;
                } else {
                    state.evict(&context, name, &body)?;
                }
                let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
                Ok(Outcome::Value(201, status))
            }
            (Verb::Update, "scale") => {
                let scale = self.json()?;
                let mut state = self.sim.state_at(&context);
                state
                    .put_scale(&context, route.kind, name, &scale)
                    .map(|scale| Outcome::Value(200, scale))
            }
            (Verb::Update, _) => {
                let body = self.json()?;
                let mut state = self.sim.state_at(&context);
                let existed = state.object(route.kind, name.0, name.1).is_some();
                state
                    .update(&context, route.kind, name, body, false)
                    .map(|object| Outcome::Object(if existed { 200 } else { 201 }, object))
            }
            (Verb::Patch, subresource) => {
                let patch = Patch {
                    how: PatchType::parse(self.header(header::CONTENT_TYPE))?,
                    body: self.json()?,
                    manager: route.query.get("fieldManager").cloned().unwrap_or_default(),
                };
                let mut state = self.sim.state_at(&context);
                if subresource == "scale" {
                    return state
                        .patch_scale(&context, route.kind, name, patch)
                        .map(|scale| Outcome::Value(200, scale));
                }
                let existed = state.object(route.kind, name.0, name.1).is_some();
                state
                    .patch(&context, route.kind, name, patch)
                    .map(|object| Outcome::Object(if existed { 200 } else { 201 }, object))
            }
            (Verb::Delete, "") => {
                let mut options = self.options()?;
                context.dry_run |= options.get("dryRun").is_some_and(|d| !d.is_null());
                let mut state = self.sim.state_at(&context);
                Ok(
                    match state.delete(&context, route.kind, name, &options.take())? {
                        Removed::Waits(object) => Outcome::Object(200, object),
                        Removed::Gone(object) if table.returns_deleted => {
                            Outcome::Object(200, object)
                        }
                        Removed::Gone(object) => {
                            let status = refusal::success(table, name.1, meta::uid(&object.value));
                            Outcome::Value(200, status)
                        }
                    },
                )
            }
            (Verb::DeleteCollection, "") => {
                let options = self.options()?;
                let selector = route.selector()?;
                let mut state = self.sim.state_at(&context);
                let names: Vec<(String, String)> = state.stores[route.kind]
                    .objects
                    .iter()
                    .filter(|((home, _), object)| {
                        (name.0.is_empty() || home == name.0) && selector.matches(&object.value)
                    })
                    .map(|(key, _)| key.clone())
                    .collect();
                let mut items = Vec::new();
                for (namespace, name) in names {
                    match state.delete(&context, route.kind, (&namespace, &name), &options)? {
                        Removed::Waits(object) | Removed::Gone(object) => {
                            items.push((*object.value).clone());
                        }
                    }
                }
                let list = json!({
                    "kind": format!("{}List", table.kind), "apiVersion": table.api_version(),
                    "metadata": { "resourceVersion": state.revision.to_string() }, "items": items,
                });
                Ok(Outcome::Value(200, list))
            }
            _ => Err(refusal::method_not_allowed()),
        }
    }

    fn read(&self, partial: bool) -> Answer<Reply> {
        let route = self.route;
        let stale = self.sim.faults().sight(self.actor, route.table.kind).stale;
        let state = self.sim.state();
        if route.verb == Verb::List {
            return read::list(&state, route, partial, stale);
        }
        let object = match stale {
            None => state
                .object(route.kind, &route.namespace, &route.name)
                .cloned(),
            Some(revision) => state
                .at(route.kind, revision)
                .ok_or_else(|| refusal::too_old(revision, state.revision))?
                .remove(&(route.namespace.clone(), route.name.clone())),
        };
        let object = object.ok_or_else(|| refusal::not_found(route.table, &route.name))?;
        match route.subresource {
            "scale" => Ok(reply(200, &state.scale_of(route.kind, &object.value))),
            "" | "status" if partial => Ok(text(200, object.partial())),
            "" | "status" => Ok(text(200, object.bytes.clone())),
            _ => Err(refusal::method_not_allowed()),
        }
    }
}

pub(crate) fn text(code: u16, body: Bytes) -> Reply {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).expect("codes are three digits");
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

pub(crate) fn reply(code: u16, body: &Value) -> Reply {
    let bytes = serde_json::to_vec(body).expect("a JSON value is always text");
    text(code, bytes.into())
}

pub(crate) fn refused(status: &Refusal) -> Reply {
    let mut response = reply(status.code, &refusal::body(status));
    let seconds = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
    if seconds > 0 {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The verb of a method on a path with or without a name.
fn verb_of(method: &Method, named: bool, watches: bool) -> Answer<Verb> {
    Ok(match (method.as_str(), named) {
        ("GET", _) if watches => Verb::Watch,
        ("GET", true) => Verb::Get,
        ("GET", false) => Verb::List,
        ("POST", _) => Verb::Create,
        ("PUT", true) => Verb::Update,
        ("PATCH", true) => Verb::Patch,
        ("DELETE", true) => Verb::Delete,
        ("DELETE", false) => Verb::DeleteCollection,
        _ => return Err(refusal::method_not_allowed()),
    })
}
