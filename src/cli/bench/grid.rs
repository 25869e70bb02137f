//! A grid to measure: a server in a namespace of its own with one partition, and simulated workers.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Ground;
use super::fleet::Fleet;
use super::message::submit;
use super::spread::Spread;
use crate::cli::children::{Children, Place, free_address};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::wait::until_ready;
use crate::kafka::{Connection, Flood};
use crate::runtime::Names;

/// The pool of all benches.
pub(super) const POOL: &str = "bench";

/// The phases of a batch.
pub(super) const PHASES: [&str; 6] = ["take", "decide", "send", "commit", "store", "release"];

/// The medians of all phases, for a person.
pub(super) fn phase_words(phases: &[Spread; PHASES.len()]) -> String {
    let word = |(phase, spread): (&str, &Spread)| format!("{phase} {:.1}", spread.median());
    PHASES.into_iter().zip(phases).map(word).collect::<Vec<_>>().join(", ")
}

/// All phases, for programs.
pub(super) fn phase_json(phases: &[Spread; PHASES.len()]) -> Value {
    let member = |(phase, spread): (&str, &Spread)| (phase.to_owned(), spread.json());
    PHASES.into_iter().zip(phases).map(member).collect()
}

/// How long the processor may need for what it has got.
const END_TIMEOUT: Duration = Duration::from_secs(300);

/// What a server has counted since its start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Counted {
    pub(super) ended: f64,
    pub(super) taken: f64,
    pub(super) produced: f64,
    pub(super) produced_bytes: f64,
    pub(super) batches: f64,
    /// Processor seconds of the whole server.
    pub(super) cpu: f64,
    /// Seconds by phase, as in [`PHASES`].
    pub(super) phases: [f64; PHASES.len()],
}

/// The running grid.
pub(super) struct Grid {
    children: Children,
    client: Client,
    pub(super) fleet: Fleet,
    pub(super) tasks: Flood,
}

impl Grid {
    /// Starts a server and a fleet, and returns when all have joined.
    pub(super) fn start(ground: &Ground, workers: usize) -> Result<Self, Failure> {
        let namespace = format!("bench-{}", ulid::Ulid::generate().to_string().to_lowercase());
        let place = Place {
            data: ground.data.join(&namespace),
            bootstrap: ground.conn.bootstrap.clone(),
            namespace: namespace.clone(),
            http: free_address()?,
        };
        std::fs::create_dir_all(&place.data)?;
        let children = Children::default();
        let settings: Vec<&str> = ground.settings.iter().map(String::as_str).collect();
        children.add_server(&place, &settings)?;
        until_ready(&place.url(), || children.has_ended()).map_err(|failure| children.explain(failure))?;
        let names = Names::new(&namespace);
        let fleet = Fleet::start(&ground.conn, &names, POOL, workers)?;
        let tasks = Flood::open(&ground.conn, &names.tasks())?;
        Ok(Self { children, client: Client::at(&place.url()), fleet, tasks })
    }

    /// Queues the submit of a task whose id ends with this number.
    pub(super) fn submit(&self, number: usize) -> Result<(), Failure> {
        let record = submit(POOL, &format!("t-{number}"));
        self.tasks.send(0, POOL.as_bytes(), record.as_bytes())?;
        Ok(())
    }

    /// Waits until so many tasks have ended since the start of the server.
    pub(super) fn await_ended(&self, count: usize) -> Result<Counted, Failure> {
        let deadline = Instant::now() + END_TIMEOUT;
        loop {
            self.fleet.check()?;
            // To ask costs the server time: not before the workers have done their part.
            if self.fleet.reported() >= count as u64 {
                let counted = self.counted()?;
                if counted.ended >= count as f64 {
                    return Ok(counted);
                }
            }
            if self.children.has_ended() {
                let failure = Failure::Incomplete("the server ended in the middle".to_owned());
                return Err(self.children.explain(failure));
            }
            if Instant::now() >= deadline {
                let reported = self.fleet.reported();
                return Err(Failure::TimedOut(format!("{reported} of {count} tasks were reported in time")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn counted(&self) -> Result<Counted, Failure> {
        let text = self.client.raw_get("/metrics")?.body;
        Ok(Counted {
            ended: sum(&text, "yardmaster_tasks_ended_total"),
            taken: sum(&text, "yardmaster_records_taken_total"),
            produced: sum(&text, "yardmaster_records_produced_total"),
            produced_bytes: sum(&text, "yardmaster_produced_bytes_total"),
            batches: sum(&text, "yardmaster_batches_total"),
            cpu: self.children.cpu_seconds("server").unwrap_or(f64::NAN),
            phases: PHASES.map(|phase| {
                let wanted = format!("phase=\"{phase}\"");
                let of_phase: String =
                    text.lines().filter(|line| line.contains(&wanted)).collect::<Vec<_>>().join("\n");
                sum(&of_phase, "yardmaster_batch_phase_seconds_total")
            }),
        })
    }
}

impl Counted {
    /// What came in between.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            ended: self.ended - before.ended,
            taken: self.taken - before.taken,
            produced: self.produced - before.produced,
            produced_bytes: self.produced_bytes - before.produced_bytes,
            batches: self.batches - before.batches,
            cpu: self.cpu - before.cpu,
            phases: std::array::from_fn(|at| {
                let of = |counted: &Self| counted.phases.get(at).copied().unwrap_or_default();
                of(&self) - of(&before)
            }),
        }
    }
}

/// All samples of a metric together.
fn sum(text: &str, metric: &str) -> f64 {
    let of_metric = |line: &&str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let value = |line: &str| line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
    text.lines().filter(of_metric).filter_map(value).sum()
}

/// Topics with one partition for a raw run, made anew.
pub(super) fn raw_topics(conn: &Connection) -> Result<[String; 2], Failure> {
    let run = ulid::Ulid::generate().to_string().to_lowercase();
    let names = ["from", "to"].map(|end| format!("raw-{run}.{end}"));
    let topics = crate::kafka::Topics::new(conn)?;
    for name in &names {
        topics.create_one(name, 1, &[])?;
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_metric_are_added() {
        let text = "# HELP a b\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 9\na_total 1\n";
        assert!((sum(text, "a_total") - 6.0).abs() < 1e-9);
    }
}
