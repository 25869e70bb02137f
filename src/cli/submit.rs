//! `yardmaster submit`: from words on the command line, a file of lines, a file of tasks, or stdin.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, ServerArgs, encode, parse, show_warnings};
use super::failure::{Failure, Outcome};
use super::output::{json, line, say};
use super::submit_tasks::{Template, from_jsonl, from_lines};
use super::table::text;
use super::{JsonArg, PoolArg, wait, worker};

/// Tasks of one request.
const CHUNK: usize = 1_000;

const EXAMPLES: &str = "\
Examples:
  yardmaster submit -- ./price --book 7
  yardmaster submit --job night --retries 2 --timeout 60 --wait -- ./price --book 7
  yardmaster submit --each-line books.txt -- ./price --book {}     one task a line; {} is the line
  yardmaster submit --file tasks.jsonl                             one task a line, as JSON; - is stdin
  seq 100 | yardmaster submit --each-line - -- ./square {}";

/// `yardmaster submit`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    pool: PoolArg,
    #[command(flatten)]
    json: JsonArg,
    /// The task's id; made up when left out. Submitting the same task again is harmless.
    #[arg(long, conflicts_with_all = ["each_line", "file"])]
    id: Option<String>,
    /// The job that it belongs to.
    #[arg(long)]
    job: Option<String>,
    /// The queue that it waits in.
    #[arg(long)]
    queue: Option<String>,
    /// Higher is sooner.
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// A label to find it by; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    /// Added to the program's environment; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// The program's working directory.
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Seconds that one attempt may run.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// Further attempts after a failure.
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// JSON for the program's stdin.
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// One task per line of this file (- is stdin); {} in the command is the line, which is also appended if there is none.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    each_line: Option<PathBuf>,
    /// One task per line, as JSON; flags fill in what it leaves out. - is stdin.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Wait until all have ended.
    #[arg(long)]
    wait: bool,
    /// Give up waiting after so many seconds.
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    wait_timeout: Option<f64>,
    /// Print nothing but the ids, one a line.
    #[arg(long, conflicts_with = "json")]
    parsable: bool,
    /// Program and arguments.
    #[arg(last = true)]
    command: Vec<String>,
}

/// Submits, and waits if that is wanted.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = Client::new(&arguments.server)?;
    let tasks = tasks(arguments)?;
    let mut sent = Vec::new();
    for chunk in tasks.chunks(CHUNK) {
        // A single request can say what became of it; many are counted.
        let wait = if tasks.len() <= CHUNK { "&wait=applied" } else { "" };
        let path = format!("/v1/tasks?pool={}{wait}", encode(&arguments.pool.pool));
        let answer = parse(&client.raw_post(&path, &json!({ "tasks": chunk }))?)?;
        show_warnings(&answer);
        sent.extend(answer.get("tasks").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    show(arguments, &sent)?;
    if arguments.wait { await_end(arguments, &client, &sent) } else { Ok(()) }
}

fn show(arguments: &Arguments, sent: &[Value]) -> Outcome {
    if arguments.json.json {
        return json(&json!({ "tasks": sent }));
    }
    if arguments.parsable {
        return sent.iter().try_for_each(|task| line(&text(task, "id")));
    }
    match sent {
        [one] => line(&format!("{}/{} {}", text(one, "pool"), text(one, "id"), text(one, "outcome"))),
        many => line(&format!("{} tasks submitted to {}", many.len(), arguments.pool.pool)),
    }
}

fn await_end(arguments: &Arguments, client: &Client, sent: &[Value]) -> Outcome {
    let ids: Vec<String> = sent.iter().map(|task| text(task, "id")).collect();
    let deadline = wait::deadline(arguments.wait_timeout);
    let ended = wait::tasks(client, &arguments.pool.pool, &ids, deadline)?;
    let bad: Vec<&Value> = ended.iter().filter(|task| text(task, "state") != "COMPLETED").collect();
    for task in bad.iter().take(10) {
        say(&format!("{} {}: {}", text(task, "id"), text(task, "state"), text(task, "reason")));
    }
    if bad.is_empty() {
        say(&format!("all {} completed", ended.len()));
        return Ok(());
    }
    Err(Failure::Incomplete(format!("{} of {} tasks did not complete", bad.len(), ended.len())))
}

fn tasks(arguments: &Arguments) -> Result<Vec<Value>, Failure> {
    let template = template(arguments)?;
    if let Some(path) = &arguments.file {
        return from_jsonl(&read(path)?, &template).map_err(Failure::Usage);
    }
    if let Some(path) = &arguments.each_line {
        return from_lines(&read(path)?, &template).map_err(Failure::Usage);
    }
    if template.command.is_empty() && template.payload.is_none() && !std::io::stdin().is_terminal() {
        return from_jsonl(&read(Path::new("-"))?, &template).map_err(Failure::Usage);
    }
    if template.command.is_empty() && template.payload.is_none() {
        let help = "nothing to submit: give `-- COMMAND`, --each-line FILE, --file FILE, or tasks on stdin";
        return Err(Failure::Usage(help.to_owned()));
    }
    Ok(vec![template.task(&template.command)])
}

fn template(arguments: &Arguments) -> Result<Template, Failure> {
    let payload = match &arguments.payload {
        None => None,
        Some(text) => Some(
            serde_json::from_str(text)
                .map_err(|error| Failure::Usage(format!("--payload is not JSON: {error}")))?,
        ),
    };
    let pairs = |flag: &str, list: &[String]| {
        list.iter().map(|text| worker::pair(flag, text)).collect::<Result<Vec<_>, _>>()
    };
    if arguments.timeout.is_some_and(|seconds| !(seconds > 0.0 && seconds < 1e9)) {
        return Err(Failure::Usage("--timeout: must be a positive number of seconds".to_owned()));
    }
    Ok(Template {
        id: arguments.id.clone(),
        job: arguments.job.clone(),
        queue: arguments.queue.clone(),
        priority: arguments.priority,
        tags: pairs("--tag", &arguments.tag)?,
        env: pairs("--env", &arguments.env)?,
        cwd: arguments.cwd.clone(),
        timeout_seconds: arguments.timeout,
        retries: arguments.retries,
        payload,
        command: arguments.command.clone(),
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
