//! The tables of one pool: queues, jobs, workers.

use std::cmp::Reverse;

use super::rates::Rates;
use super::shapes::{Job, List, Queue, Worker};
use super::sheet::{Cell, Column, Ink, Row, Sheet};
use super::sheet_grid::{slots_cell, state_cell, time_cell};
use super::words::{Glyphs, count, percent, span};

/// Under which its figures of before are found.
pub(super) fn queue_rate(pool: &str, queue: &str) -> String {
    format!("queue {pool} {queue}")
}

/// Under which its figures of before are found.
pub(super) fn job_rate(pool: &str, job: &str) -> String {
    format!("job {pool} {job}")
}

/// Queues: those in which most waits first.
pub(super) fn queues(pool: &str, list: &List<Queue>, rates: &Rates) -> Sheet {
    let columns = vec![
        Column::text("QUEUE", 0),
        Column::number("WAITING", 0),
        Column::number("RUNNING", 0),
        Column::number("FAILED", 2),
        Column::number("ENDED", 3),
        Column::number("IN/S", 2),
        Column::number("OUT/S", 1),
        Column::number("WAIT~", 1),
        Column::number("TOTAL", 4),
    ];
    let mut found: Vec<&Queue> = list.rows.iter().collect();
    found.sort_by_key(|queue| Reverse((queue.numbers.waiting(), queue.numbers.running())));
    let row = |queue: &Queue| {
        let (numbers, flow) = (&queue.numbers, rates.flow(&queue_rate(pool, &queue.queue)));
        let cells = vec![
            Cell::text(&queue.queue).ink(Ink::Strong),
            Cell::number(numbers.waiting(), count).ink_if(numbers.waiting() > 0, Ink::Warn),
            Cell::number(numbers.running(), count).ink_if(numbers.running() > 0, Ink::Good),
            Cell::number(numbers.failed(), count).ink_if(numbers.failed() > 0, Ink::Bad),
            Cell::number(numbers.ended(), count),
            Cell::rate(flow.map(|flow| flow.came)),
            Cell::rate(flow.map(|flow| flow.ended)),
            time_cell(flow.map(|flow| flow.wait(numbers))),
            Cell::number(numbers.total, count),
        ];
        Row::new(&queue.queue, cells)
    };
    let rows = found.into_iter().map(row).collect();
    Sheet { columns, rows, nothing: "no queue has had a task yet".to_owned(), has_more: list.has_more }
}

/// Jobs: active ones first, then the newest.
pub(super) fn jobs(pool: &str, list: &List<Job>, rates: &Rates, now_ms: u64, glyphs: Glyphs) -> Sheet {
    let columns = vec![
        Column::text("JOB", 0),
        Column::text("STATE", 1),
        Column::bar("PROGRESS", 0),
        Column::number("TOTAL", 0),
        Column::number("WAITING", 3),
        Column::number("RUNNING", 1),
        Column::number("FAILED", 1),
        Column::number("OUT/S", 2),
        Column::number("LEFT~", 1),
        Column::number("AGE", 3),
    ];
    let mut found: Vec<&Job> = list.rows.iter().collect();
    found.sort_by_key(|job| (job.state != "ACTIVE", Reverse(job.created_at_ms)));
    let row = |job: &Job| {
        let (numbers, flow) = (&job.numbers, rates.flow(&job_rate(pool, &job.job)));
        let ended = numbers.ended();
        let progress =
            format!("{} {:>4}", glyphs.bar(ended, numbers.total, 10), percent(ended, numbers.total));
        let state =
            if job.cancelled { Cell::text("CANCELLED").ink(Ink::Dim) } else { state_cell(&job.state) };
        let cells = vec![
            Cell::text(&job.job).ink(Ink::Strong),
            state,
            Cell::text(&progress).ink(progress_ink(job)).weighs(ended * 1_000 / numbers.total.max(1)),
            Cell::number(numbers.total, count),
            Cell::number(numbers.waiting(), count).ink_if(numbers.waiting() > 0, Ink::Warn),
            Cell::number(numbers.running(), count).ink_if(numbers.running() > 0, Ink::Good),
            Cell::number(numbers.failed(), count).ink_if(numbers.failed() > 0, Ink::Bad),
            Cell::rate(flow.map(|flow| flow.ended)),
            time_cell(flow.map(|flow| flow.rest(numbers))),
            Cell::number(now_ms.saturating_sub(job.created_at_ms), span),
        ];
        Row::new(&job.job, cells).in_state(&job.state)
    };
    let rows = found.into_iter().map(row).collect();
    Sheet { columns, rows, nothing: "no job here".to_owned(), has_more: list.has_more }
}

/// Red as soon as one of its tasks failed.
pub(super) fn progress_ink(job: &Job) -> Ink {
    if job.numbers.failed() > 0 {
        Ink::Bad
    } else if job.numbers.live == 0 {
        Ink::Dim
    } else {
        Ink::Good
    }
}

/// Workers: those that need a look first.
pub(super) fn workers(list: &List<Worker>, now_ms: u64, glyphs: Glyphs) -> Sheet {
    let columns = vec![
        Column::text("WORKER", 0),
        Column::text("STATE", 0),
        Column::bar("SLOTS", 0),
        Column::number("SEEN", 1),
        Column::number("UP", 2),
        Column::text("DRAINED", 1),
        Column::text("LABELS", 2),
    ];
    let need = |state: &str| match state {
        "LOST" => 0,
        "SUSPECT" => 1,
        "GONE" => 3,
        _ => 2,
    };
    let mut found: Vec<&Worker> = list.rows.iter().collect();
    found.sort_by_key(|worker| (need(&worker.state), worker.worker.len(), worker.worker.clone()));
    let row = |worker: &Worker| {
        let seen = worker.seen_at_ms.map(|at| now_ms.saturating_sub(at));
        let labels: Vec<String> =
            worker.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cells = vec![
            Cell::text(&worker.worker).ink(Ink::Strong),
            state_cell(&worker.state),
            slots_cell(worker.open, worker.slots, glyphs),
            Cell::maybe(seen, |ms| format!("{} ago", span(ms))),
            Cell::number(now_ms.saturating_sub(worker.hello_at_ms), span),
            Cell::text(if worker.drained_by_operator { "yes" } else { "" }).ink(Ink::Warn),
            Cell::text(&labels.join(" ")),
        ];
        let drained = if worker.drained_by_operator { "DRAINED" } else { &worker.state };
        Row::new(&worker.worker, cells).in_state(drained)
    };
    let rows = found.into_iter().map(row).collect();
    let nothing = "no worker here: `yardmaster worker` starts one".to_owned();
    Sheet { columns, rows, nothing, has_more: list.has_more }
}
