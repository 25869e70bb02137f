//! A table before it is drawn: columns, rows with names, cells with a meaning for the eye and an order for sorting.

use std::cmp::Ordering;

use super::super::table::clean;

/// What a text means to the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ink {
    /// As it is.
    #[default]
    Plain,
    /// Matters less.
    Dim,
    /// Matters more.
    Strong,
    /// Works.
    Good,
    /// On its way.
    Busy,
    /// Waits, or may need a look.
    Warn,
    /// Needs a look.
    Bad,
}

/// The ink of a task's, job's or worker's state.
pub(super) fn ink_of(state: &str) -> Ink {
    match state {
        "RUNNING" | "ACTIVE" => Ink::Good,
        "ASSIGNED" | "JOINING" => Ink::Busy,
        "QUEUED" | "CANCELLING" | "DRAINING" | "SUSPECT" => Ink::Warn,
        "FAILED" | "EXPIRED" | "ABORTED" | "LOST" => Ink::Bad,
        "BLOCKED" | "SCHEDULED" | "HELD" | "CANCELLED" | "GONE" | "DONE" => Ink::Dim,
        _ => Ink::Plain,
    }
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) head: &'static str,
    /// To the right, and the largest first when sorted.
    pub(super) is_number: bool,
    /// Shown whole or not at all: bars.
    pub(super) is_whole: bool,
    /// Where there is little room, those with the highest rank go first; 0 always stays.
    pub(super) rank: u8,
}

impl Column {
    /// Of words.
    pub(super) const fn text(head: &'static str, rank: u8) -> Self {
        Self { head, is_number: false, is_whole: false, rank }
    }

    /// Of bars.
    pub(super) const fn bar(head: &'static str, rank: u8) -> Self {
        Self { head, is_number: false, is_whole: true, rank }
    }

    /// Of numbers.
    pub(super) const fn number(head: &'static str, rank: u8) -> Self {
        Self { head, is_number: true, is_whole: true, rank }
    }
}

/// A cell.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) ink: Ink,
    /// What it is sorted by, where that is not its text.
    weight: Option<f64>,
}

impl Cell {
    /// Words: nothing in them can draw on the terminal.
    pub(super) fn text(text: &str) -> Self {
        Self { text: clean(text), ink: Ink::Plain, weight: None }
    }

    /// A number as it is shown, and as it is.
    #[expect(clippy::cast_precision_loss, reason = "only for sorting")]
    pub(super) fn number(number: u64, show: impl Fn(u64) -> String) -> Self {
        let ink = if number == 0 { Ink::Dim } else { Ink::Plain };
        Self { text: show(number), ink, weight: Some(number as f64) }
    }

    /// A number that may not be known.
    pub(super) fn maybe(number: Option<u64>, show: impl Fn(u64) -> String) -> Self {
        number.map_or_else(Self::unknown, |number| Self::number(number, show))
    }

    /// A rate that may not be known.
    pub(super) fn rate(per_second: Option<f64>) -> Self {
        let show = |rate: f64| {
            let ink = if rate < 0.05 { Ink::Dim } else { Ink::Plain };
            Self { text: super::words::rate(rate), ink, weight: Some(rate) }
        };
        per_second.map_or_else(Self::unknown, show)
    }

    /// What is not known.
    pub(super) fn unknown() -> Self {
        Self { text: "-".to_owned(), ink: Ink::Dim, weight: Some(-1.0) }
    }

    /// In another ink.
    pub(super) fn ink(self, ink: Ink) -> Self {
        Self { ink, ..self }
    }

    /// In another ink, if there is something in it.
    pub(super) fn ink_if(self, is_so: bool, ink: Ink) -> Self {
        if is_so { self.ink(ink) } else { self }
    }

    /// Sorted by this.
    pub(super) fn weighs(self, weight: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "only for sorting")]
        Self { weight: Some(weight as f64), ..self }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.weight, other.weight) {
            (Some(one), Some(two)) => one.total_cmp(&two),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.text.cmp(&other.text),
        }
    }
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// What stays the same when its figures change.
    pub(super) name: String,
    /// Its state, where it has one.
    pub(super) state: String,
    pub(super) cells: Vec<Cell>,
}

impl Row {
    /// Without a state.
    pub(super) fn new(name: &str, cells: Vec<Cell>) -> Self {
        Self { name: name.to_owned(), state: String::new(), cells }
    }

    /// With one.
    pub(super) fn in_state(self, state: &str) -> Self {
        Self { state: state.to_owned(), ..self }
    }
}

/// How a table is sorted; without one, what matters first stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sorting {
    pub(super) column: usize,
    pub(super) is_reversed: bool,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub(super) struct Sheet {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    /// What is said where there are no rows.
    pub(super) nothing: String,
    /// There are more rows than were fetched.
    pub(super) has_more: bool,
}

impl Sheet {
    /// Whether the first cells come from the largest to the smallest.
    pub(super) fn is_falling(&self, sorting: Sorting) -> bool {
        let is_number = self.columns.get(sorting.column).is_some_and(|column| column.is_number);
        is_number != sorting.is_reversed
    }

    /// Sorts by a column; rows that are alike stay in their order.
    pub(super) fn sort(&mut self, sorting: Sorting) {
        let is_falling = self.is_falling(sorting);
        self.rows.sort_by(|one, other| {
            let pair = one.cells.get(sorting.column).zip(other.cells.get(sorting.column));
            let order = pair.map_or(Ordering::Equal, |(one, other)| one.compare(other));
            if is_falling { order.reverse() } else { order }
        });
    }

    /// Keeps the rows with these letters in their name or in one of their words.
    pub(super) fn filter(&mut self, letters: &str) {
        let letters = letters.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&letters);
        let columns = &self.columns;
        let is_kept = |row: &Row| {
            let mut words = row.cells.iter().zip(columns).filter(|(_, column)| !column.is_number);
            has(&row.name) || words.any(|(cell, _)| has(&cell.text))
        };
        self.rows.retain(is_kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let row = |name: &str, number: u64, word: &str| {
            let cells =
                vec![Cell::text(name), Cell::number(number, super::super::words::count), Cell::text(word)];
            Row::new(name, cells)
        };
        Sheet {
            columns: vec![Column::text("NAME", 0), Column::number("N", 0), Column::text("WORD", 0)],
            rows: vec![row("b", 2, "Night"), row("a", 1_000, "day"), row("c", 30, "day")],
            ..Sheet::default()
        }
    }

    fn names(sheet: &Sheet) -> String {
        sheet.rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn words_rise_and_numbers_fall_unless_reversed() {
        let sorted = |column: usize, is_reversed: bool| {
            let mut sheet = sheet();
            sheet.sort(Sorting { column, is_reversed });
            names(&sheet)
        };
        assert_eq!([sorted(0, false), sorted(0, true)], ["abc", "cba"]);
        assert_eq!([sorted(1, false), sorted(1, true)], ["acb", "bca"], "by value, not by its digits");
        assert_eq!(sorted(2, false), "bac", "what is alike stays in its order");
        assert_eq!(sorted(9, false), "bac");
    }

    #[test]
    fn letters_are_looked_for_in_words() {
        let filtered = |letters: &str| {
            let mut sheet = sheet();
            sheet.filter(letters);
            names(&sheet)
        };
        assert_eq!([filtered("DAY"), filtered("nig"), filtered("30"), filtered("")], ["ac", "b", "", "bac"]);
    }

    #[test]
    fn a_cell_can_not_draw_on_the_terminal() {
        assert_eq!(Cell::text("a\u{1b}[2Jb\n").text, "a [2Jb ");
    }
}
