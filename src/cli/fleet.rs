//! `yardmaster worker list|drain|undrain`, `queue list`, `pool list|stats`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, ServerArgs, encode, values};
use super::failure::Outcome;
use super::output::{line, raw_json, raw_rows, say, texts};
use super::table::{Column, clean, lines, moment, text, yes};
use super::{JsonArg, PoolArg, pool_stats};

const QUEUE_EXAMPLES: &str = "\
Examples:
  yardmaster queue list
  yardmaster queue list --pool risk --json";

const POOL_EXAMPLES: &str = "\
Examples:
  yardmaster pool list
  yardmaster pool list --json
  yardmaster pool stats --size 1h --queue risk";

/// A list of one pool's things.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    pool: PoolArg,
    #[command(flatten)]
    json: JsonArg,
    /// At most so many.
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
}

/// One worker.
#[derive(Debug, Args)]
pub(crate) struct DrainArguments {
    /// Its name.
    name: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    pool: PoolArg,
    #[command(flatten)]
    json: JsonArg,
}

/// `yardmaster queue`.
#[derive(Debug, Args)]
#[command(after_help = QUEUE_EXAMPLES)]
pub(crate) struct QueueArguments {
    #[command(subcommand)]
    command: Queue,
}

#[derive(Debug, Subcommand)]
enum Queue {
    /// The queues of a pool, with counts by state.
    #[command(after_help = QUEUE_EXAMPLES)]
    List(ListArguments),
}

/// `yardmaster pool`.
#[derive(Debug, Args)]
#[command(after_help = POOL_EXAMPLES)]
pub(crate) struct PoolArguments {
    #[command(subcommand)]
    command: Pool,
}

#[derive(Debug, Subcommand)]
enum Pool {
    /// All pools, with counts by state.
    #[command(after_help = POOL_EXAMPLES)]
    List {
        #[command(flatten)]
        server: ServerArgs,
        #[command(flatten)]
        json: JsonArg,
    },
    /// What happened in a pool or queue, window by window.
    #[command(after_help = pool_stats::EXAMPLES)]
    Stats(pool_stats::Arguments),
}

/// `yardmaster worker list`.
pub(crate) fn list_workers(list: &ListArguments) -> Outcome {
    let columns = [
        Column { head: "WORKER", cell: |row| text(row, "worker") },
        Column { head: "STATE", cell: |row| text(row, "state") },
        Column { head: "SLOTS", cell: |row| text(row, "slots") },
        Column { head: "OPEN", cell: |row| text(row, "open") },
        Column { head: "FREE", cell: |row| text(row, "free_slots") },
        Column { head: "DRAINED", cell: |row| yes(row, "drained_by_operator") },
        Column { head: "SEEN (UTC)", cell: |row| moment(row, "seen_at_ms") },
        Column { head: "LABELS", cell: |row| text(row, "labels") },
    ];
    show(list, "workers", &columns)
}

/// `yardmaster worker drain` and `undrain`.
pub(crate) fn drain(arguments: &DrainArguments, what: &str) -> Outcome {
    let client = Client::new(&arguments.server)?;
    let name = encode(&arguments.name);
    let path = format!("/v1/pools/{}/workers/{name}/{what}?wait=applied", encode(&arguments.pool.pool));
    let answer = client.post_text(&path, &json!({}))?;
    if arguments.json.json {
        return raw_json(&answer);
    }
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    line(&clean(&format!("{} {what}: {}", arguments.name, text(&answer, "outcome"))))
}

/// `yardmaster queue list`.
pub(crate) fn run_queue(arguments: &QueueArguments) -> Outcome {
    let Queue::List(list) = &arguments.command;
    let columns = [
        Column { head: "QUEUE", cell: |row| text(row, "queue") },
        Column { head: "LIVE", cell: |row| text(row, "live") },
        Column { head: "TOTAL", cell: |row| text(row, "total") },
        Column { head: "COUNTS", cell: |row| text(row, "counts") },
    ];
    show(list, "queues", &columns)
}

/// `yardmaster pool`.
pub(crate) fn run_pool(arguments: &PoolArguments) -> Outcome {
    match &arguments.command {
        Pool::List { server, json } => list_pools(server, *json),
        Pool::Stats(stats) => pool_stats::run(stats),
    }
}

fn list_pools(server: &ServerArgs, is_json: JsonArg) -> Outcome {
    let answer = Client::new(server)?.get_text("/v1/pools?limit=1000")?;
    if is_json.json {
        return raw_json(&answer);
    }
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let columns = [
        Column { head: "POOL", cell: |row| text(row, "pool") },
        Column { head: "PARTITION", cell: |row| text(row, "partition") },
        Column { head: "LIVE", cell: |row| text(row, "live") },
        Column { head: "TOTAL", cell: |row| text(row, "total") },
        Column { head: "COUNTS", cell: |row| text(row, "counts") },
    ];
    let rows = answer.get("pools").and_then(Value::as_array).cloned().unwrap_or_default();
    lines(&columns, &rows).iter().try_for_each(|text| line(text))?;
    for other in answer.get("elsewhere").and_then(Value::as_array).into_iter().flatten() {
        say(&format!("partition {} is at {}", text(other, "partition"), text(other, "url")));
    }
    Ok(())
}

fn show(list: &ListArguments, what: &str, columns: &[Column]) -> Outcome {
    let client = Client::new(&list.server)?;
    let rows = client.list(&format!("/v1/pools/{}/{what}", encode(&list.pool.pool)), what, list.limit)?;
    if list.json.json {
        return raw_rows(what, texts(&rows));
    }
    lines(columns, &values(&rows)).iter().try_for_each(|text| line(text))
}
