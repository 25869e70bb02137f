//! `yardmaster job`: look, cancel, wait, fetch results.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::client::{Client, ServerArgs, encode, values};
use super::failure::{Failure, Outcome};
use super::output::{line, raw_json, raw_rows, texts};
use super::table::{Column, clean, lines, text, yes};
use super::{JsonArg, PoolArg, wait};

const EXAMPLES: &str = "\
Examples:
  yardmaster job list --state ACTIVE
  yardmaster job wait night --timeout 3600
  yardmaster job results night --jsonl > night.jsonl
  yardmaster job cancel night --reason 'wrong curve'";

/// `yardmaster job`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All jobs.
    #[command(after_help = "Example: yardmaster job list --state ACTIVE")]
    List {
        #[command(flatten)]
        pool: PoolArg,
        #[command(flatten)]
        json: JsonArg,
        /// ACTIVE or DONE.
        #[arg(long)]
        state: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
    },
    /// One job: its counts by state.
    #[command(after_help = "Example: yardmaster job show night --json")]
    Show(One),
    /// End every task of a job, present and future.
    #[command(after_help = "Example: yardmaster job cancel night --reason 'wrong curve'")]
    Cancel {
        #[command(flatten)]
        one: One,
        /// Why, for people.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Wait until no task of it is live. Exit code 0: all completed.
    #[command(
        after_help = "Example: yardmaster job wait night --timeout 3600 && yardmaster job results night --jsonl"
    )]
    Wait {
        #[command(flatten)]
        one: One,
        /// Give up after so many seconds.
        #[arg(long, value_name = "SECONDS", value_parser = wait::seconds, allow_negative_numbers = true)]
        timeout: Option<Duration>,
        /// Wait until it has had at least so many tasks, too.
        #[arg(long, value_name = "N", default_value_t = 0)]
        at_least: u64,
    },
    /// What its tasks printed; as a stream, however large it is.
    #[command(after_help = "Example: yardmaster job results night --jsonl > night.jsonl")]
    Results {
        #[command(flatten)]
        one: One,
        /// One JSON object per ended task and line.
        #[arg(long)]
        jsonl: bool,
    },
}

#[derive(Debug, Args)]
struct One {
    /// The job.
    job: String,
    #[command(flatten)]
    pool: PoolArg,
    #[command(flatten)]
    json: JsonArg,
}

impl One {
    fn path(&self) -> String {
        format!("/v1/pools/{}/jobs/{}", encode(&self.pool.pool), encode(&self.job))
    }
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = Client::new(&arguments.server)?;
    match &arguments.command {
        Command::List { pool, json: is_json, state, limit } => {
            let filter = state.as_ref().map(|state| format!("?state={}", encode(state))).unwrap_or_default();
            let path = format!("/v1/pools/{}/jobs{filter}", encode(&pool.pool));
            let rows = client.list(&path, "jobs", *limit)?;
            if is_json.json { raw_rows("jobs", texts(&rows)) } else { table(&values(&rows)) }
        }
        Command::Show(one) => show(one, &client.get_text(&one.path())?).map(|_| ()),
        Command::Cancel { one, reason } => {
            let body = reason.as_ref().map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
            let answer = client.post_text(&format!("{}/cancel?wait=applied", one.path()), &body)?;
            if one.json.json {
                return raw_json(&answer);
            }
            let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
            line(&clean(&format!("{} cancel: {}", one.job, text(&answer, "outcome"))))
        }
        Command::Wait { one, timeout, at_least } => {
            let job = wait::job(&client, &one.pool.pool, &one.job, *at_least, wait::deadline(*timeout))?;
            wait::judge(&show(one, &job)?)
        }
        Command::Results { one, jsonl } => results(&client, one, *jsonl),
    }
}

fn show(one: &One, text: &str) -> Result<Value, Failure> {
    let job: Value = serde_json::from_str(text).unwrap_or_default();
    if one.json.json {
        raw_json(text)?
    } else {
        table(std::slice::from_ref(&job))?
    }
    Ok(job)
}

fn table(rows: &[Value]) -> Outcome {
    let columns = [
        Column { head: "JOB", cell: |row| text(row, "job") },
        Column { head: "STATE", cell: |row| text(row, "state") },
        Column { head: "TOTAL", cell: |row| text(row, "total") },
        Column { head: "ENDED", cell: |row| text(row, "ended") },
        Column { head: "COUNTS", cell: |row| text(row, "counts") },
        Column { head: "CANCELLED", cell: |row| yes(row, "cancelled") },
    ];
    lines(&columns, rows).iter().try_for_each(|text| line(text))
}

/// A line of the server's, as far as it is shown.
#[derive(Deserialize)]
struct Ended<'a> {
    id: String,
    state: String,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

fn results(client: &Client, one: &One, is_jsonl: bool) -> Outcome {
    let mut is_first = true;
    if one.json.json {
        line("{\"results\": [")?;
    }
    each_result(client, &one.pool.pool, &one.job, |text| {
        let glue = if std::mem::take(&mut is_first) { "" } else { "," };
        if one.json.json {
            return line(&format!("{glue}{text}"));
        }
        if is_jsonl {
            return line(text);
        }
        let row: Ended<'_> = serde_json::from_str(text).map_err(|error| bad_line(&error))?;
        let result = row.result.map(RawValue::get).unwrap_or_default();
        line(&clean(&format!("{} {} {result}", row.id, row.state)))
    })?;
    if one.json.json { line("]}") } else { Ok(()) }
}

/// Sees the line of every ended task, each as it came; a stream that is cut or bad is a failure.
pub(crate) fn each_result(
    client: &Client,
    pool: &str,
    job: &str,
    mut see: impl FnMut(&str) -> Outcome,
) -> Outcome {
    client.each_line(&format!("/v1/pools/{}/jobs/{}/results", encode(pool), encode(job)), |text| {
        serde_json::from_str::<&RawValue>(text).map_err(|error| bad_line(&error))?;
        see(text)
    })
}

fn bad_line(error: &serde_json::Error) -> Failure {
    Failure::Incomplete(format!("a line of the results is not as it must be: {error}"))
}
