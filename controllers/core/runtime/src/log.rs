//! What a process says about itself, on standard error.
//!
//! `--v` is klog's verbosity mapped to levels: 0 and 1 are info, 2 to 4 debug, 5 debug with the HTTP client
//! too, 6 and more trace of our own and debug of everybody. `RUST_LOG` overrides it.
//!
//! What a loop says in a turn carries the turn: `controller`, `namespace`, `name` and `reconcileID`. With the feature `otel`
//! turns are spans for OpenTelemetry too.

mod json;
#[cfg(feature = "otel")]
mod traces;

use clap::ValueEnum;
use std::env;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::registry::LookupSpan;

/// How a line of the log looks, `--logging-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Libraries that say too much at our level.
const CHATTY: &str =
    "hyper=warn,hyper_util=warn,rustls=warn,tower=warn,h2=warn,kube=warn,kube_client=warn";

/// The filter for klog's verbosity `v`, in the syntax of `RUST_LOG`.
pub fn directives(v: u8) -> String {
    match v {
        0..=1 => format!("info,{CHATTY}"),
        2..=4 => format!("debug,{CHATTY}"),
        5 => "debug,hyper=info,hyper_util=info,rustls=info".to_owned(),
        _ => "trace,hyper=debug,hyper_util=debug,rustls=debug,h2=debug".to_owned(),
    }
}

/// Sends the log of this process to standard error from now on. The first call counts; further ones (of
/// tests that share a process) change nothing.
///
/// # Errors
/// One sentence if `RUST_LOG` is set and cannot be understood.
pub fn init(v: u8, format: Format) -> Result<(), String> {
    let wanted = env::var("RUST_LOG")
        .ok()
        .filter(|spec| !spec.trim().is_empty());
    let filter = filter(wanted.as_deref(), v)?;
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
    install(subscriber(filter, format, colours, io::stderr));
    Ok(())
}

/// What writes a log of verbosity `v` to `writer`, for whoever wants to read it himself.
///
/// # Errors
/// None for a `v` of klog's.
pub fn to<W>(
    v: u8,
    format: Format,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, String>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    Ok(subscriber(filter(None, v)?, format, false, writer))
}

fn filter(wanted: Option<&str>, v: u8) -> Result<EnvFilter, String> {
    match wanted {
        Some(spec) => EnvFilter::try_new(spec)
            .map_err(|error| format!("RUST_LOG={spec} is not a log filter: {error}")),
        None => EnvFilter::try_new(directives(v)).map_err(|error| format!("--v {v}: {error}")),
    }
}

fn install(subscriber: Box<dyn tracing::Subscriber + Send + Sync>) {
    // It fails only where a subscriber is set already, and the first one counts.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn subscriber<W>(
    filter: EnvFilter,
    format: Format,
    colours: bool,
    writer: W,
) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colours);
    match format {
        Format::Text => traced(builder.finish()),
        Format::Json => {
            let builder = builder.fmt_fields(JsonFields::new());
            traced(builder.event_format(json::Flat).finish())
        }
    }
}

/// With what sends its spans away, where that is built in and wanted.
fn traced<S>(subscriber: S) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static,
{
    #[cfg(feature = "otel")]
    if let Some(layer) = traces::layer() {
        use tracing_subscriber::layer::SubscriberExt;
        return Box::new(subscriber.with(layer));
    }
    Box::new(subscriber)
}

/// Has everything sent that the process has said, before it ends.
pub fn flush() {
    #[cfg(feature = "otel")]
    traces::flush();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(v: u8, wanted: Option<&str>, format: Format) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(filter(wanted, v).unwrap(), format, false, move || {
            writer.clone()
        });
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(pods = 3, "ours at info");
            tracing::debug!("ours at debug");
            tracing::trace!("ours at trace");
            tracing::info!(target: "hyper_util::client", "theirs at info");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn verbosity_is_klogs() {
        // verbosity, RUST_LOG, how many of the four lines above are written
        let cases = [
            (0, None, 1),
            (1, None, 1),
            (2, None, 2),
            (4, None, 2),
            (5, None, 3),
            (6, None, 4),
            (10, None, 4),
            (6, Some("error"), 0),
            (0, Some("trace"), 4),
        ];
        for (v, wanted, lines) in cases {
            let text = logged(v, wanted, Format::Text);
            assert_eq!(
                text.lines().count(),
                lines,
                "--v={v} RUST_LOG={wanted:?}: {text}"
            );
        }
    }

    #[test]
    fn json_is_one_flat_object_a_line() {
        let text = logged(0, None, Format::Json);
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(
            (&line["message"], &line["pods"], &line["level"]),
            (&"ours at info".into(), &3.into(), &"INFO".into())
        );
    }

    #[test]
    fn a_line_has_what_the_spans_around_it_say() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = to(2, Format::Json, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let _process = tracing::info_span!("process", name = "outer", part = 1).entered();
            let _turn =
                tracing::info_span!("reconcile", name = "web", reconcileID = "a-b").entered();
            tracing::debug!(pods = 3, "planned");
        });
        let bytes = lines.0.lock().unwrap().clone();
        let line: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        for (field, value) in [
            ("name", serde_json::json!("web")),
            ("reconcileID", "a-b".into()),
            ("part", 1.into()),
            ("pods", 3.into()),
            ("message", "planned".into()),
        ] {
            assert_eq!(line[field], value, "{line}");
        }
        assert!(
            line["timestamp"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z')),
            "{line}"
        );
    }

    #[test]
    fn a_bad_filter_is_named() {
        let error = filter(Some("a=b=c"), 0).unwrap_err();
        assert!(
            error.starts_with("RUST_LOG=a=b=c is not a log filter"),
            "{error}"
        );
    }
}
