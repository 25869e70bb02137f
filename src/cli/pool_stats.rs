//! `yardmaster pool stats`: what happened window by window.

use clap::Args;
use serde_json::Value;

use super::client::{Client, ServerArgs, encode};
use super::failure::Outcome;
use super::output::{line, raw_json, say};
use super::table::{Column, lines, moment, text};
use super::{JsonArg, PoolArg};

/// Shown where it is asked for.
pub(crate) const EXAMPLES: &str = "\
Examples:
  yardmaster pool stats                       minute by minute
  yardmaster pool stats --size 1h --queue risk --limit 48
  yardmaster pool stats --size 5s --json";

/// `yardmaster pool stats`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    pool: PoolArg,
    #[command(flatten)]
    json: JsonArg,
    /// How long a window is.
    #[arg(long, default_value = "1m", value_parser = ["5s", "1m", "1h"])]
    size: String,
    /// Only of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// At most so many windows: the newest.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let queue = arguments.queue.as_ref().map(|queue| format!("&queue={}", encode(queue)));
    let path = format!(
        "/v1/pools/{}/stats/windows?size={}&limit={}{}",
        encode(&arguments.pool.pool),
        arguments.size,
        arguments.limit,
        queue.unwrap_or_default()
    );
    let answer = Client::new(&arguments.server)?.get_text(&path)?;
    if arguments.json.json {
        return raw_json(&answer);
    }
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let windows = answer.get("windows").and_then(Value::as_array).cloned().unwrap_or_default();
    lines(&columns(), &windows).iter().try_for_each(|text| line(text))?;
    if answer.get("next_to_ms").is_some() {
        say(&format!("the newest {}; --limit N shows more", arguments.limit));
    }
    Ok(())
}

fn columns() -> [Column; 11] {
    [
        Column { head: "FROM (UTC)", cell: |row| moment(row, "from_ms") },
        Column { head: "SUBMITTED", cell: |row| inside(row, "counts", "submitted") },
        Column { head: "ASSIGNED", cell: |row| inside(row, "counts", "assigned") },
        Column { head: "COMPLETED", cell: |row| inside(row, "counts", "completed") },
        Column { head: "FAILED", cell: |row| inside(row, "counts", "failed") },
        Column { head: "RETRIED", cell: |row| inside(row, "counts", "retried") },
        Column { head: "LOST", cell: |row| inside(row, "counts", "lost") },
        Column { head: "WAIT P50 MS", cell: |row| inside(row, "queue_wait", "p50_ms") },
        Column { head: "P99", cell: |row| inside(row, "queue_wait", "p99_ms") },
        Column { head: "RUN P50 MS", cell: |row| inside(row, "run_time", "p50_ms") },
        Column { head: "P99", cell: |row| inside(row, "run_time", "p99_ms") },
    ]
}

fn inside(row: &Value, part: &str, field: &str) -> String {
    row.get(part).map(|part| text(part, field)).unwrap_or_default()
}
