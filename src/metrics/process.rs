//! The process as the kernel sees it, under the names that Prometheus' own clients use. Nothing on systems without /proc.

use std::fs;

use super::families::Families;
use super::names;

/// The kernel's unit of CPU time in /proc: fixed at 100 a second for programs, whatever it counts in itself.
const TICKS_PER_SECOND: f64 = 100.0;

/// Adds what can be read.
pub(super) fn families(out: &mut Families) {
    out.gauge(&names::BUILD, &[env!("CARGO_PKG_VERSION")], 1.0);
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
        out.counter(&names::CPU, stat.cpu_ticks / TICKS_PER_SECOND);
        out.gauge(&names::THREADS, &[], stat.threads);
        out.gauge(&names::VIRTUAL, &[], stat.virtual_bytes);
        if let Some(booted_at) = booted_at() {
            out.gauge(&names::START, &[], booted_at + stat.start_ticks / TICKS_PER_SECOND);
        }
    }
    if let Some(kilobytes) = resident_kilobytes() {
        out.gauge(&names::RSS, &[], kilobytes * 1_024.0);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        out.gauge(&names::FILES, &[], files.count() as f64);
    }
}

#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: f64,
    threads: f64,
    start_ticks: f64,
    virtual_bytes: f64,
}

impl Stat {
    /// See proc(5): the name, in brackets, may have anything in it; fields are counted from 1, the state is the third.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let field = |number: usize| rest.split_whitespace().nth(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
        })
    }
}

fn resident_kilobytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn booted_at() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_passed_over() {
        let text = "7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0 9 0 5000 4096 33";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(
            stat,
            Stat { cpu_ticks: 42.0, threads: 9.0, start_ticks: 5_000.0, virtual_bytes: 4_096.0 }
        );
    }
}
