//! `yardmaster task`: look, cancel, requeue, wait.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::client::{Client, ServerArgs, encode, values};
use super::failure::{Failure, Outcome};
use super::output::{json, line, raw_json, raw_rows, say, texts};
use super::table::{Column, clean, lines, moment, text};
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
    #[command(
        after_help = "Example: yardmaster task list --state QUEUED,RUNNING --job night --tag curve=USD"
    )]
    List(ListArguments),
    /// Everything about one task.
    #[command(after_help = "Example: yardmaster task show t-1")]
    Show(OneArguments),
    /// End tasks.
    #[command(after_help = "Example: yardmaster task cancel t-1 t-2 --reason 'wrong curve'")]
    Cancel(ManyArguments),
    /// Run ended tasks again.
    #[command(after_help = "Example: yardmaster task requeue t-1")]
    Requeue(ManyArguments),
    /// Wait until tasks have ended. Exit code 0: all completed.
    #[command(after_help = "Example: yardmaster task wait t-1 t-2 --timeout 60")]
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
    #[arg(long, value_name = "SECONDS", value_parser = wait::seconds, allow_negative_numbers = true)]
    timeout: Option<Duration>,
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
    let path = format!("/v1/pools/{}/tasks{glue}{}", encode(&list.pool.pool), query.join("&"));
    let rows = client.list(&path, "tasks", list.limit)?;
    if list.json.json {
        return raw_rows("tasks", texts(&rows));
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
    lines(&columns, &values(&rows)).iter().try_for_each(|text| line(text))?;
    if rows.len() == list.limit {
        say(&format!("the first {}; --limit N shows more", list.limit));
    }
    Ok(())
}

fn show_one(client: &Client, one: &OneArguments) -> Outcome {
    let id = encode(&one.id);
    let path = match &one.pool {
        Some(pool) => format!("/v1/pools/{}/tasks/{id}", encode(pool)),
        None => format!("/v1/tasks/{id}"),
    };
    let answer = client.get_text(&path)?;
    if one.json.json {
        return raw_json(&answer);
    }
    let task: Value = serde_json::from_str(&answer).unwrap_or_default();
    show_fields(&task, &serde_json::from_str(&answer).unwrap_or_default())?;
    show_timeline(&rows(&task, "timeline"))?;
    match rows(&task, "attempts").last().and_then(|attempt| attempt.get("report")) {
        Some(report) => show_report(report),
        None => Ok(()),
    }
}

/// `raw` has the same fields as they came: a result is shown to the last digit.
fn show_fields(task: &Value, raw: &BTreeMap<String, Box<RawValue>>) -> Outcome {
    let names = [
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
        "result_ref",
    ];
    for name in names {
        let words = match name {
            "progress" | "result" => raw.get(name).map(|raw| raw.get().to_owned()).unwrap_or_default(),
            plain => text(task, plain),
        };
        if !words.is_empty() {
            line(&format!("{name:<10} {}", clean(&words)))?;
        }
    }
    Ok(())
}

fn show_timeline(timeline: &[Value]) -> Outcome {
    let columns = [
        Column { head: "AT (UTC)", cell: |row| moment(row, "at_ms") },
        Column { head: "WHAT", cell: |row| text(row, "what") },
        Column { head: "TRY", cell: |row| text(row, "attempt") },
        Column { head: "WORKER", cell: |row| text(row, "worker") },
        Column { head: "OUTCOME", cell: |row| text(row, "outcome") },
        Column { head: "REASON", cell: |row| text(row, "reason") },
    ];
    if timeline.is_empty() {
        return Ok(());
    }
    line("")?;
    lines(&columns, timeline).iter().try_for_each(|text| line(text))
}

fn show_report(report: &Value) -> Outcome {
    for (field, head) in [("error", "error"), ("stdout_tail", "stdout"), ("stderr_tail", "stderr")] {
        let words = text(report, field);
        if !words.is_empty() {
            line(&format!("\n{head}:"))?;
            words.trim_end().lines().try_for_each(|words| line(&clean(words)))?;
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
        let path = format!("/v1/pools/{}/tasks/{}/{what}?wait=applied", encode(&many.pool.pool), encode(id));
        match client.post(&path, &body) {
            Ok(answer) => done.push(json!({"id": id, "outcome": text(&answer, "outcome")})),
            Err(failure) => {
                let is_over = matches!(failure, Failure::Unreachable(_) | Failure::TimedOut(_));
                done.push(json!({"id": id, "outcome": "failed", "error": failure.message()}));
                failed.push(failure);
                if is_over {
                    break;
                }
            }
        }
    }
    if many.json.json {
        json(&json!({ "tasks": done }))?;
    } else {
        for task in done.iter().filter(|task| task.get("error").is_none()) {
            line(&clean(&format!("{} {what}: {}", text(task, "id"), text(task, "outcome"))))?;
        }
    }
    let words: Vec<String> = done
        .iter()
        .filter(|task| task.get("error").is_some())
        .map(|task| format!("{}: {}", text(task, "id"), text(task, "error")))
        .collect();
    match failed.pop() {
        None => Ok(()),
        Some(Failure::Unreachable(_)) => Err(Failure::Unreachable(words.join("\n"))),
        Some(Failure::Incomplete(_) | Failure::Usage(_) | Failure::TimedOut(_)) => {
            Err(Failure::Incomplete(words.join("\n")))
        }
    }
}

fn await_all(client: &Client, waiting: &WaitArguments) -> Outcome {
    let awaited = waiting.ids.iter().map(|id| wait::Awaited {
        pool: waiting.pool.pool.clone(),
        id: id.clone(),
        position: None,
    });
    let deadline = wait::deadline(waiting.timeout);
    let ended = wait::tasks(client, awaited.collect(), deadline, waiting.json.json)?;
    if waiting.json.json {
        raw_rows("tasks", ended.iter().map(|task| task.body.as_str()))?;
    } else {
        ended.iter().try_for_each(|task| line(&clean(&format!("{} {}", task.id, task.state))))?;
    }
    let bad = ended.iter().filter(|task| !task.is_completed()).count();
    if bad == 0 {
        Ok(())
    } else {
        Err(Failure::Incomplete(format!("{bad} of {} did not complete", ended.len())))
    }
}
