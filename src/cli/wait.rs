//! Waiting for a server, for jobs and for tasks, with a bar for a person.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::client::{Client, encode};
use super::failure::{Failure, Outcome};
use super::output::say;

const POLL_INTERVAL: Duration = Duration::from_millis(250);
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// The states that end a task.
pub(crate) const TERMINAL: [&str; 5] = ["COMPLETED", "FAILED", "CANCELLED", "EXPIRED", "ABORTED"];

/// Until `/readyz` says yes.
pub(crate) fn until_ready(url: &str, has_ended: impl Fn() -> bool) -> Outcome {
    let client = Client::at(url);
    let deadline = Instant::now() + READY_TIMEOUT;
    while !client.raw_get("/readyz").is_ok_and(|answer| answer.status == 200) {
        if has_ended() {
            return Err(Failure::Incomplete("the server ended before it was ready".to_owned()));
        }
        if Instant::now() >= deadline {
            return Err(Failure::TimedOut("the server was not ready within 2 minutes".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A bar on a terminal, plain lines now and then otherwise.
pub(crate) struct Progress {
    bar: ProgressBar,
    total: u64,
    said: u64,
}

impl Progress {
    pub(crate) fn new(total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, total, said: 0 }
    }

    pub(crate) fn show(&mut self, done: u64, total: u64, words: &str) {
        self.total = total.max(self.total);
        self.bar.set_length(self.total);
        self.bar.set_position(done);
        self.bar.set_message(words.to_owned());
        let tenth = (self.total / 10).max(1);
        if self.bar.is_hidden() && (done >= self.said + tenth || (done == self.total && done > self.said)) {
            self.said = done;
            say(&format!("{done}/{} {words}", self.total));
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Until no task of the job is live. Returns the job as it is then.
pub(crate) fn job(
    client: &Client,
    pool: &str,
    job: &str,
    at_least: u64,
    deadline: Option<Instant>,
) -> Result<Value, Failure> {
    let path = format!("/v1/pools/{pool}/jobs/{}", encode(job));
    let mut progress = Progress::new(at_least.max(1));
    loop {
        let answer = client.raw_get(&path)?;
        // The submission may not have been applied yet.
        let is_early = answer.status == 404 && at_least > 0;
        if !is_early {
            let row = super::client::parse(&answer)?;
            let number = |field: &str| row.get(field).and_then(Value::as_u64).unwrap_or(0);
            let words = super::table::text(&row, "counts");
            progress.show(number("ended"), number("total").max(at_least), &words);
            if number("live") == 0 && number("total") >= at_least {
                progress.finish();
                return Ok(row);
            }
        }
        pause(deadline)?;
    }
}

/// Until every one of these tasks is terminal. Returns them as they are then.
pub(crate) fn tasks(
    client: &Client,
    pool: &str,
    ids: &[String],
    deadline: Option<Instant>,
) -> Result<Vec<Value>, Failure> {
    let mut progress = Progress::new(ids.len() as u64);
    let mut ended = Vec::with_capacity(ids.len());
    for id in ids {
        let path = format!("/v1/pools/{pool}/tasks/{}", encode(id));
        loop {
            let task = client.get(&path)?;
            if TERMINAL.contains(&super::table::text(&task, "state").as_str()) {
                ended.push(task);
                break;
            }
            progress.show(ended.len() as u64, ids.len() as u64, &super::table::text(&task, "state"));
            pause(deadline)?;
        }
        progress.show(ended.len() as u64, ids.len() as u64, "");
    }
    progress.finish();
    Ok(ended)
}

/// Whether all went well.
pub(crate) fn judge(job: &Value) -> Outcome {
    let counts = job.get("counts").and_then(Value::as_object);
    let bad: u64 = counts
        .into_iter()
        .flatten()
        .filter(|(state, _)| state.as_str() != "COMPLETED")
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    if bad == 0 { Ok(()) } else { Err(Failure::Incomplete(format!("{bad} tasks did not complete"))) }
}

/// When to give up.
pub(crate) fn deadline(seconds: Option<f64>) -> Option<Instant> {
    seconds.and_then(|seconds| Instant::now().checked_add(Duration::try_from_secs_f64(seconds).ok()?))
}

fn pause(deadline: Option<Instant>) -> Outcome {
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(Failure::TimedOut("the wait is over, and not everything has ended".to_owned()));
    }
    std::thread::sleep(POLL_INTERVAL);
    Ok(())
}
