//! Curves in the outcome of a measurement: any `curves` at its top, or one level below it, is a list of
//! `{"name", "title", "x", "y", "log_x", "lines": [{"name", "points": [[x, y]]}]}`.

use serde_json::{Value, json};

use super::plan::Sweep;
use super::svg::{Chart, Line};

/// Every curve of an outcome, with the name of its file.
pub(crate) fn find(outcome: &Value) -> Vec<(String, Chart)> {
    let below = outcome.as_object().into_iter().flat_map(|object| object.values());
    let lists = std::iter::once(outcome).chain(below).filter_map(|value| value.get("curves")?.as_array());
    lists.flatten().filter_map(read).collect()
}

fn read(curve: &Value) -> Option<(String, Chart)> {
    let text = |name: &str| curve.get(name).and_then(Value::as_str).map(str::to_owned);
    let lines = curve.get("lines")?.as_array()?.iter().filter_map(line).collect();
    let is_log = curve.get("log_x").and_then(Value::as_bool).unwrap_or(false);
    let chart = Chart { title: text("title")?, x: text("x")?, y: text("y")?, is_log, lines };
    // It becomes the name of a file.
    let name: String = text("name")?.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    (!name.is_empty()).then_some((name, chart))
}

fn line(line: &Value) -> Option<Line> {
    let point = |point: &Value| Some((point.get(0)?.as_f64()?, point.get(1)?.as_f64()?));
    let points = line.get("points")?.as_array()?.iter().filter_map(point).collect();
    Some(Line { name: line.get("name")?.as_str()?.to_owned(), points })
}

/// The outcome of a sweep: `figures` has, per value, the figure of each line.
pub(crate) fn outcome(name: &str, sweep: &Sweep, figures: &[(u32, Vec<f64>)]) -> Value {
    let line = |(index, (line, _)): (usize, &(&str, &str))| {
        let point = |(value, row): &(u32, Vec<f64>)| Some(json!([value, row.get(index)?]));
        json!({"name": line, "points": figures.iter().filter_map(point).collect::<Vec<_>>()})
    };
    let lines: Vec<Value> = sweep.lines.iter().enumerate().map(line).collect();
    let words = &sweep.words;
    let curve = json!({"name": name, "title": words.title, "x": words.x, "y": words.y, "log_x": true, "lines": lines});
    json!({"curves": [curve], "growth": growth(figures)})
}

/// What the first line's figure is at a value, divided by what it is at the value before: the worst.
fn growth(figures: &[(u32, Vec<f64>)]) -> Option<f64> {
    let firsts: Vec<f64> = figures.iter().filter_map(|(_, row)| row.first().copied()).collect();
    let ratios = firsts.iter().zip(firsts.iter().skip(1)).map(|(before, after)| after / before);
    ratios.max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Own, Words};
    use super::*;

    const SWEEP: Sweep = Sweep {
        own: Own { words: "lives", quick: "" },
        flag: "--workers",
        values: &[1, 10, 100],
        words: Words { title: "Cost", x: "workers", y: "µs" },
        lines: &[("ours", "a"), ("raw", "b")],
    };

    #[test]
    fn a_sweep_gives_a_curve_that_is_found_again() {
        let figures = [(1, vec![10.0, 5.0]), (10, vec![11.0, 5.0]), (100, vec![22.0, 6.0])];
        let outcome = outcome("cost", &SWEEP, &figures);
        assert_eq!(outcome.get("growth").and_then(Value::as_f64), Some(2.0));
        let found = find(&outcome);
        let (name, chart) = found.first().unwrap();
        assert_eq!((name.as_str(), found.len(), chart.is_log), ("cost", 1, true));
        let points: Vec<_> = chart.lines.iter().map(|line| line.points.clone()).collect();
        assert_eq!(
            points,
            [[(1.0, 10.0), (10.0, 11.0), (100.0, 22.0)], [(1.0, 5.0), (10.0, 5.0), (100.0, 6.0)]]
        );
    }

    #[test]
    fn curves_one_level_below_are_found_and_broken_ones_left_out() {
        let good = json!({"name": "../d", "title": "t", "x": "x", "y": "y", "lines": []});
        let outcome = json!({"version": "1", "depth": {"curves": [good, {"name": "no title"}]}});
        let found = find(&outcome);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["d"], "a name never leaves its folder");
    }
}
