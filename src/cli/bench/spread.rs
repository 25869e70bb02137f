//! Figures of several rounds: the median, with the least and the most beside it.

use serde_json::{Value, json};

/// A figure that was measured several times.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Spread(Vec<f64>);

impl Spread {
    /// One more round.
    pub(super) fn add(&mut self, figure: f64) {
        let at = self.0.partition_point(|other| *other < figure);
        self.0.insert(at, figure);
    }

    /// The middle one; the mean of both when there are two.
    pub(super) fn median(&self) -> f64 {
        let at = |index: usize| self.0.get(index).copied().unwrap_or(f64::NAN);
        let middle = self.0.len() / 2;
        if self.0.len().is_multiple_of(2) && middle > 0 {
            f64::midpoint(at(middle - 1), at(middle))
        } else {
            at(middle)
        }
    }

    fn ends(&self) -> (f64, f64) {
        let end = |end: Option<&f64>| end.copied().unwrap_or(f64::NAN);
        (end(self.0.first()), end(self.0.last()))
    }

    /// `median (least to most)`.
    pub(super) fn words(&self, decimals: usize) -> String {
        let (least, most) = self.ends();
        format!("{:.decimals$} ({least:.decimals$} to {most:.decimals$})", self.median())
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let (least, most) = self.ends();
        json!({"median": self.median(), "min": least, "max": most, "rounds": self.0.len()})
    }
}

/// The value below which this many of a hundred lie.
pub(super) fn percentile(sorted: &[f64], hundredth: usize) -> f64 {
    sorted.get((sorted.len().saturating_sub(1)) * hundredth / 100).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle_of_sorted_rounds() {
        let mut spread = Spread::default();
        for figure in [3.0, 1.0, 2.0] {
            spread.add(figure);
        }
        assert_eq!(spread.words(1), "2.0 (1.0 to 3.0)");
        spread.add(10.0);
        assert_eq!(spread.words(1), "2.5 (1.0 to 10.0)");
    }

    #[test]
    fn percentiles_of_a_hundred() {
        let sorted: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 99)), (50.0, 99.0));
        assert!(percentile(&[], 50).is_nan());
    }
}
