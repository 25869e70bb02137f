//! What the demo tells when its job is done.

use std::time::Duration;

use serde_json::Value;

use super::PATHS;
use crate::cli::children::Place;
use crate::cli::client::{Client, encode};
use crate::cli::failure::Failure;
use crate::cli::job::fetch_results;
use crate::cli::output::line;
use crate::cli::table::text;

/// How many attempts are looked at one by one.
const SAMPLE: usize = 100;

/// Prints states, times and the checked result; says whether it is right.
pub(crate) fn show(
    client: &Client,
    pool: &str,
    job: &str,
    count: u32,
    spent: Duration,
) -> Result<bool, Failure> {
    let row = client.get(&format!("/v1/pools/{pool}/jobs/{job}"))?;
    let tasks = client.list(&format!("/v1/pools/{pool}/tasks?job={}", encode(job)), "tasks", 1_000_000)?;
    let checked = super::check::check(&fetch_results(client, pool, job)?, PATHS);
    let rate = f64::from(count) / spent.as_secs_f64().max(1e-9);
    line("")?;
    line(&format!("states      {}", text(&row, "counts")))?;
    line(&format!("wait        {}", spread(&tasks, "submitted_at_ms", "started_at_ms")))?;
    line(&format!("run         {}", spread(&sample(client, pool, &tasks)?, "started_at_ms", "ended_at_ms")))?;
    line(&format!("throughput  {rate:.0} tasks/s: {count} tasks in {:.1} s", spent.as_secs_f64()))?;
    let is_right = checked.is_right(count);
    let verdict = if is_right { "right" } else { "WRONG" };
    line(&format!(
        "result      {verdict}: {:.4} ± {:.4} by {} tasks, {:.4} by Black and Scholes; {} of {} computed again, equal in every bit",
        checked.mean, checked.error, checked.results, checked.exact, checked.equal, checked.sampled,
    ))?;
    Ok(is_right)
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
    let base = if url == "http://127.0.0.1:9733" { exe } else { format!("YARDMASTER_URL={url} {exe}") };
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

/// The median, the 99th of a hundred, and the largest of the times between two moments.
fn spread(tasks: &[Value], from: &str, to: &str) -> String {
    let at = |task: &Value, field: &str| task.get(field).and_then(Value::as_u64);
    let mut times: Vec<u64> =
        tasks.iter().filter_map(|task| Some(at(task, to)?.saturating_sub(at(task, from)?))).collect();
    times.sort_unstable();
    let part = |hundredth: usize| times.get((times.len().saturating_sub(1)) * hundredth / 100).copied();
    match (part(50), part(99), part(100)) {
        (Some(median), Some(high), Some(most)) => {
            format!("median {median} ms, p99 {high} ms, most {most} ms")
        }
        _nothing => "not known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_between_two_moments() {
        let tasks: Vec<Value> = (0..=100).map(|n| json!({"a": 10, "b": 10 + n})).collect();
        assert_eq!(spread(&tasks, "a", "b"), "median 50 ms, p99 99 ms, most 100 ms");
        assert_eq!(spread(&[json!({"a": 1})], "a", "b"), "not known");
    }
}
