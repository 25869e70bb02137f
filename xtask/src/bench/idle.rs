//! A server that has nothing to do: 8 partitions, 100 workers that say so with their heartbeats.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::child::Broker;
use super::grid::{Grid, get, until};
use super::ground::Ground;
use super::spread::Spread;

/// A worker is a worker of a pool: some processes that serve ten pools each are a hundred to the server, and leave the two
/// cores to it. The pools are spread over all partitions.
const PROCESSES: u32 = 10;
const POOLS: u32 = 10;
const PARTITIONS: u32 = 8;

const JOIN_TIMEOUT: Duration = Duration::from_secs(180);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// After the last worker joined, before it counts as idle.
const SETTLE: Duration = Duration::from_secs(10);

/// Runs it, one window of time after the other.
pub(crate) fn run(ground: &Ground) -> Result<Value> {
    let mut broker = Broker::start(ground)?;
    let mut grid = Grid::start(ground, &broker.bootstrap, "idle", PARTITIONS)?;
    let pools: Vec<String> = (0..POOLS).map(|pool| format!("idle-{pool}=4")).collect();
    for number in 0..PROCESSES {
        grid.add_worker(&format!("worker-{number}"), &pools)?;
    }
    until("the workers", JOIN_TIMEOUT, LOOK_INTERVAL, || {
        grid.check()?;
        let (_, text) = get(&grid.http, "/metrics")?;
        Ok(sum(&text, "yardmaster_workers_joined_total") >= f64::from(PROCESSES * POOLS))
    })?;
    thread::sleep(SETTLE);
    let window = Duration::from_secs(if ground.is_quick { 10 } else { 20 });
    let (mut cpu, mut rss) = (Vec::new(), Vec::new());
    for round in 1..=ground.rounds() {
        let (began, before) = (Instant::now(), grid.server.cpu_seconds()?);
        thread::sleep(window);
        let used = grid.server.cpu_seconds()? - before;
        cpu.push(used / began.elapsed().as_secs_f64() * 100.0);
        rss.push(grid.server.rss_mib()?);
        eprintln!("round {round}: {:.1} % of a core", used / began.elapsed().as_secs_f64() * 100.0);
        grid.check()?;
        broker.check()?;
    }
    let spread = |rounds: &[f64]| Spread::of(rounds).map(Spread::json).context("no round was run");
    let (cpu, rss) = (spread(&cpu)?, spread(&rss)?);
    Ok(json!({"cpu_percent": cpu, "rss_mib": rss, "workers": PROCESSES * POOLS, "partitions": PARTITIONS}))
}

/// All samples of a metric together.
fn sum(text: &str, metric: &str) -> f64 {
    let of_metric = |line: &&str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let value = |line: &str| line.rsplit_once(' ')?.1.parse::<f64>().ok();
    text.lines().filter(of_metric).filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn samples_of_one_metric_are_added() {
        let text = "# HELP a b\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 9\n";
        assert_eq!(sum(text, "a_total"), 5.0);
    }
}
