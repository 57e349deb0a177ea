//! The metrics that loops describe as data ([`plan::Metric`]) and what has been measured of them.

use plan::{Measure, Metric, Sample};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared(Arc<Mutex<Families>>);

type Families = BTreeMap<&'static str, Family>;
type Labels = Vec<Cow<'static, str>>;

#[derive(Debug)]
struct Family {
    metric: &'static Metric,
    /// The bounds of a histogram; none for the others.
    bounds: Vec<f64>,
    series: BTreeMap<Labels, Series>,
}

#[derive(Debug, Default)]
struct Series {
    /// The sum of all samples.
    sum: f64,
    /// How many objects have a share in a gauge.
    holders: usize,
    /// How many samples of a histogram lie between its bounds, the last without one.
    spread: Vec<u64>,
}

impl Declared {
    /// Makes a metric known. What has no labels is shown from now on.
    pub(super) fn declare(&self, metrics: &[&'static Metric]) {
        let mut families = self.lock();
        for metric in metrics {
            let family = family(&mut families, metric);
            if metric.labels.is_empty() {
                family.series(&[]);
            }
        }
    }

    /// What is known, by name.
    pub(super) fn all(&self) -> Vec<&'static Metric> {
        self.lock().values().map(|family| family.metric).collect()
    }

    /// Adds to a counter or histogram; a gauge is set.
    pub(super) fn record(&self, samples: &[Sample]) {
        if samples.is_empty() {
            return;
        }
        let mut families = self.lock();
        for sample in samples {
            family(&mut families, sample.metric).record(sample);
        }
    }

    /// Takes away what an object had a share in, and gives it other shares.
    pub(super) fn exchange(&self, old: &[Sample], new: &[Sample]) {
        if old == new {
            return;
        }
        let mut families = self.lock();
        for sample in new {
            let series = family(&mut families, sample.metric).series(&sample.labels);
            series.sum += sample.value;
            series.holders += 1;
        }
        for sample in old {
            family(&mut families, sample.metric).withdraw(sample);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Families> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn family<'a>(families: &'a mut Families, metric: &'static Metric) -> &'a mut Family {
    families.entry(metric.name).or_insert_with(|| Family {
        metric,
        bounds: match metric.measure {
            Measure::Histogram(buckets) => buckets.bounds(),
            _ => Vec::new(),
        },
        series: BTreeMap::new(),
    })
}

impl Family {
    fn series(&mut self, labels: &[Cow<'static, str>]) -> &mut Series {
        // Most samples are of a series that is there, and their labels need not be copied.
        if !self.series.contains_key(labels) {
            let spread = match self.metric.measure {
                Measure::Histogram(_) => vec![0; self.bounds.len() + 1],
                _ => Vec::new(),
            };
            let series = Series {
                spread,
                ..Series::default()
            };
            self.series.insert(labels.to_vec(), series);
        }
        self.series.get_mut(labels).expect("it was just put in")
    }

    fn record(&mut self, sample: &Sample) {
        let place = self.bounds.partition_point(|bound| *bound < sample.value);
        let measure = self.metric.measure;
        let series = self.series(&sample.labels);
        match measure {
            Measure::Gauge => series.sum = sample.value,
            Measure::Counter => series.sum += sample.value,
            Measure::Histogram(_) => {
                series.sum += sample.value;
                series.spread[place] += 1;
            }
        }
    }

    fn withdraw(&mut self, sample: &Sample) {
        let series = self.series(&sample.labels);
        series.sum -= sample.value;
        series.holders = series.holders.saturating_sub(1);
        if series.holders == 0 {
            // Not what rounding has left.
            series.sum = 0.0;
            if !sample.labels.is_empty() {
                self.series.remove(&sample.labels);
            }
        }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Metric { name, help, .. } = self.metric;
        let help = format!("[{}] {help}.", self.metric.stability);
        // OpenMetrics wants `_total` at the end of a counter and writes it by itself. Upstream has counters
        // without, and their names count for more than their type.
        let total = name.strip_suffix("_total");
        let (name, kind) = match (self.metric.measure, total) {
            (Measure::Counter, Some(name)) => (name, MetricType::Counter),
            (Measure::Counter, None) => (*name, MetricType::Unknown),
            (Measure::Gauge, _) => (*name, MetricType::Gauge),
            (Measure::Histogram(_), _) => (*name, MetricType::Histogram),
        };
        let mut encoder = encoder.encode_descriptor(name, &help, None, kind)?;
        for (values, series) in &self.series {
            if values.is_empty() {
                self.encode_series(&mut encoder, series, kind)?;
                continue;
            }
            let names = self.metric.labels.iter().copied();
            let labels: Vec<(&str, &str)> = names.zip(values.iter().map(|v| &**v)).collect();
            self.encode_series(&mut encoder.encode_family(&labels)?, series, kind)?;
        }
        Ok(())
    }

    fn encode_series(
        &self,
        encoder: &mut MetricEncoder<'_>,
        series: &Series,
        kind: MetricType,
    ) -> fmt::Result {
        match kind {
            // Counts are whole; a float would be shown as 1.0.
            MetricType::Counter => {
                encoder.encode_counter::<NoLabelSet, u64, f64>(&whole(series.sum), None)
            }
            MetricType::Unknown => encoder.encode_gauge(&(whole(series.sum) as i64)),
            MetricType::Gauge if series.sum.fract() == 0.0 => {
                encoder.encode_gauge(&(series.sum as i64))
            }
            MetricType::Gauge => encoder.encode_gauge(&series.sum),
            _ => {
                let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
                let buckets: Vec<_> = bounds.zip(series.spread.iter().copied()).collect();
                let count = series.spread.iter().sum();
                encoder.encode_histogram::<NoLabelSet>(series.sum, count, &buckets, None)
            }
        }
    }
}

fn whole(sum: f64) -> u64 {
    sum.max(0.0).round() as u64
}

impl Collector for Declared {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let families = self.lock();
        let shown = families.values().filter(|family| !family.series.is_empty());
        for family in shown {
            family.encode(&mut encoder)?;
        }
        Ok(())
    }
}
