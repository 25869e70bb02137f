//! How lengths of time are spread, in few bytes: a log-linear histogram that can be added to another one.
//!
//! Up to 31 ms each millisecond has a bucket of its own; above, each doubling is cut into 16 buckets of equal width. So a
//! percentile is off by less than 1/32 (3.2 %) of itself, whatever the numbers are; count, sum and maximum are exact.
//! HDR histograms and DDSketch have the same idea, but their crates bring floating point or an encoding of their own into rows
//! that must have the same bytes everywhere; this needs a shift and an addition.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// log2 of the buckets of one doubling.
const STEP_BITS: u32 = 4;
/// The buckets of one doubling.
const STEPS: u64 = 1 << STEP_BITS;
/// No 64 bit number is shifted by more.
const SHIFT_MAX: u64 = 63 - STEP_BITS as u64;

/// Lengths of time, counted by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    sum: u64,
    max: u64,
    /// Buckets that have something, with how many, in their order.
    buckets: Vec<(u16, u64)>,
}

fn bucket_of(value: u64) -> u16 {
    let shift = u64::from(value.max(1).ilog2().saturating_sub(STEP_BITS));
    u16::try_from(shift * STEPS + (value >> shift)).expect("there are 976 buckets")
}

/// The middle of a bucket; the bucket itself where it is one number.
fn middle_of(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    let shift = (bucket / STEPS).saturating_sub(1).min(SHIFT_MAX);
    ((bucket - shift * STEPS) << shift) + ((1 << shift) - 1) / 2
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, length: Millis) {
        self.sum = self.sum.saturating_add(length.0);
        self.max = self.max.max(length.0);
        self.add(bucket_of(length.0), 1);
    }

    /// Adds all that another one counted.
    pub fn merge(&mut self, other: &Self) {
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
        other.buckets.iter().for_each(|(bucket, count)| self.add(*bucket, *count));
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(place) => self.buckets.iter_mut().skip(place).take(1).for_each(|(_, known)| *known += count),
            Err(place) => self.buckets.insert(place, (bucket, count)),
        }
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// All of them together.
    #[must_use]
    pub fn sum(&self) -> Millis {
        Millis(self.sum)
    }

    /// The longest; zero of none.
    #[must_use]
    pub fn max(&self) -> Millis {
        Millis(self.max)
    }

    /// The length that so many per thousand don't exceed (nearest rank), off by less than 1/32 of itself; absent of none.
    #[must_use]
    pub fn quantile(&self, per_mille: u64) -> Option<Millis> {
        let rank = self.count().saturating_mul(per_mille).div_ceil(1_000).max(1);
        let mut passed = 0;
        let found = self.buckets.iter().find(|(_, count)| {
            passed += count;
            passed >= rank
        });
        found.map(|(bucket, _)| Millis(middle_of(*bucket).min(self.max)))
    }

    /// What must hold of every histogram: buckets in their order, none empty, the largest number in the last one.
    pub(crate) fn is_sound(&self) -> bool {
        let in_order = self.buckets.is_sorted_by(|(one, _), (other, _)| one < other);
        let last = self.buckets.last().map_or(0, |(bucket, _)| *bucket);
        in_order && self.buckets.iter().all(|(_, count)| *count > 0) && last == bucket_of(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(Millis(*value)));
        histogram
    }

    /// By sorting: what the histogram is compared with.
    fn exact(values: &[u64], per_mille: usize) -> u64 {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        sorted[(values.len() * per_mille).div_ceil(1_000).max(1) - 1]
    }

    /// Every order of magnitude is as likely.
    fn lengths() -> impl Strategy<Value = Vec<u64>> {
        let length = (0..64_u32, any::<u64>()).prop_map(|(bits, any)| any.checked_shr(bits).unwrap_or(0));
        proptest::collection::vec(length, 1..200)
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        assert_eq!(
            (bucket_of(0), bucket_of(31), bucket_of(32), bucket_of(33), bucket_of(34)),
            (0, 31, 32, 32, 33)
        );
        assert_eq!(bucket_of(u64::MAX), 975);
        for bucket in 0..=975 {
            assert_eq!(bucket_of(middle_of(bucket)), bucket);
        }
        // Each begins where the one before ends.
        for value in (0..100_000).chain((20..63).map(|bits| 1 << bits)) {
            assert!(bucket_of(value + 1) - bucket_of(value) <= 1, "{value}");
        }
    }

    #[test]
    fn none_has_no_percentiles() {
        let none = Histogram::default();
        assert_eq!(
            (none.count(), none.sum(), none.max(), none.quantile(500)),
            (0, Millis(0), Millis(0), None)
        );
        assert!(none.is_sound());
    }

    #[test]
    fn short_ones_are_exact() {
        let values: Vec<u64> = (0..=30).collect();
        let histogram = of(&values);
        for per_mille in [0, 1, 500, 900, 990, 1_000] {
            let found = histogram.quantile(per_mille).unwrap().0;
            assert_eq!(found, exact(&values, usize::try_from(per_mille).unwrap()), "{per_mille}");
        }
        // A percentile is never above the longest.
        assert_eq!(of(&[1_000]).quantile(500), Some(Millis(1_000)));
    }

    proptest! {
        #[test]
        fn percentiles_are_off_by_less_than_a_part_in_32(values in lengths(), per_mille in 0..=1_000_u64) {
            let histogram = of(&values);
            let (found, exact) = (histogram.quantile(per_mille).unwrap().0, exact(&values, per_mille as usize));
            prop_assert!(found.abs_diff(exact) <= exact / 32, "{} for {}", found, exact);
            prop_assert_eq!(histogram.count(), values.len() as u64);
            prop_assert_eq!(histogram.max().0, values.iter().copied().max().unwrap());
            prop_assert!(histogram.is_sound());
        }

        #[test]
        fn parts_add_up_to_the_whole_in_any_order(one in lengths(), other in lengths()) {
            let (mut there, mut back) = (of(&one), of(&other));
            there.merge(&of(&other));
            back.merge(&of(&one));
            let whole: Vec<u64> = one.into_iter().chain(other).collect();
            prop_assert_eq!(&there, &of(&whole));
            let bytes = |histogram| yardmaster_state::encode::<Histogram>(1, histogram);
            prop_assert_eq!(bytes(&there), bytes(&back), "the same bytes");
        }

        #[test]
        fn a_row_is_small(values in lengths()) {
            let usual: Vec<u64> = values.iter().map(|value| value % 60_000).collect();
            let bytes = yardmaster_state::encode(1, &of(&usual)).len();
            prop_assert!(bytes <= 16 + 2 * usual.len().min(208), "{} bytes", bytes);
        }
    }
}
