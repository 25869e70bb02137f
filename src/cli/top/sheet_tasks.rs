//! The tables of tasks: a list of them, and what happened to one.

use std::cmp::Reverse;

use serde_json::Value;

use super::shapes::{List, Moment, Task, TaskDetail};
use super::sheet::{Cell, Column, Ink, Row, Sheet, ink_of};
use super::sheet_grid::state_cell;
use super::words::{clock, span};

/// What matters first: what runs, what is stopped, what waits, what ended.
fn place_of(state: &str) -> u8 {
    match state {
        "CANCELLING" => 0,
        "RUNNING" => 1,
        "ASSIGNED" => 2,
        "QUEUED" => 3,
        "HELD" | "SCHEDULED" | "BLOCKED" => 4,
        _ => 5,
    }
}

/// How long it waited for its present or last attempt to start, or has waited so far.
pub(super) fn waited(task: &Task, now_ms: u64) -> Option<u64> {
    let until = task.started_at_ms.or(task.ended_at_ms).unwrap_or(now_ms);
    (task.submitted_at_ms > 0).then(|| until.saturating_sub(task.submitted_at_ms))
}

/// How long its present or last attempt has run.
pub(super) fn ran(task: &Task, now_ms: u64) -> Option<u64> {
    task.started_at_ms.map(|at| task.ended_at_ms.unwrap_or(now_ms).saturating_sub(at))
}

/// What a worker said on the way, in one line.
pub(super) fn json_words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Tasks: what runs first, the oldest of each state first, ended ones from the newest on.
pub(super) fn tasks(list: &List<Task>, now_ms: u64) -> Sheet {
    let columns = vec![
        Column::text("TASK", 0),
        Column::text("STATE", 0),
        Column::text("QUEUE", 4),
        Column::text("JOB", 3),
        Column::number("TRY", 1),
        Column::text("WORKER", 2),
        Column::number("WAITED", 1),
        Column::number("RAN", 1),
        Column::text("REASON", 1),
        Column::text("PROGRESS", 5),
    ];
    let mut found: Vec<&Task> = list.rows.iter().collect();
    found.sort_by_key(|task| {
        let newest_first = Reverse(task.ended_at_ms.unwrap_or_default());
        (place_of(&task.state), newest_first, task.submitted_at_ms)
    });
    let row = |task: &Task| {
        let tries = if task.failures + task.losses > 0 { Ink::Warn } else { Ink::Plain };
        let cells = vec![
            Cell::text(&task.id).ink(Ink::Strong),
            state_cell(&task.state),
            Cell::text(&task.queue),
            Cell::text(task.job.as_deref().unwrap_or_default()),
            Cell::number(task.attempt, |number| number.to_string()).ink_if(task.attempt > 0, tries),
            Cell::text(task.worker.as_deref().unwrap_or_default()),
            Cell::maybe(waited(task, now_ms), span),
            Cell::maybe(ran(task, now_ms), span),
            Cell::text(&task.reason).ink_if(ink_of(&task.state) == Ink::Bad, Ink::Bad),
            Cell::text(&json_words(&task.progress)),
        ];
        Row::new(&task.id, cells).in_state(&task.state)
    };
    let rows = found.into_iter().map(row).collect();
    Sheet { columns, rows, nothing: "no task here".to_owned(), has_more: list.has_more }
}

/// What happened to a task, oldest first.
pub(super) fn timeline(task: &TaskDetail) -> Sheet {
    let columns = vec![
        Column::text("AT (UTC)", 0),
        Column::number("AFTER", 1),
        Column::text("WHAT", 0),
        Column::number("TRY", 0),
        Column::text("WORKER", 0),
        Column::text("OUTCOME", 0),
        Column::text("REASON", 0),
    ];
    let mut before: Option<u64> = None;
    let rows = task.timeline.iter().enumerate().map(|(index, moment)| {
        let after = before.replace(moment.at_ms).map(|before| moment.at_ms.saturating_sub(before));
        Row::new(&index.to_string(), moment_cells(moment, after))
    });
    let rows = rows.collect();
    Sheet { columns, rows, nothing: "nothing is known about it".to_owned(), has_more: false }
}

fn moment_cells(moment: &Moment, after: Option<u64>) -> Vec<Cell> {
    let what = ink_of(&moment.what.to_uppercase());
    let outcome = moment.outcome.as_deref().unwrap_or_default();
    let is_bad = !matches!(outcome.to_ascii_uppercase().as_str(), "" | "SUCCEEDED" | "CANCELLED");
    vec![
        Cell::text(&clock(moment.at_ms)).weighs(moment.at_ms),
        after.map_or_else(Cell::default, |ms| Cell::number(ms, |ms| format!("+{}", span(ms))).ink(Ink::Dim)),
        Cell::text(&moment.what).ink(if what == Ink::Plain { Ink::Strong } else { what }),
        moment.attempt.map_or_else(Cell::default, |attempt| Cell::number(attempt, |n| n.to_string())),
        Cell::text(moment.worker.as_deref().unwrap_or_default()),
        Cell::text(outcome).ink_if(is_bad, Ink::Bad),
        Cell::text(moment.reason.as_deref().unwrap_or_default()).ink_if(is_bad, Ink::Bad),
    ]
}
