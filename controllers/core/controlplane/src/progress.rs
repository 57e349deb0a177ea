//! What the crate is doing, told to whoever wants to show it. Nothing here prints.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// Receives every [`Report`]; cheap to clone. The default one ignores them.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Show>>);

type Show = dyn Fn(&Report<'_>) + Send + Sync;

/// One piece of news about one step.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The step's name, the same in all of its reports: `build kube-apiserver`.
    pub step: &'a str,
    /// What the step does, as a sentence fragment for a person.
    pub what: &'a str,
    /// How long it usually takes (on two cores, or 50 Mbit/s), if that is worth telling.
    pub usual: Option<Duration>,
    /// What happened.
    pub event: Event<'a>,
}

/// What happened in a step.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// It began.
    Started,
    /// So much of a download is here.
    Bytes {
        /// Bytes received so far.
        done: u64,
        /// Bytes there are, if the server said so.
        total: Option<u64>,
    },
    /// A line that a program of this step wrote.
    Line(&'a str),
    /// It ended well.
    Finished {
        /// How long it took.
        took: Duration,
    },
}

impl Progress {
    /// Calls `show` with every report, on the task that does the work: it must not block.
    pub fn new(show: impl Fn(&Report<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(show)))
    }

    /// Begins a step; dropping it without [`Step::finish`] says nothing (the error tells).
    pub(crate) fn step(&self, name: String, what: String, usual: Option<Duration>) -> Step<'_> {
        let step = Step {
            progress: self,
            name,
            what,
            usual,
            since: Instant::now(),
        };
        step.tell(Event::Started);
        step
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() {
            "Progress(shown)"
        } else {
            "Progress(ignored)"
        })
    }
}

/// A step that is under way.
pub(crate) struct Step<'a> {
    progress: &'a Progress,
    name: String,
    what: String,
    usual: Option<Duration>,
    since: Instant,
}

impl Step<'_> {
    pub(crate) fn tell(&self, event: Event<'_>) {
        if let Some(show) = &self.progress.0 {
            show(&Report {
                step: &self.name,
                what: &self.what,
                usual: self.usual,
                event,
            });
        }
    }

    pub(crate) fn finish(self) {
        self.tell(Event::Finished {
            took: self.since.elapsed(),
        });
    }
}
