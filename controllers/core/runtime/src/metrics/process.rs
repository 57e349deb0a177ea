//! The process itself, read from `/proc` at each scrape; under other systems these metrics are missing.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::{fmt, fs};

/// Linux tells times to user space in this many ticks a second on every architecture that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// `process_*` as the Prometheus client for Go names them.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&stat) {
            let metric = ConstCounter::new(seconds);
            let help = "Seconds of processor time, in user and kernel mode";
            metric.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                metric.metric_type(),
            )?)?;
        }
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Bytes of memory in use",
                kilobytes(&status, "VmRSS:"),
            ),
            (
                "process_virtual_memory_bytes",
                "Bytes of address space in use",
                kilobytes(&status, "VmSize:"),
            ),
            (START.0, START.1, start_time(&stat, &machine)),
            ("process_open_fds", "Open file descriptors", open_files()),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let metric = ConstGauge::new(value);
                metric.encode(encoder.encode_descriptor(
                    name,
                    help,
                    None,
                    metric.metric_type(),
                )?)?;
            }
        }
        Ok(())
    }
}

/// When the process began, alone: counters without it cannot be told from those of the process before.
#[derive(Debug)]
pub(super) struct StartTime;

impl Collector for StartTime {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        let Some(time) = start_time(&stat, &machine) else {
            return Ok(());
        };
        let metric = ConstGauge::new(time);
        metric.encode(encoder.encode_descriptor(START.0, START.1, None, metric.metric_type())?)
    }
}

const START: (&str, &str) = (
    "process_start_time_seconds",
    "Unix time of the start of the process",
);

/// The fields of proc(5)'s `stat` from the third on; the second is the name, which may hold blanks.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number - 3)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS_PER_SECOND)
}

fn start_time(stat: &str, machine: &str) -> Option<f64> {
    let boot = machine
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    let boot: f64 = boot.trim().parse().ok()?;
    Some(boot + field(stat, 22)? / TICKS_PER_SECOND)
}

fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024.0)
}

fn open_files() -> Option<f64> {
    // One of them is the directory that is being read.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as f64 - 1.0).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 8 0 1000 1 2";

    #[test]
    fn proc_files_are_read() {
        assert_eq!(cpu_seconds(STAT), Some(2.0));
        assert_eq!(
            start_time(STAT, "cpu 1 2\nbtime 1700000000\n"),
            Some(1_700_000_010.0)
        );
        assert_eq!(
            kilobytes("VmSize:\t  20 kB\nVmRSS:\t   7 kB\n", "VmRSS:"),
            Some(7168.0)
        );
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        assert_eq!(cpu_seconds(""), None);
        assert_eq!(start_time(STAT, ""), None);
        assert_eq!(kilobytes("VmRSS: many", "VmRSS:"), None);
    }
}
