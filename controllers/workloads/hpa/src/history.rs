//! What was recommended and done before: by this it is known what the rate limits still allow.
//!
//! Scalings are written down in the annotation [`ANNOTATION`], in the same request as the status, so they
//! outlive the process. What happened between two such writes (a crash between the scale and the status, an
//! answer that was lost) shows in the replicas: they are not those of the status. Such a change is taken for
//! one of our own, made just now. Where another program scaled before us, all that is known is
//! `status.lastScaleTime`; then a policy allows nothing until its period after that is over.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use objects::{conditions, meta};

/// Where scalings are written down: a JSON list of pairs of a time and a change of replicas.
pub const ANNOTATION: &str = "autoscaling.corten.dev/scale-events";

/// What was recommended and done before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What the metrics asked for, before it was stabilized and limited.
    pub recommendations: Vec<(Timestamp, i32)>,
    /// What was done.
    pub events: Vec<ScaleEvent>,
}

/// A change of the number of replicas: when, and by how many; `None` where that is not known.
pub type ScaleEvent = (Timestamp, Option<i32>);

impl History {
    /// The history of an autoscaler of which this process knows nothing yet, and whose target has so many
    /// replicas now.
    pub fn resumed(hpa: &HorizontalPodAutoscaler, replicas: i32, now: Timestamp) -> Self {
        let mut events = written(hpa);
        let status = hpa.status.as_ref();
        let scaled = status.and_then(|status| status.last_scale_time.as_ref());
        if let Some(scaled) = scaled
            && !events.iter().any(|(at, _)| second(*at) >= second(scaled.0))
        {
            events.push((scaled.0, None));
        }
        if let Some(known) = known_replicas(hpa)
            && known != replicas
        {
            events.push((now, Some(replicas.saturating_sub(known))));
        }
        Self {
            recommendations: vec![(now, replicas)],
            events,
        }
    }

    /// Without what is older than anybody asks for.
    #[must_use]
    pub fn since(mut self, recommended: Timestamp, done: Timestamp) -> Self {
        self.recommendations.retain(|(at, _)| *at >= recommended);
        self.events.retain(|(at, _)| *at > done);
        self
    }

    /// By how many replicas there are more than `period` ago; `None` if that is not known.
    pub fn change(&self, period: SignedDuration, now: Timestamp) -> Option<i64> {
        let within = self.events.iter().filter(|(at, _)| *at > now - period);
        within
            .map(|(_, change)| change.map(i64::from))
            .try_fold(0, |sum, change| Some(sum + change?))
    }
}

/// The scalings that stand in the annotation. One that cannot be read is none.
pub fn written(hpa: &HorizontalPodAutoscaler) -> Vec<ScaleEvent> {
    let text = meta::annotation(&hpa.metadata, ANNOTATION);
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// How many replicas there were when the status was written; nothing if it never was.
pub(crate) fn known_replicas(hpa: &HorizontalPodAutoscaler) -> Option<i32> {
    let status = hpa.status.as_ref()?;
    let able = conditions::find(status.conditions.as_deref(), "AbleToScale")?;
    match able.reason.as_deref() {
        Some("SucceededRescale") => Some(status.desired_replicas),
        _ => Some(status.current_replicas.unwrap_or(0)),
    }
}

/// The API server keeps seconds.
fn second(at: Timestamp) -> i64 {
    at.as_second()
}
