//! `yardmaster task`: look, cancel, requeue, wait.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, ServerArgs, encode};
use super::failure::{Failure, Outcome};
use super::output::{json, line, say};
use super::table::{Column, lines, text};
use super::{JsonArg, PoolArg, wait};

const EXAMPLES: &str = "\
Examples:
  yardmaster task list --state QUEUED,RUNNING --job night
  yardmaster task show t-1                   with every attempt and its reason
  yardmaster task cancel t-1 t-2 --reason 'wrong curve'
  yardmaster task requeue t-1
  yardmaster task wait t-1 --timeout 60";

/// `yardmaster task`.
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
    /// Tasks, live ones first.
    List(ListArguments),
    /// Everything about one task.
    Show(OneArguments),
    /// End tasks.
    Cancel(ManyArguments),
    /// Run ended tasks again.
    Requeue(ManyArguments),
    /// Wait until tasks have ended.
    Wait(WaitArguments),
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    pool: PoolArg,
    #[command(flatten)]
    json: JsonArg,
    /// Only in these states.
    #[arg(long, value_name = "STATE[,STATE]")]
    state: Option<String>,
    /// Only of this job.
    #[arg(long)]
    job: Option<String>,
    /// Only in this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Only with this tag; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    /// Only on this worker.
    #[arg(long)]
    worker: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Args)]
struct OneArguments {
    /// The task.
    id: String,
    /// Its pool; without it all pools are searched.
    #[arg(long, env = "YARDMASTER_POOL")]
    pool: Option<String>,
    #[command(flatten)]
    json: JsonArg,
}

#[derive(Debug, Args)]
struct ManyArguments {
    /// The tasks.
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    pool: PoolArg,
    #[command(flatten)]
    json: JsonArg,
    /// Why, for people.
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
struct WaitArguments {
    /// The tasks.
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    pool: PoolArg,
    #[command(flatten)]
    json: JsonArg,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = Client::new(&arguments.server)?;
    match &arguments.command {
        Command::List(list) => show_list(&client, list),
        Command::Show(one) => show_one(&client, one),
        Command::Cancel(many) => change(&client, many, "cancel"),
        Command::Requeue(many) => change(&client, many, "requeue"),
        Command::Wait(waiting) => await_all(&client, waiting),
    }
}

fn show_list(client: &Client, list: &ListArguments) -> Outcome {
    let mut query = Vec::new();
    let filters =
        [("state", &list.state), ("job", &list.job), ("queue", &list.queue), ("worker", &list.worker)];
    for (name, value) in filters {
        query.extend(value.as_ref().map(|value| format!("{name}={}", encode(value).replace("%2C", ","))));
    }
    query.extend(list.tag.iter().map(|tag| format!("tag={}", encode(tag))));
    let glue = if query.is_empty() { "" } else { "?" };
    let path = format!("/v1/pools/{}/tasks{glue}{}", list.pool.pool, query.join("&"));
    let rows = client.list(&path, "tasks", list.limit)?;
    if list.json.json {
        return json(&json!({ "tasks": rows }));
    }
    let columns = [
        Column { head: "ID", cell: |row| text(row, "id") },
        Column { head: "STATE", cell: |row| text(row, "state") },
        Column { head: "QUEUE", cell: |row| text(row, "queue") },
        Column { head: "JOB", cell: |row| text(row, "job") },
        Column { head: "PRIO", cell: |row| text(row, "priority") },
        Column { head: "TRY", cell: |row| text(row, "attempt") },
        Column { head: "WORKER", cell: |row| text(row, "worker") },
        Column { head: "REASON", cell: |row| text(row, "reason") },
    ];
    lines(&columns, &rows).iter().try_for_each(|text| line(text))?;
    if rows.len() == list.limit {
        say(&format!("the first {}; --limit N shows more", list.limit));
    }
    Ok(())
}

fn show_one(client: &Client, one: &OneArguments) -> Outcome {
    let id = encode(&one.id);
    let path = match &one.pool {
        Some(pool) => format!("/v1/pools/{pool}/tasks/{id}"),
        None => format!("/v1/tasks/{id}"),
    };
    let task = client.get(&path)?;
    if one.json.json {
        return json(&task);
    }
    let fields = [
        "pool",
        "id",
        "state",
        "reason",
        "note",
        "queue",
        "job",
        "priority",
        "tags",
        "command",
        "attempt",
        "worker",
        "progress",
        "exit_code",
        "result",
    ];
    for field in fields.into_iter().filter(|field| !text(&task, field).is_empty()) {
        line(&format!("{field:<10} {}", text(&task, field)))?;
    }
    let timeline = rows(&task, "timeline");
    if !timeline.is_empty() {
        line("")?;
    }
    let columns = [
        Column { head: "AT (MS)", cell: |row| text(row, "at_ms") },
        Column { head: "WHAT", cell: |row| text(row, "what") },
        Column { head: "TRY", cell: |row| text(row, "attempt") },
        Column { head: "WORKER", cell: |row| text(row, "worker") },
        Column { head: "OUTCOME", cell: |row| text(row, "outcome") },
        Column { head: "REASON", cell: |row| text(row, "reason") },
    ];
    lines(&columns, &timeline).iter().try_for_each(|text| line(text))?;
    let Some(report) = rows(&task, "attempts").last().and_then(|attempt| attempt.get("report").cloned())
    else {
        return Ok(());
    };
    for (field, head) in [("error", "error"), ("stdout_tail", "stdout"), ("stderr_tail", "stderr")] {
        let words = text(&report, field);
        if !words.is_empty() {
            line(&format!("\n{head}:\n{}", words.trim_end().replace('\u{1b}', " ")))?;
        }
    }
    Ok(())
}

fn rows(task: &Value, field: &str) -> Vec<Value> {
    task.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn change(client: &Client, many: &ManyArguments, what: &str) -> Outcome {
    let body = many.reason.as_ref().map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let mut failed = Vec::new();
    let mut done = Vec::new();
    for id in &many.ids {
        let path = format!("/v1/pools/{}/tasks/{}/{what}?wait=applied", many.pool.pool, encode(id));
        match client.post(&path, &body) {
            Ok(answer) => done.push(json!({"id": id, "outcome": text(&answer, "outcome")})),
            Err(failure @ (Failure::Unreachable(_) | Failure::TimedOut(_))) => return Err(failure),
            Err(failure) => failed.push(format!("{id}: {}", failure.message())),
        }
    }
    if many.json.json {
        json(&json!({ "tasks": done }))?;
    } else {
        done.iter()
            .try_for_each(|task| line(&format!("{} {what}: {}", text(task, "id"), text(task, "outcome"))))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Incomplete(failed.join("\n"))) }
}

fn await_all(client: &Client, waiting: &WaitArguments) -> Outcome {
    let deadline = wait::deadline(waiting.timeout);
    let ended = wait::tasks(client, &waiting.pool.pool, &waiting.ids, deadline)?;
    if waiting.json.json {
        json(&json!({ "tasks": ended }))?;
    } else {
        ended.iter().try_for_each(|task| line(&format!("{} {}", text(task, "id"), text(task, "state"))))?;
    }
    let bad = ended.iter().filter(|task| text(task, "state") != "COMPLETED").count();
    if bad == 0 { Ok(()) } else { Err(Failure::Incomplete(format!("{bad} did not complete"))) }
}
