//! What is asked of the API server, as client-go counts it (`component-base/metrics/prometheus/restclient/metrics.go`,
//! `client-go/rest/request.go`).
//!
//! A watch is counted among the requests and nowhere else: it takes and brings as much as somebody wants. Upstream
//! describes how long names take to resolve and forgets to register it, so that kube-controller-manager does not show it.

use super::Metrics;
use bytes::Buf;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use plan::Stability::Alpha;
use plan::{Buckets, Metric};
use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower::{Layer, Service};

static REQUESTS: Metric = Metric::counter(
    "rest_client_requests_total",
    Alpha,
    &["code", "host", "method"],
    "Requests by answer, method and server",
);
static RETRIES: Metric = Metric::counter(
    "rest_client_request_retries_total",
    Alpha,
    &["code", "host", "verb"],
    "Requests that were sent again as the server had no time for them, by answer, method and server",
);
static TOOK: Metric = Metric::histogram(
    "rest_client_request_duration_seconds",
    Alpha,
    &["host", "verb"],
    Buckets::These(&[
        0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0,
    ]),
    "Seconds until a request was answered",
);
static RESOLVED: Metric = Metric::histogram(
    "rest_client_dns_resolution_duration_seconds",
    Alpha,
    &["host"],
    Buckets::These(&[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0]),
    "Seconds that it took to find the address of the server's name",
);
static SENT: Metric = Metric::histogram(
    "rest_client_request_size_bytes",
    Alpha,
    &["host", "verb"],
    SIZES,
    "Bytes of requests",
);
static RECEIVED: Metric = Metric::histogram(
    "rest_client_response_size_bytes",
    Alpha,
    &["host", "verb"],
    SIZES,
    "Bytes of answers",
);

const SIZES: Buckets = Buckets::These(&[
    64.0,
    256.0,
    512.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
]);

/// All of them.
pub(super) static ALL: [&Metric; 6] = [&REQUESTS, &RETRIES, &TOOK, &RESOLVED, &SENT, &RECEIVED];

/// In the extensions of a request: it was sent before, and the server had no time for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again;

impl Metrics {
    /// A layer for a client that counts its requests.
    pub fn requests(&self) -> RequestsLayer {
        RequestsLayer(self.clone())
    }

    fn asked(&self) -> Cow<'static, str> {
        self.0.host.get().cloned().unwrap_or_default().into()
    }

    /// A request was answered with this code, or failed before an answer came: `<error>`.
    fn answered(&self, of: &Asked, code: &str, took: Duration) {
        let (host, verb) = (self.asked(), Cow::from(of.verb.clone()));
        let code = Cow::from(code.to_owned());
        let mut samples = vec![REQUESTS.at([code.clone(), host.clone(), verb.clone()], 1.0)];
        if of.again {
            samples.push(RETRIES.at([code, host.clone(), verb.clone()], 1.0));
        }
        if !of.is_watch {
            let seconds = took.as_secs_f64();
            samples.push(TOOK.at([host.clone(), verb.clone()], seconds));
            let sent = of.size.map(|size| SENT.at([host, verb], size as f64));
            samples.extend(sent);
        }
        self.record(&samples);
    }

    fn received(&self, verb: &str, bytes: usize) {
        let of = [self.asked(), verb.to_owned().into()];
        self.record(&[RECEIVED.at(of, bytes as f64)]);
    }
}

/// What counts about a request.
struct Asked {
    verb: String,
    again: bool,
    is_watch: bool,
    /// In bytes; none if nobody knows before it is sent.
    size: Option<u64>,
}

impl Asked {
    fn of<B: Body>(request: &Request<B>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        Self {
            verb: request.method().to_string(),
            again: request.extensions().get::<Again>().is_some(),
            is_watch: query.split('&').any(|part| part == "watch=true"),
            size: request.body().size_hint().exact(),
        }
    }
}

/// See [`Metrics::requests`].
#[derive(Clone, Debug)]
pub struct RequestsLayer(Metrics);

impl<S> Layer<S> for RequestsLayer {
    type Service = Requests<S>;

    fn layer(&self, inner: S) -> Requests<S> {
        Requests {
            inner,
            metrics: self.0.clone(),
        }
    }
}

/// A client's service that counts its requests.
#[derive(Clone, Debug)]
pub struct Requests<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, B, R> Service<Request<B>> for Requests<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    B: Body,
    R: Body + Unpin,
{
    type Response = Response<Counted<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (asked, metrics) = (Asked::of(&request), self.metrics.clone());
        let begun = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map(Response::status);
            let code = code.as_ref().map_or("<error>", |code| code.as_str());
            metrics.answered(&asked, code, begun.elapsed());
            let counter = (!asked.is_watch).then_some((metrics, asked.verb));
            Ok(answer?.map(|inner| Counted {
                inner,
                bytes: 0,
                counter,
            }))
        })
    }
}

/// The body of an answer, whose size is counted when all of it has been read.
#[derive(Debug)]
pub struct Counted<R: Body + Unpin> {
    inner: R,
    bytes: usize,
    /// Until then, whose answer it is.
    counter: Option<(Metrics, String)>,
}

impl<R: Body + Unpin> Counted<R> {
    fn ended(&mut self) {
        if let Some((metrics, verb)) = self.counter.take() {
            metrics.received(&verb, self.bytes);
        }
    }
}

impl<R: Body + Unpin> Body for Counted<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.bytes += frame.data_ref().map_or(0, Buf::remaining);
            }
            Poll::Ready(Some(Err(_))) => self.counter = None,
            Poll::Ready(None) => self.ended(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<R: Body + Unpin> Drop for Counted<R> {
    fn drop(&mut self) {
        // Who knows its length does not ask whether more comes.
        if self.inner.is_end_stream() {
            self.ended();
        }
    }
}

/// Finds the addresses of names as the system does, and counts how long that takes.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    inner: GaiResolver,
    metrics: Option<Metrics>,
}

impl Resolver {
    /// One that counts into `metrics`, if there are any.
    pub(crate) fn new(metrics: Option<&Metrics>) -> Self {
        Self {
            inner: GaiResolver::new(),
            metrics: metrics.cloned(),
        }
    }
}

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<GaiAddrs>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (host, metrics) = (name.to_string(), self.metrics.clone());
        let begun = Instant::now();
        let found = self.inner.call(name);
        Box::pin(async move {
            let found = found.await;
            if let Some(metrics) = metrics {
                metrics.record(&[RESOLVED.at([host], begun.elapsed().as_secs_f64())]);
            }
            found
        })
    }
}

#[cfg(test)]
mod tests;
