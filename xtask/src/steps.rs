//! Steps in a row: a heading before each, its duration after it, a stop at the first that fails, a summary at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// A name and what to do.
pub(crate) struct Step {
    /// The heading.
    pub(crate) name: &'static str,
    /// The work; its error ends the row.
    pub(crate) work: fn() -> Result<()>,
}

/// Runs the steps in order.
pub(crate) fn run_steps(steps: &[Step]) -> Result<()> {
    let started = Instant::now();
    let mut lines = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        eprintln!("\n=== {}/{} {} ===", index + 1, steps.len(), step.name);
        let step_started = Instant::now();
        let outcome = (step.work)();
        let took = shown(step_started.elapsed());
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        lines.push(format!("  {word:<6} {:<44} {took}", step.name));
        if let Err(error) = outcome {
            let left = steps.len() - lines.len();
            summarise(&lines, left, started.elapsed());
            return Err(anyhow!("step \"{}\" failed: {error:#}", step.name));
        }
    }
    summarise(&lines, 0, started.elapsed());
    Ok(())
}

fn summarise(lines: &[String], left: usize, took: Duration) {
    let not_run = if left == 0 { String::new() } else { format!(", {left} steps not run") };
    eprintln!("\n=== summary ({}{not_run}) ===\n{}", shown(took), lines.join("\n"));
}

fn shown(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds < 60 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}
