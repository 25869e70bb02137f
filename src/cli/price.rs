//! A small option portfolio priced by Monte Carlo, and exactly: what the demo's tasks do, so that its sum can be checked.

use clap::Args;
use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::output::line;

const SPOT: f64 = 100.0;
const RATE: f64 = 0.03;
const VOLATILITY: f64 = 0.2;
const YEARS: f64 = 1.0;

/// Strike, number of options, and whether it is a call.
const PORTFOLIO: [(f64, f64, bool); 5] =
    [(90.0, 1.0, true), (100.0, 2.0, true), (110.0, 3.0, true), (100.0, 2.0, false), (90.0, 1.0, false)];

/// `yardmaster price-portfolio`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Begins the random numbers: the same seed gives the same bits.
    #[arg(long)]
    seed: u64,
    /// How many paths.
    #[arg(long, default_value_t = 20_000)]
    paths: u32,
}

/// Prices, and prints JSON.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if arguments.paths < 2 {
        return Err(Failure::Usage("--paths: must be at least 2".to_owned()));
    }
    line(&result(arguments.seed, arguments.paths).to_string())
}

/// The result of a task: `bits` is the value's exact bits, which JSON's decimals are not promised to keep.
pub(crate) fn result(seed: u64, paths: u32) -> Value {
    let (value, variance) = simulate(seed, paths);
    json!({"seed": seed, "paths": paths, "value": value, "variance": variance, "bits": format!("{:016x}", value.to_bits())})
}

/// The mean of the discounted payoff over the paths, and its variance per path.
fn simulate(seed: u64, paths: u32) -> (f64, f64) {
    let mut random = Random(seed);
    let drift = (RATE - VOLATILITY * VOLATILITY / 2.0) * YEARS;
    let (mut sum, mut squares) = (0.0, 0.0);
    for _ in 0..paths {
        let end = SPOT * (drift + VOLATILITY * YEARS.sqrt() * random.normal()).exp();
        let payoff: f64 = PORTFOLIO.iter().map(|option| payoff(option, end)).sum();
        let present = payoff * (-RATE * YEARS).exp();
        sum += present;
        squares += present * present;
    }
    let count = f64::from(paths);
    let mean = sum / count;
    (mean, (squares / count - mean * mean) * count / (count - 1.0))
}

fn payoff((strike, number, is_call): &(f64, f64, bool), end: f64) -> f64 {
    let gain = if *is_call { end - strike } else { strike - end };
    number * gain.max(0.0)
}

/// The exact value of the portfolio (Black and Scholes, 1973).
pub(crate) fn exact_value() -> f64 {
    let spread = VOLATILITY * YEARS.sqrt();
    let discount = (-RATE * YEARS).exp();
    let price = |(strike, number, is_call): &(f64, f64, bool)| {
        let d1 = ((SPOT / strike).ln() + (RATE + VOLATILITY * VOLATILITY / 2.0) * YEARS) / spread;
        let call = SPOT * normal_below(d1) - strike * discount * normal_below(d1 - spread);
        number * if *is_call { call } else { call - SPOT + strike * discount }
    };
    PORTFOLIO.iter().map(price).sum()
}

/// The probability that a normal number is below x, by its series; exact to the last digits for the small x here.
fn normal_below(x: f64) -> f64 {
    let (mut term, mut sum, mut step) = (x, x, 1.0);
    while term.abs() > 1e-17 && step < 400.0 {
        step += 2.0;
        term *= x * x / step;
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Above 0 and at most 1.
    fn uniform(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let number = ((self.next() >> 11) + 1) as f64;
        number / 9_007_199_254_740_992.0
    }

    /// Box and Muller's, one of the pair.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_probabilities() {
        for (x, wanted) in [(0.0, 0.5), (1.0, 0.841_344_746_068_543), (-1.96, 0.024_997_895_148_220)] {
            assert!((normal_below(x) - wanted).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn simulation_meets_the_formula_and_repeats_itself() {
        let (value, variance) = simulate(7, 50_000);
        let error = (variance / 50_000.0).sqrt();
        assert!((value - exact_value()).abs() < 5.0 * error, "{value} {error}");
        assert_eq!(result(7, 100), result(7, 100));
        assert_ne!(result(7, 100)["bits"], result(8, 100)["bits"]);
    }
}
