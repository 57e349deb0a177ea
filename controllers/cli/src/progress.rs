//! Shows what takes long, on standard error.

use controlplane::{Event, Progress};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines for each step; on a terminal, a download's or build's last line is kept up to date.
pub(crate) fn show() -> Progress {
    let live = std::io::stderr().is_terminal();
    let last = Mutex::new(Instant::now());
    Progress::new(move |report| {
        let mut err = std::io::stderr().lock();
        // Nobody can be told when standard error is closed.
        let _ = match report.event {
            Event::Started => {
                let usual = report
                    .usual
                    .map_or(String::new(), |d| format!(" (usually {})", words(d)));
                writeln!(err, "• {}{usual}", report.what)
            }
            Event::Bytes { done, total } if live && due(&last) => {
                let of = total.map_or(String::new(), |t| format!(" of {:.0}", mib(t)));
                write!(err, "\r\x1b[K  {:.0}{of} MiB", mib(done))
            }
            Event::Line(line) if live && due(&last) => {
                let line: String = line.chars().take(100).collect();
                write!(err, "\r\x1b[K  {line}")
            }
            Event::Finished { took } => {
                let back = if live { "\r\x1b[K" } else { "" };
                writeln!(err, "{back}✓ {} in {}", report.step, words(took))
            }
            _ => Ok(()),
        };
        let _ = err.flush();
    })
}

/// Ten times a second is enough.
fn due(last: &Mutex<Instant>) -> bool {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let due = last.elapsed() > Duration::from_millis(100);
    if due {
        *last = Instant::now();
    }
    due
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// `3 min 5 s`, `4.2 s`
pub(crate) fn words(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    format!(
        "{} min {} s",
        duration.as_secs() / 60,
        duration.as_secs() % 60
    )
}
