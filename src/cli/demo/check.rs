//! Whether the job's results are what they must be: as a whole against the formula, some of them bit by bit.

use serde_json::Value;

use crate::cli::price;
use crate::cli::table::text;

/// How many results are computed again here.
const SAMPLE: usize = 20;

/// What came out.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Results that were there, each seed once.
    pub(crate) results: usize,
    /// Their mean.
    pub(crate) mean: f64,
    /// The standard error of that mean.
    pub(crate) error: f64,
    /// The exact value.
    pub(crate) exact: f64,
    /// Results that were computed again.
    pub(crate) sampled: usize,
    /// Those of them that were the same in every bit.
    pub(crate) equal: usize,
}

impl Checked {
    /// Within four standard errors, and equal in every bit where it was looked at.
    pub(crate) fn is_right(&self, wanted: u32) -> bool {
        self.results as u64 == u64::from(wanted)
            && (self.mean - self.exact).abs() <= 4.0 * self.error
            && self.sampled > 0
            && self.equal == self.sampled
    }
}

/// Looks at the rows of `/results`.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) fn check(rows: &[Value], paths: u32) -> Checked {
    let mut results: Vec<(u64, &Value)> = rows
        .iter()
        .filter_map(|row| row.get("result"))
        .filter_map(|result| Some((result.get("seed")?.as_u64()?, result)))
        .collect();
    results.sort_by_key(|(seed, _)| *seed);
    results.dedup_by_key(|(seed, _)| *seed);
    let number = |result: &Value, field: &str| result.get(field).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let count = results.len() as f64;
    let mean = results.iter().map(|(_, result)| number(result, "value")).sum::<f64>() / count;
    let variance = results.iter().map(|(_, result)| number(result, "variance")).sum::<f64>() / count;
    let step = (results.len() / SAMPLE).max(1);
    let sample: Vec<&(u64, &Value)> = results.iter().step_by(step).collect();
    let is_equal =
        |(seed, result): &&&(u64, &Value)| text(&price::result(*seed, paths), "bits") == text(result, "bits");
    Checked {
        results: results.len(),
        mean,
        error: (variance / (count * f64::from(paths))).sqrt(),
        exact: price::exact_value(),
        sampled: sample.len(),
        equal: sample.iter().filter(is_equal).count(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(count: u64) -> Vec<Value> {
        (0..count).map(|seed| json!({"id": seed.to_string(), "result": price::result(seed, 500)})).collect()
    }

    #[test]
    fn right_results_are_right() {
        let checked = check(&rows(100), 500);
        assert!(checked.is_right(100), "{checked:?}");
        assert!(!checked.is_right(101), "one is missing");
    }

    #[test]
    fn a_changed_bit_is_seen() {
        let mut rows = rows(10);
        rows[3]["result"]["bits"] = json!("0000000000000000");
        assert!(!check(&rows, 500).is_right(10));
        assert!(!check(&[], 500).is_right(0), "nothing is no success");
    }
}
