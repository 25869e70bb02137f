//! Waiting for a server, for jobs and for tasks.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::{Client, encode, parse, problem};
use super::failure::{Failure, Outcome};
use super::patience::Patience;
use super::progress::Progress;
use super::table::text;

const POLL_INTERVAL: Duration = Duration::from_millis(250);
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// Tasks that are looked at between two pauses: the rest waits its turn, so that a long list is no load on the server.
const LOOKS_AT_ONCE: usize = 500;

/// The states that end a task.
pub(crate) const TERMINAL: [&str; 5] = ["COMPLETED", "FAILED", "CANCELLED", "EXPIRED", "ABORTED"];

/// Until `/readyz` says yes, or until it can't any more.
pub(crate) fn until_ready(url: &str, has_ended: impl Fn() -> bool) -> Outcome {
    let ended = || Failure::Incomplete("the server ended before it was ready".to_owned());
    until_ready_or(url, || has_ended().then(ended))
}

/// The same, where there are several reasons to give up.
pub(crate) fn until_ready_or(url: &str, hindrance: impl Fn() -> Option<Failure>) -> Outcome {
    let client = Client::at(url);
    let deadline = Instant::now() + READY_TIMEOUT;
    while !client.raw_get("/readyz").is_ok_and(|answer| answer.status == 200) {
        if let Some(failure) = hindrance() {
            return Err(failure);
        }
        if Instant::now() >= deadline {
            return Err(Failure::TimedOut("the server was not ready within 2 minutes".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Until no task of the job is live and it has had `at_least` so many. Returns the server's last word about it.
pub(crate) fn job(
    client: &Client,
    pool: &str,
    job: &str,
    at_least: u64,
    deadline: Option<Instant>,
) -> Result<String, Failure> {
    let path = format!("/v1/pools/{}/jobs/{}", encode(pool), encode(job));
    let mut progress = Progress::new(at_least.max(1));
    let mut patience = Patience::until(deadline);
    loop {
        match patience.weigh(client.raw_get(&path))? {
            // The submission may not have been applied yet.
            Some(answer) if answer.status == 404 && at_least > 0 => patience.bear(problem(&answer))?,
            Some(answer) => {
                let row = parse(&answer)?;
                let number = |field: &str| row.get(field).and_then(Value::as_u64).unwrap_or(0);
                progress.show(number("ended"), number("total").max(at_least), &text(&row, "counts"));
                if number("live") == 0 && number("total") >= at_least {
                    return Ok(answer.body);
                }
            }
            None => {}
        }
        pause(deadline)?;
    }
}

/// A task whose end is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    pub(crate) pool: String,
    pub(crate) id: String,
    /// Where its submit stands: until that is applied, nobody knows the task.
    pub(crate) position: Option<Rc<str>>,
}

/// A task that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) pool: String,
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    /// Everything about it, as the server tells it; empty unless it is to be kept.
    pub(crate) body: String,
}

impl Ended {
    pub(crate) fn is_completed(&self) -> bool {
        self.state == "COMPLETED"
    }
}

/// Until every one of these tasks is terminal. Returns them in their order, as they are then.
pub(crate) fn tasks(
    client: &Client,
    awaited: Vec<Awaited>,
    deadline: Option<Instant>,
    is_body_kept: bool,
) -> Result<Vec<Ended>, Failure> {
    let total = awaited.len() as u64;
    let mut progress = Progress::new(total);
    let mut patience = Patience::until(deadline);
    let mut open: VecDeque<(usize, Awaited)> = awaited.into_iter().enumerate().collect();
    let mut ended: Vec<(usize, Ended)> = Vec::new();
    while !open.is_empty() {
        let before = ended.len();
        for _ in 0..open.len().min(LOOKS_AT_ONCE) {
            let Some((at, task)) = open.pop_front() else {
                break;
            };
            match look(client, &task, &mut patience)? {
                Look::Ended(found) => {
                    let body = if is_body_kept { found.body } else { String::new() };
                    ended.push((at, Ended { body, ..found }));
                }
                Look::Live => open.push_back((at, task)),
                Look::Silent => {
                    open.push_front((at, task));
                    break;
                }
            }
        }
        progress.show(ended.len() as u64, total, "ended");
        if ended.len() == before {
            pause(deadline)?;
        }
    }
    ended.sort_by_key(|(at, _)| *at);
    Ok(ended.into_iter().map(|(_, task)| task).collect())
}

enum Look {
    Ended(Ended),
    Live,
    /// No answer that says anything.
    Silent,
}

fn look(client: &Client, task: &Awaited, patience: &mut Patience) -> Result<Look, Failure> {
    let position = task.position.as_ref().map(|at| format!("?min_position={at}")).unwrap_or_default();
    let path = format!("/v1/pools/{}/tasks/{}{position}", encode(&task.pool), encode(&task.id));
    let Some(answer) = patience.weigh(client.raw_get(&path))? else {
        return Ok(Look::Silent);
    };
    if answer.status == 404 && task.position.is_some() {
        patience.bear(problem(&answer))?;
        return Ok(Look::Silent);
    }
    let row = parse(&answer)?;
    let state = text(&row, "state");
    if !TERMINAL.contains(&state.as_str()) {
        return Ok(Look::Live);
    }
    let (pool, id, reason) = (task.pool.clone(), task.id.clone(), text(&row, "reason"));
    Ok(Look::Ended(Ended { pool, id, state, reason, body: answer.body }))
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
pub(crate) fn deadline(wait: Option<Duration>) -> Option<Instant> {
    wait.and_then(|wait| Instant::now().checked_add(wait))
}

/// A length of time in seconds, from the command line.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: Option<f64> = text.trim().parse().ok();
    let wait = number.filter(|seconds| *seconds > 0.0 && *seconds <= 1e9).map(Duration::from_secs_f64);
    wait.ok_or_else(|| "must be a number of seconds above 0: 90, or 0.5".to_owned())
}

fn pause(deadline: Option<Instant>) -> Outcome {
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(Failure::TimedOut("the wait is over, and not everything has ended".to_owned()));
    }
    std::thread::sleep(POLL_INTERVAL);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_positive_number() {
        assert_eq!(seconds("1.5").unwrap(), Duration::from_millis(1_500));
        for bad in ["-1", "0", "NaN", "inf", "1e300", "soon", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
