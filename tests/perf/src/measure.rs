//! What is read off: processor time and memory from the kernel, requests from the API server.

use std::collections::BTreeMap;

use anyhow::Context;

use crate::hand::Hand;

/// Linux tells processor time in this unit on every architecture that Corten is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// What processes have used so far, or in a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage(pub(crate) BTreeMap<&'static str, Used>);

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// User and system time in seconds.
    pub(crate) cpu: f64,
    /// The most memory that was ever resident, in MiB.
    pub(crate) peak: f64,
    /// What is resident now, in MiB.
    pub(crate) resident: f64,
}

impl Usage {
    pub(crate) fn read(pids: &[(&'static str, u32)]) -> anyhow::Result<Self> {
        let used = |pid| -> anyhow::Result<Used> {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            parse(&stat, &status).context("/proc is not as expected")
        };
        let all = pids.iter().map(|&(name, pid)| {
            let used = used(pid).with_context(|| format!("process {pid} ({name})"))?;
            Ok((name, used))
        });
        all.collect::<anyhow::Result<_>>().map(Self)
    }

    /// The time since `before`; memory stays as it is.
    pub(crate) fn since(mut self, before: &Self) -> Self {
        for (name, used) in &mut self.0 {
            used.cpu -= before.0.get(name).map_or(0.0, |before| before.cpu);
        }
        self
    }
}

fn parse(stat: &str, status: &str) -> Option<Used> {
    // The second field is the name in parentheses, which may have blanks in it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    let cpu = (ticks()? + ticks()?) / TICKS_PER_SECOND;
    let mib = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib / 1024.0)
    };
    Some(Used {
        cpu,
        peak: mib("VmHWM:")?,
        resident: mib("VmRSS:")?,
    })
}

/// Requests that the API server has answered, by verb and resource, as in `POST pods/binding`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requests {
    pub(crate) counts: BTreeMap<String, u64>,
    /// Those that were answered with 400 or more.
    pub(crate) refused: BTreeMap<String, u64>,
    /// The harness' own, which are among them.
    own: BTreeMap<String, u64>,
}

impl Requests {
    pub(crate) async fn read(hand: &Hand) -> anyhow::Result<Self> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = hand.client().request_text(request).await;
        Ok(Self {
            own: hand.asked(),
            ..Self::parse(&text.context("/metrics")?)
        })
    }

    fn parse(text: &str) -> Self {
        let mut requests = Self::default();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("apiserver_request_total{") else {
                continue;
            };
            let Some((labels, count)) = rest.rsplit_once("} ") else {
                continue;
            };
            let label = |name: &str| {
                let mut all = labels.split(',').filter_map(|label| label.split_once('='));
                all.find(|(key, _)| *key == name)
                    .map_or("", |(_, value)| value.trim_matches('"'))
            };
            let (resource, part) = (label("resource"), label("subresource"));
            // Without a resource: health, metrics, discovery.
            if resource.is_empty() {
                continue;
            }
            let slash = if part.is_empty() { "" } else { "/" };
            let key = format!("{} {resource}{slash}{part}", label("verb"));
            let count = count.parse::<f64>().unwrap_or(0.0) as u64;
            if label("code") >= "400" {
                *requests.refused.entry(key.clone()).or_default() += count;
            }
            *requests.counts.entry(key).or_default() += count;
        }
        requests
    }

    /// Those since `before`, the harness' own left out.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let own = minus(&self.own, &before.own);
        Self {
            counts: minus(&minus(&self.counts, &before.counts), &own),
            refused: minus(&self.refused, &before.refused),
            own,
        }
    }

    /// All but leases: those tick whether there is work or not.
    pub(crate) fn total(&self) -> u64 {
        let counts = self.counts.iter();
        let work = counts.filter(|(key, _)| !key.ends_with(" leases"));
        work.map(|(_, count)| count).sum()
    }

    /// Writes, leases left out.
    pub(crate) fn writes(&self) -> BTreeMap<String, u64> {
        let is_write = |key: &str| {
            let (verb, resource) = key.split_once(' ').unwrap_or((key, ""));
            resource != "leases" && !["GET", "LIST", "WATCH"].contains(&verb)
        };
        let counts = self.counts.iter().filter(|(key, _)| is_write(key));
        counts.map(|(key, &count)| (key.clone(), count)).collect()
    }
}

fn minus(all: &BTreeMap<String, u64>, less: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let less = |key| less.get(key).copied().unwrap_or(0);
    let rest = all
        .iter()
        .map(|(key, count)| (key.clone(), count.saturating_sub(less(key))));
    rest.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Requests, parse};

    #[test]
    fn processor_time_is_read_after_a_name_with_blanks() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 4 0 99";
        let used = parse(stat, "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n").unwrap();
        assert_eq!((used.cpu * 100.0).round() as i32, 200);
        assert_eq!((used.peak as i32, used.resident as i32), (2, 1));
    }

    #[test]
    fn requests_are_counted_by_verb_and_resource() {
        let line = |code, resource, sub, verb, count| {
            format!(
                "apiserver_request_total{{code=\"{code}\",resource=\"{resource}\",scope=\"x\",subresource=\"{sub}\",verb=\"{verb}\"}} {count}\n"
            )
        };
        let before = line(201, "pods", "binding", "POST", "1");
        let after = [
            "# TYPE apiserver_request_total counter\n".to_owned(),
            line(201, "pods", "binding", "POST", "5"),
            line(409, "pods", "binding", "POST", "1"),
            line(200, "pods", "", "LIST", "1e+00"),
            line(200, "leases", "", "PUT", "9"),
            line(200, "", "", "GET", "9"),
        ];
        let after = Requests {
            own: [("LIST pods".to_owned(), 1)].into(),
            ..Requests::parse(&after.concat())
        };
        let made = after.since(&Requests::parse(&before));
        assert_eq!(made.counts["POST pods/binding"], 5);
        assert_eq!(made.refused["POST pods/binding"], 1);
        assert_eq!(made.total(), 5, "the list was ours");
        assert_eq!(made.writes().len(), 1);
    }
}
