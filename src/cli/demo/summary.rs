//! What the demo tells when its job is done.

use std::time::Duration;

use serde_json::{Value, json};

use super::PATHS;
use super::check::Checked;
use crate::cli::children::Place;
use crate::cli::client::{Client, DEFAULT_URL, encode, values};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::job::each_result;
use crate::cli::output::{json, line};
use crate::cli::table::text;

/// How many attempts are looked at one by one.
const SAMPLE: usize = 100;

/// What came out.
#[derive(Debug)]
pub(crate) struct Summary {
    job: String,
    count: u32,
    spent: Duration,
    counts: Value,
    wait: Option<Spread>,
    run: Option<Spread>,
    checked: Checked,
}

impl Summary {
    /// Asks the server for states, times and results.
    pub(crate) fn gather(
        client: &Client,
        pool: &str,
        job: &str,
        count: u32,
        spent: Duration,
    ) -> Result<Self, Failure> {
        let row = client.get(&format!("/v1/pools/{pool}/jobs/{job}"))?;
        let path = format!("/v1/pools/{pool}/tasks?job={}", encode(job));
        let tasks = values(&client.list(&path, "tasks", 1_000_000)?);
        let mut results = Vec::new();
        each_result(client, pool, job, |text| {
            results.extend(serde_json::from_str::<Value>(text));
            Ok(())
        })?;
        Ok(Self {
            job: job.to_owned(),
            count,
            spent,
            counts: row.get("counts").cloned().unwrap_or_default(),
            wait: spread(&tasks, "submitted_at_ms", "started_at_ms"),
            run: spread(&sample(client, pool, &tasks)?, "started_at_ms", "ended_at_ms"),
            checked: super::check::check(&results, PATHS),
        })
    }

    /// Whether every result is there and as it must be.
    pub(crate) fn is_right(&self) -> bool {
        self.checked.is_right(self.count)
    }

    /// Prints it.
    pub(crate) fn show(&self, place: &Place, is_json: bool) -> Outcome {
        if is_json { json(&self.json(place)) } else { self.lines().iter().try_for_each(|text| line(text)) }
    }

    fn rate(&self) -> f64 {
        f64::from(self.count) / self.spent.as_secs_f64().max(1e-9)
    }

    fn lines(&self) -> Vec<String> {
        let Checked { results, mean, error, exact, sampled, equal } = &self.checked;
        let verdict = if self.is_right() { "right" } else { "WRONG" };
        let (rate, count, seconds) = (self.rate(), self.count, self.spent.as_secs_f64());
        let shown = |spread: &Option<Spread>| match spread {
            Some(Spread { median, p99, most }) => format!("median {median} ms, p99 {p99} ms, most {most} ms"),
            None => "not known".to_owned(),
        };
        vec![
            String::new(),
            format!("states      {}", text(&json!({"counts": self.counts}), "counts")),
            format!("wait        {}", shown(&self.wait)),
            format!("run         {}", shown(&self.run)),
            format!("throughput  {rate:.0} tasks/s: {count} tasks in {seconds:.1} s"),
            format!(
                "result      {verdict}: {mean:.4} ± {error:.4} by {results} tasks, {exact:.4} by Black and Scholes; \
                 {equal} of {sampled} computed again, equal in every bit"
            ),
        ]
    }

    fn json(&self, place: &Place) -> Value {
        let Checked { results, mean, error, exact, sampled, equal } = &self.checked;
        let shown = |spread: &Option<Spread>| {
            spread
                .as_ref()
                .map(|Spread { median, p99, most }| json!({"median": median, "p99": p99, "most": most}))
        };
        json!({
            "job": self.job,
            "tasks": self.count,
            "counts": self.counts,
            "wait_ms": shown(&self.wait),
            "run_ms": shown(&self.run),
            "seconds": self.spent.as_secs_f64(),
            "tasks_per_second": self.rate(),
            "result": {
                "is_right": self.is_right(), "results": results, "mean": mean, "error": error, "exact": exact,
                "computed_again": sampled, "equal_in_every_bit": equal,
            },
            "url": place.url(),
            "kafka": place.bootstrap,
            "namespace": place.namespace,
            "data": place.data.display().to_string(),
        })
    }
}

/// What the workers' own clocks say of some attempts: a server sees the start and the end of a short one at once.
fn sample(client: &Client, pool: &str, tasks: &[Value]) -> Result<Vec<Value>, Failure> {
    let step = (tasks.len() / SAMPLE).max(1);
    let mut reports = Vec::new();
    for task in tasks.iter().step_by(step) {
        let whole = client.get(&format!("/v1/pools/{pool}/tasks/{}", encode(&text(task, "id"))))?;
        let attempts = whole.get("attempts").and_then(Value::as_array);
        reports.extend(attempts.and_then(|attempts| attempts.last()?.get("report").cloned()));
    }
    Ok(reports)
}

/// Where to look and what to try.
pub(crate) fn hints(place: &Place, url: &str, job: &str) {
    let exe =
        std::env::current_exe().map_or_else(|_| "yardmaster".to_owned(), |path| path.display().to_string());
    let base = if url == DEFAULT_URL { exe } else { format!("YARDMASTER_URL={url} {exe}") };
    for text in [
        String::new(),
        format!("API         {url}/swagger"),
        format!("metrics     {url}/metrics"),
        format!("broker      {}", place.bootstrap),
        format!("data, logs  {}", place.data.display()),
        "try".to_owned(),
        format!("  {base} submit --wait -- echo hello"),
        format!("  {base} job show {job}"),
        format!("  {base} task show {job}/0"),
        format!("  {base} worker list"),
        format!("  {base} events --follow"),
    ] {
        crate::cli::output::say(&text);
    }
}

/// Milliseconds between two moments: the median, the 99th of a hundred, and the largest.
#[derive(Debug, PartialEq, Eq)]
struct Spread {
    median: u64,
    p99: u64,
    most: u64,
}

/// Of those tasks that have both moments.
fn spread(tasks: &[Value], from: &str, to: &str) -> Option<Spread> {
    let at = |task: &Value, field: &str| task.get(field).and_then(Value::as_u64);
    let mut times: Vec<u64> =
        tasks.iter().filter_map(|task| Some(at(task, to)?.saturating_sub(at(task, from)?))).collect();
    times.sort_unstable();
    let part = |hundredth: usize| times.get((times.len().saturating_sub(1)) * hundredth / 100).copied();
    Some(Spread { median: part(50)?, p99: part(99)?, most: part(100)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_between_two_moments() {
        let tasks: Vec<Value> = (0..=100).map(|n| json!({"a": 10, "b": 10 + n})).collect();
        assert_eq!(spread(&tasks, "a", "b"), Some(Spread { median: 50, p99: 99, most: 100 }));
        assert_eq!(spread(&[json!({"a": 1})], "a", "b"), None);
    }
}
