//! Writes the table: for the terminal, and as `docs/benchmarks.md` with the machine, the versions and the curves.

use std::fmt::Write as _;

use serde_json::Value;

use super::curves;
use super::record::Record;
use super::rows::ROWS;
use super::verdict::{Verdict, judge};

/// The lines of the table, judged by what is on record.
pub(crate) fn verdicts(record: &Record, is_wanted: impl Fn(&str) -> bool) -> Vec<Verdict> {
    ROWS.iter().filter(|row| is_wanted(row.from)).map(|row| judge(row, record)).collect()
}

/// For the terminal: columns as wide as what stands in them.
pub(crate) fn terminal(verdicts: &[Verdict]) -> String {
    let head = ["", "figure", "target", "met", "least to most"].map(str::to_owned);
    let row = |one: &Verdict| {
        [one.what.to_owned(), one.figure.clone(), one.target.clone(), one.met.to_owned(), one.range.clone()]
    };
    let rows: Vec<([String; 5], &str)> =
        std::iter::once((head, "")).chain(verdicts.iter().map(|one| (row(one), one.note.as_str()))).collect();
    let mut widths = [0; 5];
    for (cells, _) in &rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (cells, note) in &rows {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  "));
        let line = padded.collect::<String>() + note;
        push(&mut text, line.trim_end());
    }
    text
}

/// `docs/benchmarks.md`.
pub(crate) fn markdown(record: &Record, machine: &Value) -> String {
    let mut text = String::from("# Benchmarks\n\nWritten by `./yard bench`; edits are lost. ");
    text += "[benches/peers](../benches/peers/README.md) says what the peers are and how they run.\n\n";
    push(&mut text, &format!("Machine: {}, with broker, server, workers and peers on it.\n", words(machine)));
    text += "Each figure is the median of its rounds. Ratios are made round by round, the two sides in turns: machines \
             differ, and so do minutes, but a ratio's two sides had the same ones.\n\n";
    push(&mut text, "| what | figure | least to most | target | met | |");
    push(&mut text, "|---|---|---|---|---|---|");
    for one in verdicts(record, |_| true) {
        let Verdict { what, figure, range, target, met, note } = one;
        // A note may quote what a program said.
        let note = note.replace('|', "\\|");
        push(&mut text, &format!("| {what} | {figure} | {range} | {target} | {met} | {note} |"));
    }
    push_curves(&mut text, record);
    push_runs(&mut text, record);
    text
}

fn push_curves(text: &mut String, record: &Record) {
    let all: Vec<_> = record.entries().flat_map(|(_, entry)| curves::find(&entry.outcome)).collect();
    if !all.is_empty() {
        text.push_str("\n## Curves\n\n");
    }
    for (name, chart) in all {
        push(text, &format!("![{}](benchmarks/{name}.svg)\n", chart.title));
    }
}

fn push_runs(text: &mut String, record: &Record) {
    text.push_str(
        "\n## Runs\n\n| measurement | date | rounds | versions | command |\n|---|---|---|---|---|\n",
    );
    for (name, entry) in record.entries() {
        let member = |member: &str| entry.run.get(member).map(plain).unwrap_or_default();
        let versions = entry.run.get("versions").map(words).unwrap_or_default();
        let (date, rounds, command) = (member("date"), member("rounds"), member("command"));
        push(text, &format!("| {name} | {date} | {rounds} | {versions} | `{command}` |"));
    }
    text.push_str(
        "\nAll figures, also those that are not in the table, are in [benchmarks.json](benchmarks.json).\n",
    );
}

/// `name value, name value`.
fn words(object: &Value) -> String {
    let member = |(name, value): (&String, &Value)| format!("{name} {}", plain(value));
    object
        .as_object()
        .map(|object| object.iter().map(member).collect::<Vec<_>>().join(", "))
        .unwrap_or_default()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn push(text: &mut String, line: &str) {
    // Writing to a String can't fail.
    let _written = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Record {
        let spread = json!({"median": 0.28, "min": 0.23, "max": 0.31, "rounds": 5});
        let lives = json!({"ratio": spread, "tasks_per_second": 20_079, "raw_tasks_per_second": 71_664});
        let run = json!({"date": "2026-01-02 03:04 UTC", "rounds": 5, "command": "./yard bench",
            "versions": {"kafka": "4.2.2", "yardmaster": "0.1.0"}});
        let mut record = Record::default();
        record.add("lives", json!({"lives": lives}), run);
        record.add_hindrance("celery", "no redis-server".to_owned());
        record
    }

    #[test]
    fn the_document_has_figure_target_verdict_machine_and_run() {
        let text = markdown(&record(), &json!({"cores": 2, "memory": "24 GiB"}));
        let row = "| 0.28 | 0.23 to 0.31 | ≥ 0.5 | no | ours 20,079, raw 71,664 |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("Machine: cores 2, memory 24 GiB, with broker"), "{text}");
        assert!(text.contains(
            "| lives | 2026-01-02 03:04 UTC | 5 | kafka 4.2.2, yardmaster 0.1.0 | `./yard bench` |"
        ));
        assert!(text.contains("Celery with Redis | not measured |  | ≥ 3 | - | no redis-server |"), "{text}");
        assert!(!text.contains("## Curves"));
    }

    #[test]
    fn curves_are_shown_as_pictures() {
        let mut record = record();
        let curve = json!({"name": "cost", "title": "Cost", "x": "x", "y": "y", "lines": []});
        record.add("curve-tags", json!({"curves": [curve]}), json!({}));
        assert!(markdown(&record, &json!({})).contains("![Cost](benchmarks/cost.svg)"));
    }

    #[test]
    fn the_terminal_has_only_what_was_wanted_in_columns() {
        let text = terminal(&verdicts(&record(), |name| name == "lives"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "a head and the rows of lives:\n{text}");
        let head = lines.first().unwrap().find("figure").unwrap();
        assert_eq!(lines.get(1).unwrap().get(head..head + 4), Some("0.28"), "{text}");
        assert!(lines.iter().all(|line| !line.ends_with(' ')));
    }
}
