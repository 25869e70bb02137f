//! Figures of several rounds: the median, with the least and the most beside it.

use serde_json::{Value, json};

/// A figure with what it was in other rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The middle one of all rounds.
    pub(crate) median: f64,
    /// The least of all rounds.
    pub(crate) least: f64,
    /// The most of all rounds.
    pub(crate) most: f64,
    /// How many rounds there were; one for a figure that was measured once.
    pub(crate) rounds: u64,
}

impl Spread {
    /// Of rounds in any order; none of no round.
    pub(crate) fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let at = |index: usize| sorted.get(index).copied();
        let upper = sorted.len() / 2;
        let lower = sorted.len().saturating_sub(1) / 2;
        let median = f64::midpoint(at(lower)?, at(upper)?);
        Some(Self { median, least, most, rounds: sorted.len() as u64 })
    }

    /// As `yardmaster bench --json` writes it: an object with median, min, max and rounds, or a bare number.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        if let Some(figure) = value.as_f64() {
            return Self::of(&[figure]);
        }
        let member = |name: &str| value.get(name).and_then(Value::as_f64);
        let rounds = value.get("rounds").and_then(Value::as_u64).unwrap_or(1);
        Some(Self { median: member("median")?, least: member("min")?, most: member("max")?, rounds })
    }

    /// The same form again.
    pub(crate) fn json(self) -> Value {
        json!({"median": self.median, "min": self.least, "max": self.most, "rounds": self.rounds})
    }
}

/// A number as a person reads it: three digits that count, thousands apart.
pub(crate) fn number(figure: f64) -> String {
    let decimals = match figure.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{figure:.decimals$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{dot}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_both_middles() {
        let odd = Spread::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!(odd, Spread { median: 2.0, least: 1.0, most: 3.0, rounds: 3 });
        assert_eq!(Spread::of(&[10.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(&[7.0]).unwrap().median, 7.0);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn what_the_program_prints_is_read_and_a_bare_number_too() {
        let printed = json!({"median": 2.0, "min": 1.0, "max": 3.0, "rounds": 5});
        let read = Spread::read(&printed).unwrap();
        assert_eq!((read.json(), read.rounds), (printed, 5));
        assert_eq!(Spread::read(&json!(4)).unwrap().rounds, 1);
        assert_eq!(Spread::read(&json!({"median": 2.0})), None);
        assert_eq!(Spread::read(&json!("fast")), None);
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        let shown = [20_079.4, 1_234_567.0, 99.96, 9.304, 0.28, 0.5, 4.0, -1500.0].map(number);
        assert_eq!(shown, ["20,079", "1,234,567", "100", "9.3", "0.28", "0.5", "4", "-1,500"]);
    }
}
