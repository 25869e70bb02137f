//! `yardmaster bench`: whole lives and dispatch latency, each beside what the same broker gives to a program that decides
//! nothing, in the same run. What counts is the ratio: machines differ, and so do minutes.

mod dispatch;
mod fleet;
mod grid;
mod lives;
mod message;
mod spread;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::JsonArg;
use super::failure::Outcome;
use super::kafka;
use super::output::{json, line, say};
use crate::embedded::Broker;
use crate::kafka::Connection;

/// A benchmark's broker: as its own default would be, so that it is not what limits.
const HEAP_MB: u32 = 1_024;

const EXAMPLES: &str = "\
Examples:
  yardmaster bench
  yardmaster bench lives --tasks 200000 --rounds 5
  yardmaster bench dispatch --rate 500 --json
Starts a broker of its own; the two sides of each comparison take turns, and the median of the rounds is shown with the
least and the most.";

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Tasks per second from submit to completed, beside raw consume, produce and commit of as many records.
    Lives,
    /// Time from the submitter's send until a worker has the assignment, beside a raw echo.
    Dispatch,
}

/// `yardmaster bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to measure; all when left out.
    #[arg(value_enum)]
    names: Vec<Name>,
    /// Tasks of a round of `lives`, after as many tenths to warm up.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    tasks: u32,
    /// Workers of `lives`, 64 slots each.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    workers: u32,
    /// Rounds of each, after one that is not counted.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Tasks per second of `dispatch`.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Workers of `dispatch`, 64 slots each.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    dispatch_workers: u32,
    /// Seconds of a round of `dispatch`; the first fifth warms up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(5..=600))]
    seconds: u32,
    /// Use this broker instead of starting one.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Try another setting of the server: KEY=VALUE, as often as need be.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Keep what is written here, instead of in a directory that is deleted.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    json: JsonArg,
}

/// Where a measurement runs.
struct Ground {
    data: PathBuf,
    conn: Connection,
    settings: Vec<String>,
}

/// Runs what was asked for and prints it.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let fleeting = std::env::temp_dir().join(format!("yardmaster-bench-{}", std::process::id()));
    let data = arguments.data.clone().unwrap_or_else(|| fleeting.clone());
    std::fs::create_dir_all(&data)?;
    let outcome = on_broker(arguments, data);
    if arguments.data.is_none() {
        std::fs::remove_dir_all(&fleeting)?;
    }
    outcome
}

fn on_broker(arguments: &Arguments, data: PathBuf) -> Outcome {
    let mut broker = match &arguments.kafka {
        Some(_) => None,
        None => {
            let mut options = kafka::options(data.join("kafka"));
            options.heap_mb = HEAP_MB;
            Some(Broker::start(options)?)
        }
    };
    let bootstrap =
        broker.as_ref().map(Broker::bootstrap).or_else(|| arguments.kafka.clone()).unwrap_or_default();
    let one_partition = std::iter::once("partitions=1".to_owned());
    let settings = one_partition.chain(arguments.set.iter().cloned()).collect();
    let ground = Ground { data, conn: Connection::new(bootstrap), settings };
    let outcome = measure(arguments, &ground);
    if let Some(broker) = &mut broker {
        broker.stop();
    }
    let (lines, figures) = outcome?;
    if arguments.json.json {
        return json(&figures);
    }
    lines.iter().try_for_each(|text| line(text))
}

fn measure(arguments: &Arguments, ground: &Ground) -> Result<(Vec<String>, Value), super::failure::Failure> {
    let is_wanted = |name: Name| arguments.names.is_empty() || arguments.names.contains(&name);
    let version = Value::from(env!("CARGO_PKG_VERSION"));
    let (mut lines, mut figures) =
        (Vec::new(), serde_json::Map::from_iter([("version".to_owned(), version)]));
    if is_wanted(Name::Lives) {
        say("lives: whole lives of tasks, and as many records raw");
        let shape = lives::Shape {
            tasks: arguments.tasks as usize,
            workers: arguments.workers as usize,
            rounds: arguments.rounds,
        };
        let measured = lives::measure(ground, &shape)?;
        lines.extend(measured.lines());
        figures.insert("lives".to_owned(), measured.json());
    }
    if is_wanted(Name::Dispatch) {
        say("dispatch: from the submitter to the worker, and a raw echo");
        let shape = dispatch::Shape {
            rate: arguments.rate,
            seconds: arguments.seconds,
            workers: arguments.dispatch_workers as usize,
            rounds: arguments.rounds,
        };
        let measured = dispatch::measure(ground, &shape)?;
        lines.extend(measured.lines());
        figures.insert("dispatch".to_owned(), measured.json());
    }
    Ok((lines, figures.into()))
}
