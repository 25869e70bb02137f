//! `/bin/true` as a user runs it: a server, a worker with two slots, one job by `yardmaster submit`.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::grid::{Grid, until};
use super::ground::Ground;

const POOL: &str = "bench";
const SLOTS: u32 = 2;
const JOB_TIMEOUT: Duration = Duration::from_secs(300);
/// Between two looks at the job that is timed: an error of a hundredth at most, and no load.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Tasks per second from the submit's start to the job's end. Durable and exactly once, as always.
pub(crate) fn round(ground: &Ground, bootstrap: &str, round: u32, tasks: u32) -> Result<f64> {
    let mut grid = Grid::start(ground, bootstrap, &format!("processes-{round}"), 1)?;
    grid.add_worker("worker", &[format!("{POOL}={SLOTS}")])?;
    run_job(ground, &mut grid, "warm", (tasks / 10).max(1))?;
    let took = run_job(ground, &mut grid, "timed", tasks)?;
    Ok(f64::from(tasks) / took.as_secs_f64())
}

fn run_job(ground: &Ground, grid: &mut Grid<'_>, job: &str, tasks: u32) -> Result<Duration> {
    let lines = grid.directory().join(format!("{job}.txt"));
    let text: String = (0..tasks).map(|number| format!("{number}\n")).collect();
    fs::write(&lines, text).with_context(|| format!("could not write {}", lines.display()))?;
    let mut submit = ground.yardmaster("submit --each-line");
    submit.arg(&lines).args(["--url", &format!("http://{}", grid.http), "--pool", POOL, "--job", job]);
    submit.args(["--", "/bin/true"]).stdout(Stdio::null());
    let began = Instant::now();
    let status = submit.status().context("could not run `yardmaster submit`")?;
    if !status.success() {
        bail!("`yardmaster submit` failed ({status})");
    }
    let path = format!("/v1/pools/{POOL}/jobs/{job}");
    until("the end of the job", JOB_TIMEOUT, LOOK_INTERVAL, || {
        grid.check()?;
        grid.json(&path)?.map_or(Ok(false), |job| has_ended(&job, tasks))
    })?;
    Ok(began.elapsed())
}

/// Whether all have completed; a task that ended in another way is a failure.
fn has_ended(job: &Value, tasks: u32) -> Result<bool> {
    let completed = job.pointer("/counts/COMPLETED").and_then(Value::as_u64).unwrap_or_default();
    let is_done = job.get("live").and_then(Value::as_u64) == Some(0)
        && job.get("total").and_then(Value::as_u64) == Some(u64::from(tasks));
    if is_done && completed != u64::from(tasks) {
        bail!("{completed} of {tasks} tasks completed: {job}");
    }
    Ok(is_done)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::has_ended;

    #[test]
    fn a_job_has_ended_when_all_of_it_has_completed() {
        assert!(!has_ended(&json!({"live": 0, "total": 2, "counts": {"COMPLETED": 2}}), 3).unwrap());
        assert!(!has_ended(&json!({"live": 1, "total": 3, "counts": {"COMPLETED": 2}}), 3).unwrap());
        assert!(has_ended(&json!({"live": 0, "total": 3, "counts": {"COMPLETED": 3}}), 3).unwrap());
        assert!(
            has_ended(&json!({"live": 0, "total": 3, "counts": {"COMPLETED": 2, "FAILED": 1}}), 3).is_err()
        );
    }
}
