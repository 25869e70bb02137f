//! What a screen is about, in a few lines above its list.

use super::super::table::moment;
use super::model::Model;
use super::paint::{Fact, Paint};
use super::rates::Flow;
use super::shapes::{Grid, Head, Job, Lately, Numbers, Seen, Slots, Stats, TaskDetail, Worker};
use super::sheet::{Ink, ink_of};
use super::sheet_grid::pool_rate;
use super::sheet_pool::{job_rate, progress_ink, queue_rate};
use super::sheet_tasks::{json_words, ran, waited};
use super::words::{count, percent, rate, span};

/// The lines; none while nothing is known.
pub(super) fn head(model: &Model, paint: &Paint) -> Vec<Vec<Fact>> {
    let place = &model.here().place;
    let pool = place.pool().unwrap_or_default();
    let name = place.of();
    let mut lines = match &model.here().listing().seen {
        None => Vec::new(),
        Some(Seen::Grid(seen)) => grid(model, seen, paint),
        Some(Seen::Pool(Head::Pool(stats, last), _)) => {
            let flow = model.rates.flow(&pool_rate(pool));
            vec![numbers(&stats.numbers, flow), lately(last), workers(stats, paint)]
        }
        Some(Seen::Pool(Head::Queue(seen, last), _)) => {
            vec![numbers(seen, model.rates.flow(&queue_rate(pool, name))), lately(last)]
        }
        Some(Seen::Pool(Head::Job(seen), _)) => {
            job(seen, model.rates.flow(&job_rate(pool, name)), model.now_ms, paint)
        }
        Some(Seen::Pool(Head::Worker(seen), _)) => worker(seen, model.now_ms, paint),
        Some(Seen::Task(seen)) => task(seen, model.now_ms),
    };
    lines.retain(|facts| facts.iter().any(|(_, value, _)| !value.is_empty()));
    lines
}

fn ink_if(number: u64, ink: Ink) -> Ink {
    if number > 0 { ink } else { Ink::Dim }
}

/// Tasks of anything.
fn numbers(numbers: &Numbers, flow: Option<Flow>) -> Vec<Fact> {
    vec![
        ("waiting", count(numbers.waiting()), ink_if(numbers.waiting(), Ink::Warn)),
        ("running", count(numbers.running()), ink_if(numbers.running(), Ink::Good)),
        ("failed", count(numbers.failed()), ink_if(numbers.failed(), Ink::Bad)),
        ("in/s", flow.map(|flow| rate(flow.came)).unwrap_or_default(), Ink::Plain),
        ("out/s", flow.map(|flow| rate(flow.ended)).unwrap_or_default(), Ink::Plain),
        ("wait~", flow.map(|flow| flow.wait(numbers).word()).unwrap_or_default(), Ink::Plain),
        ("ended", count(numbers.ended()), Ink::Plain),
    ]
}

/// How long tasks waited for a worker and ran, of those that did so in the last minute.
fn lately(lately: &Lately) -> Vec<Fact> {
    let shown = |ms: Option<u64>| ms.map(span).unwrap_or_default();
    let (wait, run) = (&lately.queue_wait, &lately.run_time);
    let ran = if wait.p50_ms.is_some() { "ran p50" } else { "last minute: ran p50" };
    vec![
        ("last minute: waited p50", shown(wait.p50_ms), Ink::Plain),
        ("p99", shown(wait.p99_ms), Ink::Plain),
        ("max", shown(wait.max_ms), Ink::Plain),
        (ran, shown(run.p50_ms), Ink::Plain),
        ("p99", shown(run.p99_ms), Ink::Plain),
        ("max", shown(run.max_ms), Ink::Plain),
    ]
}

fn slots(open: u64, slots: u64, paint: &Paint) -> String {
    format!("{} {open}/{slots}", paint.glyphs.bar(open, slots, 10))
}

fn workers(stats: &Stats, paint: &Paint) -> Vec<Fact> {
    let worst = stats.workers.keys().any(|state| state == "LOST" || state == "SUSPECT");
    let states: Vec<String> =
        stats.workers.iter().map(|(state, number)| format!("{} {state}", count(*number))).collect();
    let states = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
    vec![
        ("slots", slots(stats.open, stats.slots, paint), Ink::Good),
        ("workers", states, if worst { Ink::Bad } else { Ink::Plain }),
    ]
}

fn grid(model: &Model, grid: &Grid, paint: &Paint) -> Vec<Vec<Fact>> {
    let (mut all, mut sum) = (Numbers::default(), Slots::default());
    let mut flow: Option<Flow> = None;
    for pool in &grid.pools.rows {
        all.add(&pool.numbers);
        sum.add(pool.slots.unwrap_or_default());
        if let Some(one) = model.rates.flow(&pool_rate(&pool.pool)) {
            flow = Some(flow.unwrap_or_default().and(one));
        }
    }
    let moving = grid.processors.iter().filter(|one| one.url.is_empty()).count();
    let served = grid.processors.len() - moving;
    let processors = if moving == 0 {
        format!("{served} served")
    } else {
        format!("{moving} of {} not served", grid.processors.len())
    };
    let silent = grid.silent.join(", ");
    let lost = if sum.missing > 0 { format!(", {} lost", count(sum.missing)) } else { String::new() };
    let second = vec![
        ("slots", slots(sum.open, sum.slots, paint), Ink::Good),
        (
            "workers",
            format!("{}{lost}", count(sum.workers)),
            if sum.missing > 0 { Ink::Bad } else { Ink::Plain },
        ),
        ("processors", processors, if moving == 0 { Ink::Plain } else { Ink::Bad }),
        ("no answer from", silent, Ink::Bad),
        ("instances", count(grid.instances as u64), Ink::Plain),
    ];
    let mut first = numbers(&all, flow);
    // What waits in one pool does not wait for what moves in another.
    first.retain(|(name, ..)| *name != "wait~");
    vec![first, second]
}

fn job(job: &Job, flow: Option<Flow>, now_ms: u64, paint: &Paint) -> Vec<Vec<Fact>> {
    let (ended, total) = (job.numbers.ended(), job.numbers.total);
    let state = if job.cancelled { "CANCELLED" } else { &job.state };
    let progress = format!(
        "{} {}  {} of {}",
        paint.glyphs.bar(ended, total, 24),
        percent(ended, total),
        count(ended),
        count(total)
    );
    let left = flow.filter(|_| job.numbers.live > 0).map(|flow| flow.rest(&job.numbers).word());
    let took = job.done_at_ms.map(|at| at.saturating_sub(job.created_at_ms));
    let first = vec![
        ("", state.to_owned(), ink_of(state)),
        ("", progress, progress_ink(job)),
        ("left~", left.unwrap_or_default(), Ink::Plain),
        ("took", took.map(span).unwrap_or_default(), Ink::Plain),
        (
            "age",
            if took.is_none() { span(now_ms.saturating_sub(job.created_at_ms)) } else { String::new() },
            Ink::Plain,
        ),
    ];
    vec![first, numbers(&job.numbers, flow)]
}

fn worker(worker: &Worker, now_ms: u64, paint: &Paint) -> Vec<Vec<Fact>> {
    let labels: Vec<String> = worker.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let seen = worker.seen_at_ms.map(|at| format!("{} ago", span(now_ms.saturating_sub(at))));
    vec![
        vec![
            ("", worker.state.clone(), ink_of(&worker.state)),
            (
                "",
                if worker.drained_by_operator { "drained by an operator" } else { "" }.to_owned(),
                Ink::Warn,
            ),
            ("slots", slots(worker.open, worker.slots, paint), Ink::Good),
            ("seen", seen.unwrap_or_default(), Ink::Plain),
            ("up", span(now_ms.saturating_sub(worker.hello_at_ms)), Ink::Plain),
        ],
        vec![("labels", labels.join(" "), Ink::Plain)],
    ]
}

fn task(detail: &TaskDetail, now_ms: u64) -> Vec<Vec<Fact>> {
    let task = &detail.task;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let tags: Vec<String> = task.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let some = |number: u64| if number > 0 { count(number) } else { String::new() };
    let submitted = serde_json::json!({ "at_ms": task.submitted_at_ms });
    let submitted = if task.submitted_at_ms > 0 { moment(&submitted, "at_ms") } else { String::new() };
    let since = now_ms.saturating_sub(task.since_at_ms);
    vec![
        vec![
            ("", task.state.clone(), ink_of(&task.state)),
            (
                "for",
                if task.ended_at_ms.is_none() && task.since_at_ms > 0 { span(since) } else { String::new() },
                Ink::Plain,
            ),
            ("reason", task.reason.clone(), Ink::Plain),
            ("try", some(task.attempt), Ink::Plain),
            ("failures", some(task.failures), Ink::Bad),
            ("losses", some(task.losses), Ink::Bad),
            ("exit code", task.exit_code.map(|code| code.to_string()).unwrap_or_default(), Ink::Plain),
            ("worker", text(&task.worker), Ink::Plain),
        ],
        vec![
            ("queue", task.queue.clone(), Ink::Plain),
            ("job", text(&task.job), Ink::Plain),
            ("priority", task.priority.to_string(), Ink::Plain),
            ("tags", tags.join(" "), Ink::Plain),
        ],
        vec![
            ("submitted", submitted, Ink::Plain),
            ("waited", waited(task, now_ms).map(span).unwrap_or_default(), Ink::Plain),
            ("ran", ran(task, now_ms).map(span).unwrap_or_default(), Ink::Plain),
        ],
        vec![("command", task.command.join(" "), Ink::Plain)],
        vec![("note", text(&task.note), Ink::Warn)],
        vec![("progress", json_words(&task.progress), Ink::Busy)],
        vec![("result", json_words(&detail.result), Ink::Plain)],
    ]
}
