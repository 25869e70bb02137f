//! The page: one line for each row of the scorecard. A row that was tried less often than wanted is unproven, not green.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::rows::{INVARIANTS, ROWS, Row};

const BY_HAND: &str = "<!-- by hand from here to the next mark -->";
const BY_HAND_END: &str = "<!-- end of what is kept by hand -->";

/// From the results and the page as it was.
pub(super) fn page(results: &Map<String, Value>, old: &str) -> String {
    let mut text = String::from(
        "# Reliability\n\n\
         Written by `./yard chaos --report` from what `./yard chaos` ran; edits outside the marked block are lost. The checker that\n\
         decides shares no code with the program. *kept*: no violation in as many trials as are wanted; with none in n independent\n\
         trials the chance of one is below 3/n (95 %). *unproven*: fewer trials than wanted, or some that prove nothing because the\n\
         fault left no trace. Times are from the fault's end to the end of a new task in every pool, where not said otherwise.\n\n",
    );
    text.push_str(
        "| row | fault | must hold | limit | result | trials | violations | invalid | p50 ms | p99 ms |\n",
    );
    text.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    for row in ROWS {
        push_row(&mut text, row, results.get(row.id));
    }
    text.push_str("\n## Invariants\n\n");
    for (id, words) in INVARIANTS {
        push(&mut text, format_args!("- **{id}** {words}"));
    }
    text.push_str("\n## Runs\n\n");
    for row in ROWS {
        push_run(&mut text, row, results.get(row.id));
    }
    push(&mut text, format_args!("\n## Found on the way\n\n{BY_HAND}\n{}\n{BY_HAND_END}", kept(old)));
    text
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string");
}

/// What stands between the marks.
fn kept(old: &str) -> &str {
    let inside = old.split_once(BY_HAND).and_then(|(_, rest)| rest.split_once(BY_HAND_END));
    inside.map_or("\nNothing yet.\n", |(inside, _)| inside.trim_matches('\n'))
}

/// One word, or a few.
fn result(row: &Row, run: Option<&Value>) -> String {
    let Some(run) = run else {
        return "not run".to_owned();
    };
    if let Some(why) = run.get("not_run").and_then(Value::as_str) {
        return format!("not run: {why}");
    }
    let (trials, violations, invalid) =
        (number(run, "trials"), number(run, "violations"), number(run, "invalid"));
    if violations > 0 {
        return "**violated**".to_owned();
    }
    let valid = trials.saturating_sub(invalid);
    if valid < u64::from(row.wanted) {
        return format!("unproven: {valid} of {}", row.wanted);
    }
    "kept".to_owned()
}

fn push_row(text: &mut String, row: &Row, run: Option<&Value>) {
    let Row { id, fault, invariant, hold, .. } = row;
    let result = result(row, run);
    let figure = |field: &str| run.and_then(|run| run.get(field)).map(Value::to_string).unwrap_or_default();
    let [trials, violations, invalid] = ["trials", "violations", "invalid"].map(figure);
    let has_times =
        run.and_then(|run| run.get("recoveries_ms")).is_some_and(|all| *all != Value::Array(Vec::new()));
    let [p50, p99] = ["p50_ms", "p99_ms"].map(|field| if has_times { figure(field) } else { String::new() });
    push(
        text,
        format_args!(
            "| {id} | {fault} | {invariant} | {hold} | {result} | {trials} | {violations} | {invalid} | {p50} | {p99} |"
        ),
    );
}

fn push_run(text: &mut String, row: &Row, run: Option<&Value>) {
    let Some(run) = run.filter(|run| run.get("not_run").is_none()) else {
        return;
    };
    let word = |field: &str| run.get(field).and_then(Value::as_str).unwrap_or("?").to_owned();
    let seeds = list(run, "seeds").join(", ");
    push(
        text,
        format_args!(
            "- **{}** on {}, commit {}, Kafka {}, librdkafka {}, seeds {seeds}.",
            row.id,
            word("date"),
            word("commit"),
            word("broker"),
            word("librdkafka")
        ),
    );
    for note in list(run, "notes").into_iter().chain(list(run, "first_violations")) {
        push(text, format_args!("  - {note}"));
    }
}

fn number(run: &Value, field: &str) -> u64 {
    run.get(field).and_then(Value::as_u64).unwrap_or(0)
}

fn list(run: &Value, field: &str) -> Vec<String> {
    let all = run.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    all.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn results(run: Value) -> Map<String, Value> {
        [("S5".to_owned(), run)].into_iter().collect()
    }

    fn line(text: &str, id: &str) -> String {
        let start = format!("| {id} |");
        text.lines().find(|line| line.starts_with(&start)).unwrap_or_default().to_owned()
    }

    #[test]
    fn every_row_stands_there_also_without_a_run() {
        let text = page(&Map::new(), "");
        for number in 1..=32 {
            assert!(line(&text, &format!("S{number}")).contains("| not run |"), "S{number}");
        }
    }

    #[test]
    fn too_few_trials_are_unproven_and_invalid_ones_don_t_count() {
        let run = json!({"trials":100,"violations":0,"invalid":3,"recoveries_ms":[4],"p50_ms":4,"p99_ms":4});
        assert!(
            line(&page(&results(run), ""), "S5").contains("| unproven: 97 of 100 | 100 | 0 | 3 | 4 | 4 |")
        );
        let run = json!({"trials":100,"violations":0,"invalid":0});
        assert!(line(&page(&results(run), ""), "S5").contains("| kept | 100 |"));
        let run = json!({"trials":300,"violations":1,"invalid":0});
        assert!(line(&page(&results(run), ""), "S5").contains("| **violated** |"));
        assert!(
            line(&page(&results(json!({"not_run":"needs root"})), ""), "S5")
                .contains("| not run: needs root |")
        );
    }

    #[test]
    fn what_was_written_by_hand_stays() {
        let first = page(&Map::new(), "");
        let edited = first.replace("Nothing yet.", "A torn batch: cause, fix.");
        let second = page(&Map::new(), &edited);
        assert!(second.contains("A torn batch: cause, fix.") && !second.contains("Nothing yet."));
        assert_eq!(page(&Map::new(), &second), second);
    }
}
