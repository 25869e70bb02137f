//! Random numbers that a seed repeats: splitmix64.

use std::time::Duration;

/// A generator.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The same seed gives the same numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A generator of its own for each part of a run, so that one part's choices don't depend on how far another is.
    pub(crate) fn fork(&mut self, part: &str) -> Self {
        let name = part.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self(self.next() ^ name)
    }

    /// Less than `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of them; none of none.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(usize::try_from(self.below(all.len() as u64)).unwrap_or(0))
    }

    /// Milliseconds from `low` to below `high`.
    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.below(high.saturating_sub(low)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_numbers_and_parts_differ() {
        let (mut one, mut other) = (Rng::new(7), Rng::new(7));
        let (mut fleet, mut nemesis) = (one.fork("fleet"), one.fork("nemesis"));
        assert_eq!(fleet.next(), other.fork("fleet").next());
        assert_ne!(fleet.next(), nemesis.next());
        assert!((0..100).all(|_| (5..9).contains(&fleet.millis(5, 9).as_millis())));
        assert_eq!(fleet.pick::<u8>(&[]), None);
    }
}
