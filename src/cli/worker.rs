//! `yardmaster worker`: runs one; its subcommands look at all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use yardmaster_topologies::id::{Pool, WorkerName};
use yardmaster_topologies::wire::{LABELS_MAX, TAG_NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX};

use super::failure::{Failure, Outcome};
use super::fleet::{self, DrainArguments, ListArguments};
use super::pairs;
use super::server::ConfigArgs;
use super::signals::EndOrders;
use crate::kafka::WorkerLink;
use crate::trace;
use crate::worker::{Departure, OnServerLost, RunProcess, Worker, WorkerOptions, WorkerOrders};

const EXAMPLES: &str = "\
Examples:
  yardmaster worker --pool default --slots 8
  yardmaster worker --pool a=4 --pool b=4 --label gpu=a100
  yardmaster worker --exec './price --from-stdin'      one fixed command; it gets each payload on stdin
  yardmaster worker list                               who is there
A task's program finds TASK_POOL, TASK_ID, TASK_ATTEMPT, TASK_JOB and TASK_TOKEN in its environment.
The first SIGTERM drains the worker, the second stops it, the third ends it without a word.";

/// `yardmaster worker`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Look>,
    /// A pool to serve, or POOL=SLOTS; may be repeated.
    #[arg(
        long,
        value_name = "POOL[=SLOTS]",
        env = "YARDMASTER_POOL",
        value_delimiter = ',',
        default_value = "default"
    )]
    pool: Vec<String>,
    /// How many tasks at once, for pools that don't say.
    #[arg(long)]
    slots: Option<u32>,
    /// Its name, unique in its pools; made of the host's name and the process id when left out.
    #[arg(long)]
    name: Option<String>,
    /// A free word about it: KEY=VALUE; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Run this for every task, through sh, instead of the task's own command.
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// Keep the whole output of every attempt in this directory.
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// What becomes of running tasks when Kafka can't be reached for the length of a lease.
    #[arg(long, value_enum, default_value_t)]
    on_server_lost: OnServerLost,
    /// Brokers to begin with.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Prefix of all topics.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// A TOML file, for kafka.* properties.
    #[arg(long, value_name = "FILE", env = "YARDMASTER_CONFIG")]
    config: Option<PathBuf>,
    /// End when stdin ends.
    #[arg(long, hide = true)]
    follow_stdin: bool,
}

#[derive(Debug, Subcommand)]
enum Look {
    /// Who is there.
    #[command(after_help = "Example: yardmaster worker list --pool risk")]
    List(ListArguments),
    /// Give a worker nothing new; it finishes what it has.
    #[command(after_help = "Example: yardmaster worker drain node-7")]
    Drain(DrainArguments),
    /// Give a drained worker work again.
    #[command(after_help = "Example: yardmaster worker undrain node-7")]
    Undrain(DrainArguments),
}

/// Runs a worker, or looks at workers.
pub(crate) fn run(arguments: Arguments) -> Outcome {
    match arguments.command {
        Some(Look::List(list)) => fleet::list_workers(&list),
        Some(Look::Drain(drain)) => fleet::drain(&drain, "drain"),
        Some(Look::Undrain(drain)) => fleet::drain(&drain, "undrain"),
        None => run_worker(&arguments),
    }
}

fn run_worker(arguments: &Arguments) -> Outcome {
    let config = ConfigArgs {
        config: arguments.config.clone(),
        kafka: arguments.kafka.clone(),
        namespace: arguments.namespace.clone(),
        ..ConfigArgs::default()
    };
    let config = config.load()?;
    let options = options(arguments, config.settings.limits.slots_max)?;
    let exec = arguments.exec.as_ref().map(|command| vec!["sh".to_owned(), "-c".to_owned(), command.clone()]);
    let programs = RunProcess { exec, log_dir: arguments.log_dir.clone(), guard: None };
    if let (Some(dir), Err(error)) = (&programs.log_dir, programs.check_log_dir()) {
        let why = format!("--log-dir {}: no logs can be written there: {error}", dir.display());
        return Err(Failure::Usage(format!("{why}; name a directory that this user may write to")));
    }
    let handler = Arc::new(programs.guarded_by(&std::env::current_exe()?));
    trace::start(&config.otel_endpoint, "worker", options.name.as_str())?;
    let orders = EndOrders::listen()?;
    if arguments.follow_stdin {
        orders.follow_stdin()?;
    }
    let (connection, namespace) = (config.connection(), config.namespace);
    let link = move |pool: &Pool, name: &WorkerName| WorkerLink::new(&connection, &namespace, pool, name);
    let worker = Worker::start(&options, handler, link)?;
    tracing::info!(name = %options.name, pools = ?options.pools, "working");
    obey(orders, worker.orders())?;
    let departure = worker.join();
    trace::finish();
    match departure {
        Departure::Left => Ok(()),
        Departure::Replaced => Err(Failure::Incomplete("another worker of this name took over".to_owned())),
    }
}

/// The first order drains, the second stops, the third ends the process.
fn obey(orders: EndOrders, worker: WorkerOrders) -> Outcome {
    let listen = move || {
        orders.wait();
        tracing::info!("draining: what runs is finished; a second signal stops it");
        worker.drain();
        orders.wait();
        tracing::info!("stopping");
        worker.stop();
        orders.wait();
        tracing::warn!(
            "ending at once: the guard kills what runs, the server gives it to others after the lease"
        );
        std::process::exit(1);
    };
    std::thread::Builder::new().name("orders".to_owned()).spawn(listen)?;
    Ok(())
}

fn options(arguments: &Arguments, slots_max: u32) -> Result<WorkerOptions, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let slots = arguments.slots.unwrap_or_else(|| u32::try_from(cores).unwrap_or(1).min(slots_max));
    let name = arguments.name.clone().unwrap_or_else(own_name);
    Ok(WorkerOptions {
        name: WorkerName::parse(&name).map_err(|error| Failure::Usage(format!("--name {name}: {error}")))?,
        pools: pools(&arguments.pool, slots, slots_max)?,
        labels: labels(&arguments.label)?,
        on_server_lost: arguments.on_server_lost,
    })
}

/// Each pool once: a worker has one registration in a pool.
fn pools(texts: &[String], slots: u32, slots_max: u32) -> Result<Vec<(Pool, u32)>, Failure> {
    let mut pools: Vec<(Pool, u32)> = Vec::new();
    for text in texts {
        let (pool, slots) = pool_slots(text, slots, slots_max)?;
        if pools.iter().any(|(other, _)| *other == pool) {
            return Err(Failure::Usage(format!(
                "--pool {text}: the pool is named twice; give its slots once"
            )));
        }
        pools.push((pool, slots));
    }
    Ok(pools)
}

fn pool_slots(text: &str, default: u32, slots_max: u32) -> Result<(Pool, u32), Failure> {
    let allowed =
        |flag: String| Failure::Usage(format!("{flag}: slots are 1 to {slots_max} (limits.slots_max)"));
    let (name, slots) = match text.split_once('=') {
        None if (1..=slots_max).contains(&default) => (text, default),
        None => return Err(allowed(format!("--slots {default}"))),
        Some((name, number)) => {
            let slots = number.parse().ok().filter(|slots| (1..=slots_max).contains(slots));
            (name, slots.ok_or_else(|| allowed(format!("--pool {text}")))?)
        }
    };
    let pool = Pool::parse(name).map_err(|error| Failure::Usage(format!("--pool {text}: {error}")))?;
    Ok((pool, slots))
}

/// What the server would refuse is told before a worker starts: it could not join.
fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    for (key, value) in pairs("--label", texts)? {
        let bad = |why: String| Err(Failure::Usage(format!("--label {key}={value}: {why}")));
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if key.is_empty() || key.len() > TAG_NAME_BYTES_MAX || !key.bytes().all(is_plain) {
            return bad(format!("a label's name is 1 to {TAG_NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -"));
        }
        if value.len() > TAG_VALUE_BYTES_MAX {
            return bad(format!("the value has {} bytes, allowed are {TAG_VALUE_BYTES_MAX}", value.len()));
        }
        if labels.contains_key(&key) {
            return bad("this label is given twice".to_owned());
        }
        labels.insert(key, value);
    }
    if labels.len() > LABELS_MAX {
        return Err(Failure::Usage(format!("--label: {} labels, allowed are {LABELS_MAX}", labels.len())));
    }
    Ok(labels)
}

/// The host's name and the process id, of the characters that a worker's name may have.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let host: String = host.trim().chars().filter(fits).take(48).collect();
    format!("{}-{}", if host.is_empty() { "worker" } else { &host }, std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn usage<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
        match result {
            Err(Failure::Usage(message)) => message,
            other => panic!("{other:?} is no wrong usage"),
        }
    }

    #[test]
    fn pools_may_name_their_slots() {
        assert_eq!(pool_slots("a", 8, 4096).unwrap(), (Pool::trusted("a"), 8));
        assert_eq!(pool_slots("a=4", 8, 4096).unwrap(), (Pool::trusted("a"), 4));
        for bad in ["a=0", "a=x", "=4", "a b", "a=4097"] {
            usage(pool_slots(bad, 8, 4096));
        }
        assert!(
            usage(pool_slots("a", 4097, 4096))
                .contains("--slots 4097: slots are 1 to 4096 (limits.slots_max)")
        );
        assert!(usage(pool_slots("a", 0, 4096)).starts_with("--slots 0:"));
    }

    #[test]
    fn a_pool_is_named_once() {
        assert_eq!(pools(&text(&["a", "b=2"]), 1, 4096).unwrap().len(), 2);
        assert!(usage(pools(&text(&["a", "a=2"]), 1, 4096)).contains("twice"));
    }

    #[test]
    fn labels_keep_the_limits_of_the_wire() {
        assert_eq!(labels(&text(&["gpu=a100"])).unwrap().len(), 1);
        let long = format!("a={}", "x".repeat(TAG_VALUE_BYTES_MAX + 1));
        for bad in [&["a b=c"][..], &["=c"], &["a"], &[&long], &["a=1", "a=2"]] {
            usage(labels(&text(bad)));
        }
        let many: Vec<String> = (0..=LABELS_MAX).map(|n| format!("l{n}=x")).collect();
        assert!(usage(labels(&many)).contains("allowed are 64"));
    }

    #[test]
    fn a_name_of_its_own_is_valid() {
        assert!(WorkerName::parse(&own_name()).is_ok());
    }
}
