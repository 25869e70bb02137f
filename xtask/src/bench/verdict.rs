//! What a row says once its measurement has run, or has not.

use serde_json::Value;

use super::plan::{Row, Target};
use super::record::Record;
use super::spread::{Spread, number};

/// A row with its figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// In words.
    pub(crate) what: &'static str,
    /// The median with its unit, or `not measured`.
    pub(crate) figure: String,
    /// The least and the most of all rounds.
    pub(crate) range: String,
    /// What was to be reached.
    pub(crate) target: String,
    /// `yes`, `no`, or a dash where there is nothing to judge.
    pub(crate) met: &'static str,
    /// The two sides of a ratio, or why there is no figure.
    pub(crate) note: String,
}

/// Judges a row by what is on record.
pub(crate) fn judge(row: &Row, record: &Record) -> Verdict {
    let target = shown_target(row);
    let found =
        record.outcome(row.from).and_then(|outcome| Some((outcome, Spread::read(at(outcome, row.path)?)?)));
    let Some((outcome, spread)) = found else {
        let figure = "not measured".to_owned();
        let note = record.hindrance(row.from).unwrap_or_default().to_owned();
        return Verdict { what: row.what, figure, range: String::new(), target, met: "-", note };
    };
    let met = match row.target {
        Target::AtLeast(least) => yes_or_no(spread.median >= least),
        Target::AtMost(most) => yes_or_no(spread.median <= most),
        Target::None => "-",
    };
    let range = match spread.rounds {
        1 => String::new(),
        _ => format!("{} to {}", number(spread.least), number(spread.most)),
    };
    Verdict {
        what: row.what,
        figure: with_unit(spread.median, row.unit),
        range,
        target,
        met,
        note: sides(row, outcome),
    }
}

fn shown_target(row: &Row) -> String {
    match row.target {
        Target::AtLeast(least) => format!("≥ {}", with_unit(least, row.unit)),
        Target::AtMost(most) => format!("≤ {}", with_unit(most, row.unit)),
        Target::None => String::new(),
    }
}

fn yes_or_no(is_met: bool) -> &'static str {
    if is_met { "yes" } else { "no" }
}

fn with_unit(figure: f64, unit: &str) -> String {
    format!("{} {unit}", number(figure)).trim_end().to_owned()
}

fn sides(row: &Row, outcome: &Value) -> String {
    let side = |(word, path): &(&str, &str)| {
        let spread = Spread::read(at(outcome, path)?)?;
        Some(format!("{word} {}", number(spread.median)))
    };
    row.sides.iter().filter_map(side).collect::<Vec<_>>().join(", ")
}

/// The value under names that are separated by dots.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROW: Row = Row {
        what: "Speed",
        from: "race",
        path: "race.ratio",
        unit: "",
        target: Target::AtLeast(4.0),
        sides: &[("ours", "race.ours"), ("peer's", "race.peer")],
    };

    fn record(ratio: f64) -> Record {
        let spread = json!({"median": ratio, "min": ratio - 1.0, "max": ratio + 1.0, "rounds": 5});
        let mut record = Record::default();
        record.add("race", json!({"race": {"ratio": spread, "ours": 20_079, "peer": 5_000.4}}), json!({}));
        record
    }

    #[test]
    fn a_figure_stands_beside_its_target_and_both_sides() {
        let verdict = judge(&ROW, &record(4.0));
        assert_eq!(
            (verdict.figure.as_str(), verdict.range.as_str(), verdict.target.as_str()),
            ("4", "3 to 5", "≥ 4")
        );
        assert_eq!((verdict.met, verdict.note.as_str()), ("yes", "ours 20,079, peer's 5,000"));
        assert_eq!(judge(&ROW, &record(3.99)).met, "no");
    }

    #[test]
    fn at_most_is_the_other_way_round_and_a_unit_follows_the_number() {
        let row = Row { target: Target::AtMost(5.0), unit: "s", ..ROW };
        let verdict = judge(&row, &record(5.5));
        assert_eq!((verdict.met, verdict.figure.as_str(), verdict.target.as_str()), ("no", "5.5 s", "≤ 5 s"));
        assert_eq!(judge(&Row { target: Target::None, ..ROW }, &record(1.0)).met, "-");
    }

    #[test]
    fn without_a_figure_it_says_so_and_why() {
        let mut record = Record::default();
        assert_eq!(judge(&ROW, &record).figure, "not measured");
        record.add_hindrance("race", "no redis-server".to_owned());
        let verdict = judge(&ROW, &record);
        assert_eq!((verdict.met, verdict.note.as_str()), ("-", "no redis-server"));
        // A figure whose form is unknown is none.
        record.add("race", json!({"race": {"ratio": "fast"}}), json!({}));
        assert_eq!(judge(&ROW, &record).figure, "not measured");
    }
}
