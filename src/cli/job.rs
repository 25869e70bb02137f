//! `yardmaster job`: look, cancel, wait, fetch results.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, ServerArgs, encode, problem};
use super::failure::Outcome;
use super::output::{json, line};
use super::table::{Column, lines, text};
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
    Show(One),
    /// End every task of a job, present and future.
    Cancel {
        #[command(flatten)]
        one: One,
        /// Why, for people.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Wait until no task of it is live.
    Wait {
        #[command(flatten)]
        one: One,
        /// Give up after so many seconds.
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<f64>,
        /// Wait until it has had at least so many tasks, too.
        #[arg(long, value_name = "N", default_value_t = 0)]
        at_least: u64,
    },
    /// What its tasks printed.
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
        format!("/v1/pools/{}/jobs/{}", self.pool.pool, encode(&self.job))
    }
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = Client::new(&arguments.server)?;
    match &arguments.command {
        Command::List { pool, json: is_json, state, limit } => {
            let filter = state.as_ref().map(|state| format!("?state={}", encode(state))).unwrap_or_default();
            let rows = client.list(&format!("/v1/pools/{}/jobs{filter}", pool.pool), "jobs", *limit)?;
            if is_json.json { json(&json!({ "jobs": rows })) } else { table(&rows) }
        }
        Command::Show(one) => show(one, &client.get(&one.path())?),
        Command::Cancel { one, reason } => {
            let body = reason.as_ref().map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
            let answer = client.post(&format!("{}/cancel?wait=applied", one.path()), &body)?;
            if one.json.json {
                json(&answer)
            } else {
                line(&format!("{} cancel: {}", one.job, text(&answer, "outcome")))
            }
        }
        Command::Wait { one, timeout, at_least } => {
            let job = wait::job(&client, &one.pool.pool, &one.job, *at_least, wait::deadline(*timeout))?;
            show(one, &job)?;
            wait::judge(&job)
        }
        Command::Results { one, jsonl } => results(&client, one, *jsonl),
    }
}

fn show(one: &One, job: &Value) -> Outcome {
    if one.json.json { json(job) } else { table(std::slice::from_ref(job)) }
}

fn table(rows: &[Value]) -> Outcome {
    let columns = [
        Column { head: "JOB", cell: |row| text(row, "job") },
        Column { head: "STATE", cell: |row| text(row, "state") },
        Column { head: "TOTAL", cell: |row| text(row, "total") },
        Column { head: "ENDED", cell: |row| text(row, "ended") },
        Column { head: "COUNTS", cell: |row| text(row, "counts") },
        Column { head: "CANCELLED", cell: |row| text(row, "cancelled") },
    ];
    lines(&columns, rows).iter().try_for_each(|text| line(text))
}

fn results(client: &Client, one: &One, is_jsonl: bool) -> Outcome {
    let rows = fetch_results(client, &one.pool.pool, &one.job)?;
    if one.json.json {
        return json(&json!({ "results": rows }));
    }
    for row in &rows {
        if is_jsonl {
            line(&row.to_string())?;
        } else {
            let result = row.get("result").map(Value::to_string).unwrap_or_default();
            line(&format!("{} {} {result}", text(row, "id"), text(row, "state")))?;
        }
    }
    Ok(())
}

/// A row per ended task.
pub(crate) fn fetch_results(
    client: &Client,
    pool: &str,
    job: &str,
) -> Result<Vec<Value>, super::failure::Failure> {
    let answer = client.raw_get(&format!("/v1/pools/{pool}/jobs/{}/results", encode(job)))?;
    if answer.status != 200 {
        return Err(problem(&answer));
    }
    Ok(answer.body.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
