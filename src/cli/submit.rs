//! `yardmaster submit`: from words on the command line, a file of lines, a file of tasks, or stdin.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, ServerArgs};
use super::failure::{Failure, Outcome};
use super::output::{json, line, raw_rows, say};
use super::submit_send::{Sent, send};
use super::submit_tasks::{Draft, Template, from_jsonl, from_lines};
use super::table::{clean, text};
use super::{JsonArg, PoolArg, pairs, wait};

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
    #[arg(long, value_name = "SECONDS", value_parser = wait::seconds, allow_negative_numbers = true)]
    timeout: Option<Duration>,
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
    #[arg(long, value_name = "SECONDS", requires = "wait", value_parser = wait::seconds, allow_negative_numbers = true)]
    wait_timeout: Option<Duration>,
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
    let drafts = tasks(arguments)?;
    client.greet()?;
    let mut sent = send(&client, &drafts);
    let broken = sent.broken.take();
    // With --wait and --json it is the end that is printed, unless there is nothing to wait for.
    if broken.is_some() || !(arguments.wait && arguments.json.json) {
        show(arguments, &sent, drafts.len(), broken.is_some())?;
    }
    if let Some(failure) = broken {
        return Err(failure);
    }
    let refused = sent.refused.take();
    if arguments.wait {
        let ended = await_end(arguments, &client, sent);
        return refused.map_or(ended, Err);
    }
    refused.map_or(Ok(()), Err)
}

fn show(arguments: &Arguments, sent: &Sent, wanted: usize, is_broken: bool) -> Outcome {
    let tasks = &sent.tasks;
    if arguments.json.json {
        return json(&json!({ "tasks": tasks }));
    }
    if arguments.parsable {
        return tasks.iter().try_for_each(|task| line(&text(task, "id")));
    }
    let one = |task: &Value| {
        let (pool, id, outcome) = (text(task, "pool"), text(task, "id"), text(task, "outcome"));
        // One that has ended already is what the person should see: it won't run.
        let state = Some(text(task, "state")).filter(|state| wait::TERMINAL.contains(&state.as_str()));
        let state = state.map(|state| format!(", {state} already")).unwrap_or_default();
        line(&clean(&format!("{pool}/{id} {outcome}{state}")))
    };
    // Who has to look after them needs every id.
    if is_broken || tasks.len() == 1 {
        tasks.iter().try_for_each(one)?;
    }
    if is_broken {
        say(&format!(
            "{} of {wanted} tasks were sent, as listed; the same ids again are harmless",
            tasks.len()
        ));
        return Ok(());
    }
    if tasks.len() > 1 {
        let counts: Vec<String> = ["accepted", "repeated", "refused", "undecided"]
            .into_iter()
            .map(|outcome| (outcome, sent.count(outcome)))
            .filter(|(_, count)| *count > 0)
            .map(|(outcome, count)| format!("{count} {outcome}"))
            .collect();
        line(&format!("{} tasks: {}", tasks.len(), counts.join(", ")))?;
    }
    Ok(())
}

fn await_end(arguments: &Arguments, client: &Client, sent: Sent) -> Outcome {
    let (deadline, is_json) = (wait::deadline(arguments.wait_timeout), arguments.json.json);
    let ended = wait::tasks(client, sent.taken, deadline, is_json)?;
    if is_json {
        raw_rows("tasks", ended.iter().map(|task| task.body.as_str()))?;
    }
    let bad: Vec<&wait::Ended> = ended.iter().filter(|task| !task.is_completed()).collect();
    for task in bad.iter().take(10) {
        say(&format!("{}/{} {}: {}", task.pool, task.id, task.state, task.reason));
    }
    if bad.len() > 10 {
        say(&format!("and {} more", bad.len() - 10));
    }
    if bad.is_empty() {
        if !ended.is_empty() {
            say(&format!("all {} completed", ended.len()));
        }
        return Ok(());
    }
    Err(Failure::Incomplete(format!("{} of {} tasks did not complete", bad.len(), ended.len())))
}

fn tasks(arguments: &Arguments) -> Result<Vec<Draft>, Failure> {
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
    Ok(Template {
        pool: arguments.pool.pool.clone(),
        id: arguments.id.clone(),
        job: arguments.job.clone(),
        queue: arguments.queue.clone(),
        priority: arguments.priority,
        tags: pairs("--tag", &arguments.tag)?,
        env: pairs("--env", &arguments.env)?,
        cwd: arguments.cwd.clone(),
        timeout: arguments.timeout,
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
