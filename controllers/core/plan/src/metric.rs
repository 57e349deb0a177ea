//! A measurement as data: what a loop counts, described, and one count.

use std::borrow::Cow;
use std::fmt;

/// A family of metrics under the name that it is shown with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// `job_controller_job_syncs_total`.
    pub name: &'static str,
    /// What upstream promises about it.
    pub stability: Stability,
    /// The names of its labels, in the order in which samples give their values.
    pub labels: &'static [&'static str],
    /// How samples are put together.
    pub measure: Measure,
    /// One sentence.
    pub help: &'static str,
}

/// How samples of a metric are put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// They are added.
    Counter,
    /// The sum of what each object's last turn said; what nobody speaks of any more is not shown.
    Gauge,
    /// How many were below each of these bounds.
    Histogram(Buckets),
}

/// The upper bounds of a histogram but for the last, which is infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Buckets {
    /// So many, each larger than the one before by a factor.
    Exponential {
        /// The first.
        start: f64,
        /// More than 1.
        factor: f64,
        /// How many.
        count: i32,
    },
    /// These, growing.
    These(&'static [f64]),
}

/// What upstream promises about a metric (component-base/metrics, KEP-1209).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// It may change or go in any release.
    Alpha,
    /// Its labels may only grow.
    Beta,
    /// It stays.
    Stable,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What was measured.
    pub metric: &'static Metric,
    /// A value for each of its labels.
    pub labels: Vec<Cow<'static, str>>,
    /// How much.
    pub value: f64,
}

impl Metric {
    /// What only grows.
    pub const fn counter(
        name: &'static str,
        stability: Stability,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            stability,
            labels,
            measure: Measure::Counter,
            help,
        }
    }

    /// What objects amount to.
    pub const fn gauge(
        name: &'static str,
        stability: Stability,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        let metric = Self::counter(name, stability, labels, help);
        Self {
            measure: Measure::Gauge,
            ..metric
        }
    }

    /// What is spread.
    pub const fn histogram(
        name: &'static str,
        stability: Stability,
        labels: &'static [&'static str],
        buckets: Buckets,
        help: &'static str,
    ) -> Self {
        let metric = Self::counter(name, stability, labels, help);
        Self {
            measure: Measure::Histogram(buckets),
            ..metric
        }
    }

    /// A sample with these values of the labels.
    pub fn at<const N: usize, L>(&'static self, labels: [L; N], value: f64) -> Sample
    where
        L: Into<Cow<'static, str>>,
    {
        debug_assert_eq!(N, self.labels.len(), "{}", self.name);
        Sample {
            metric: self,
            labels: labels.into_iter().map(Into::into).collect(),
            value,
        }
    }

    /// A sample of a metric without labels.
    pub fn of(&'static self, value: f64) -> Sample {
        self.at::<0, &'static str>([], value)
    }
}

impl Buckets {
    /// The bounds in order.
    pub fn bounds(&self) -> Vec<f64> {
        match *self {
            Self::Exponential {
                start,
                factor,
                count,
            } => {
                let bound = |last: &f64| Some(last * factor);
                std::iter::successors(Some(start), bound)
                    .take(usize::try_from(count).unwrap_or_default())
                    .collect()
            }
            Self::These(bounds) => bounds.to_vec(),
        }
    }
}

/// `count` bounds, from `start` on and each larger by `factor`.
pub const fn exponential(start: f64, factor: f64, count: i32) -> Buckets {
    Buckets::Exponential {
        start,
        factor,
        count,
    }
}

impl fmt::Display for Stability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alpha => "ALPHA",
            Self::Beta => "BETA",
            Self::Stable => "STABLE",
        })
    }
}

/// As it would be shown: `job_controller_jobs_finished_total{result="failed"} 1`.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric.name)?;
        let labels = self.metric.labels.iter().zip(&self.labels);
        for (n, (name, value)) in labels.enumerate() {
            let open = if n == 0 { '{' } else { ',' };
            write!(f, "{open}{name}={value:?}")?;
        }
        let close = if self.labels.is_empty() { "" } else { "}" };
        write!(f, "{close} {}", self.value)
    }
}
