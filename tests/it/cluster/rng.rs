//! Random numbers that a seed repeats: splitmix64.

use std::time::SystemTime;

/// A generator.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// From `YARDMASTER_SEED`, or else a new seed; either way it is printed, so that a failure can be repeated.
    pub(crate) fn announced(test: &str) -> Self {
        let seed = match std::env::var("YARDMASTER_SEED") {
            Ok(text) => text.parse().expect("YARDMASTER_SEED is a number"),
            Err(_) => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
                u64::from(since.subsec_nanos()) ^ since.as_secs()
            }
        };
        eprintln!("{test}: YARDMASTER_SEED={seed}");
        Self(seed)
    }

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

    /// Less than `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}
