//! The tables of the whole grid: pools and processors.

use super::rates::{Rates, Time};
use super::shapes::{Grid, Pool, Processor, Slots};
use super::sheet::{Cell, Column, Ink, Row, Sheet, ink_of};
use super::words::{Glyphs, count, span};

/// Under which its figures of before are found.
pub(super) fn pool_rate(pool: &str) -> String {
    format!("pool {pool}")
}

/// Under which its figures of before are found.
pub(super) fn processor_rate(processor: &Processor) -> String {
    format!("processor {} {}", processor.partition, processor.url)
}

/// How long something will take, at the rate of the last minute.
pub(super) fn time_cell(time: Option<Time>) -> Cell {
    match time {
        None | Some(Time::Unknown) => Cell::unknown(),
        Some(Time::None) => Cell::number(0, |_| Time::None.word()),
        Some(Time::Ms(ms)) => Cell::number(ms, span),
        Some(Time::Stands) => Cell::text(&Time::Stands.word()).ink(Ink::Warn).weighs(u64::MAX),
    }
}

/// How many of the slots are used.
pub(super) fn slots_cell(open: u64, slots: u64, glyphs: Glyphs) -> Cell {
    let text = format!("{} {open:>3}/{slots}", glyphs.bar(open, slots, 6));
    let ink = if slots == 0 {
        Ink::Dim
    } else if open >= slots {
        Ink::Busy
    } else {
        Ink::Good
    };
    Cell::text(&text).ink(ink).weighs(open)
}

/// All pools: those in which most waits first.
pub(super) fn pools(grid: &Grid, rates: &Rates, glyphs: Glyphs) -> Sheet {
    let columns = vec![
        Column::text("POOL", 0),
        Column::number("WAITING", 0),
        Column::number("RUNNING", 0),
        Column::number("FAILED", 2),
        Column::number("ENDED", 4),
        Column::number("IN/S", 3),
        Column::number("OUT/S", 1),
        Column::number("WAIT~", 1),
        Column::bar("SLOTS", 1),
        Column::text("WORKERS", 5),
    ];
    let mut found: Vec<&Pool> = grid.pools.rows.iter().collect();
    found.sort_by_key(|pool| {
        let numbers = &pool.numbers;
        (std::cmp::Reverse((numbers.waiting(), numbers.running())), pool.pool.clone())
    });
    let row = |pool: &Pool| {
        let (numbers, flow) = (&pool.numbers, rates.flow(&pool_rate(&pool.pool)));
        let slots = pool.slots;
        let cells = vec![
            Cell::text(&pool.pool).ink(Ink::Strong),
            Cell::number(numbers.waiting(), count).ink_if(numbers.waiting() > 0, Ink::Warn),
            Cell::number(numbers.running(), count).ink_if(numbers.running() > 0, Ink::Good),
            Cell::number(numbers.failed(), count).ink_if(numbers.failed() > 0, Ink::Bad),
            Cell::number(numbers.ended(), count),
            Cell::rate(flow.map(|flow| flow.came)),
            Cell::rate(flow.map(|flow| flow.ended)),
            time_cell(flow.map(|flow| flow.wait(numbers))),
            slots.map_or_else(Cell::unknown, |sum| slots_cell(sum.open, sum.slots, glyphs)),
            slots.map_or_else(Cell::unknown, workers_cell),
        ];
        Row::new(&pool.pool, cells)
    };
    Sheet {
        columns,
        rows: found.into_iter().map(row).collect(),
        nothing: "no pool has had a task yet: `yardmaster submit -- echo hello` makes one".to_owned(),
        has_more: grid.pools.has_more,
    }
}

fn workers_cell(sum: Slots) -> Cell {
    let cell = |text: &str| Cell::text(text).weighs(sum.workers);
    match (sum.missing, sum.workers) {
        (0, 0) => cell("none").ink(Ink::Dim),
        (0, workers) => cell(&count(workers)),
        (missing, workers) => cell(&format!("{}, {missing} lost", count(workers))).ink(Ink::Bad),
    }
}

/// All processors: those that nobody serves first.
pub(super) fn processors(grid: &Grid, rates: &Rates) -> Sheet {
    let columns = vec![
        Column::number("PARTITION", 0),
        Column::text("STATE", 0),
        Column::text("INSTANCE", 2),
        Column::number("BATCH/S", 1),
        Column::number("COMMANDS/S", 1),
        Column::number("STATUS/S", 1),
        Column::number("BATCHES", 3),
    ];
    let mut found: Vec<&Processor> = grid.processors.iter().collect();
    found.sort_by_key(|one| (one.is_served, one.partition));
    let row = |one: &Processor| {
        let rate = rates.per_second(&processor_rate(one));
        let (state, ink) = match (one.is_served, one.url.is_empty()) {
            (true, _) => ("served", Ink::Good),
            (false, true) => ("moving", Ink::Bad),
            (false, false) => ("no answer", Ink::Bad),
        };
        let partition = u64::try_from(one.partition).unwrap_or_default();
        let cells = vec![
            Cell::number(partition, |number| number.to_string()).ink(Ink::Strong),
            Cell::text(state).ink(ink),
            Cell::text(one.url.trim_start_matches("http://")),
            Cell::rate(rate.map(|[batches, ..]| batches)),
            Cell::rate(rate.map(|[_, commands, _]| commands)),
            Cell::rate(rate.map(|[.., status]| status)),
            Cell::maybe(one.is_served.then_some(one.sequence), count),
        ];
        Row::new(&one.partition.to_string(), cells).in_state(state)
    };
    let rows = found.into_iter().map(row).collect();
    Sheet { columns, rows, nothing: "the server names no partition".to_owned(), has_more: false }
}

/// The ink of a state, for a cell.
pub(super) fn state_cell(state: &str) -> Cell {
    Cell::text(state).ink(ink_of(state))
}
