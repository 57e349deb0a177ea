//! Spans for OpenTelemetry, with the feature `otel`: a turn of a loop is one, with the fields that lines of the log have.
//!
//! Where they go and what the process is called there stands in the environment, as everywhere
//! (`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
//! `OTEL_TRACES_SAMPLER`): OTLP over HTTP, gathered and sent by a thread of its own. Without an endpoint nothing is made.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::env;
use std::sync::OnceLock;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// What the spans of this process go through.
static PROVIDER: OnceLock<Option<SdkTracerProvider>> = OnceLock::new();

const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// What is said of who made a span.
const SCOPE: &str = "corten";

type Layer<S> = OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>;

/// Sends the spans of a subscriber to where the environment says; None if it does not, or says it wrongly, which is told on
/// standard error: a process does not end for its traces' sake.
pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> Option<Layer<S>> {
    let provider = PROVIDER.get_or_init(|| {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let wanted = ENDPOINTS.iter().any(|name| is_set(name));
        let made = wanted.then(|| provider(None))?;
        let made = made.inspect_err(|error| eprintln!("no traces: {error}"));
        made.ok()
    });
    provider.as_ref().map(through)
}

/// Has everything sent that has been gathered. Waits for it.
pub(super) fn flush() {
    if let Some(Some(provider)) = PROVIDER.get()
        && let Err(error) = provider.force_flush()
    {
        tracing::debug!(%error, "the last traces were not sent");
    }
}

fn through<S: Subscriber + for<'a> LookupSpan<'a>>(provider: &SdkTracerProvider) -> Layer<S> {
    tracing_opentelemetry::layer().with_tracer(provider.tracer(SCOPE))
}

/// Sends to this endpoint, or to that of the environment.
fn provider(endpoint: Option<&str>) -> Result<SdkTracerProvider, String> {
    let exporter = SpanExporter::builder().with_http();
    let exporter = match endpoint {
        Some(endpoint) => exporter.with_endpoint(endpoint),
        None => exporter,
    };
    let exporter = exporter.build().map_err(|error| error.to_string())?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .build())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{provider, through};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    #[test]
    fn a_turn_is_a_span_that_is_sent() {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/v1/traces", collector.local_addr().unwrap());
        let collects = std::thread::spawn(move || {
            let (mut stream, _) = collector.accept().unwrap();
            let (mut asked, mut piece) = (Vec::new(), [0; 4096]);
            // The body is whole when what it has to have is there: its end is of no interest.
            while !String::from_utf8_lossy(&asked).contains("reconcileID") {
                let read = stream.read(&mut piece).unwrap();
                assert!(
                    read > 0,
                    "it broke off: {}",
                    String::from_utf8_lossy(&asked)
                );
                asked.extend_from_slice(&piece[..read]);
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            String::from_utf8_lossy(&asked).into_owned()
        });
        let provider = provider(Some(&endpoint)).unwrap();
        tracing::subscriber::with_default(registry().with(through(&provider)), || {
            let _turn =
                tracing::info_span!("reconcile", name = "web", reconcileID = "a-b").entered();
        });
        provider.force_flush().unwrap();
        let sent = collects.join().unwrap();
        assert!(sent.starts_with("POST /v1/traces "), "{sent}");
        for part in ["reconcile", "web", "a-b"] {
            assert!(sent.contains(part), "{part} in {sent}");
        }
    }
}
