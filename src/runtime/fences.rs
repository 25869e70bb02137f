//! How often a partition is claimed again after another process has claimed it. A fence or two happen while a placement
//! moves; more of them mean that two living processes take the partition from each other, and one has to leave it alone, or
//! neither ever gets to work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often a partition is claimed again within [`WITHIN`].
const CLAIMS_MAX: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);

/// The fences that were met lately, by partition.
#[derive(Debug, Default)]
pub(super) struct Fences {
    met: BTreeMap<i32, Vec<Instant>>,
    left: BTreeSet<i32>,
}

impl Fences {
    /// A processor was fenced while its partition is placed here. Returns whether it may claim the partition again; when
    /// not, the partition is left alone from now on.
    pub(super) fn met(&mut self, partition: i32, now: Instant) -> bool {
        let met = self.met.entry(partition).or_default();
        met.retain(|at| now.duration_since(*at) < WITHIN);
        met.push(now);
        let may_claim = met.len() <= CLAIMS_MAX;
        if !may_claim {
            self.left.insert(partition);
        }
        may_claim
    }

    /// Whether a partition is left alone.
    pub(super) fn is_left(&self, partition: i32) -> bool {
        self.left.contains(&partition)
    }

    /// These are placed here. What is placed elsewhere begins anew when it comes back.
    pub(super) fn placed(&mut self, own: &BTreeSet<i32>) {
        self.met.retain(|partition, _| own.contains(partition));
        self.left.retain(|partition| own.contains(partition));
    }
}

/// The words about a partition that is left alone: who has it, as far as that is known, and what to do.
pub(super) fn words(transactional_id: &str, epoch: u64, claimant: Option<&str>) -> String {
    let who = match claimant {
        Some(claimant) => format!("{claimant} says that it serves it"),
        None => format!(
            "no instance of this namespace says that it serves it, so another program uses the transactional id \
             {transactional_id}"
        ),
    };
    format!(
        "this partition is left alone: it was taken from this instance {} times within a minute, though the placement \
         (epoch {epoch}) gives it to this one. A living process has claimed {transactional_id}: {who}. Nothing is lost. Stop \
         that process, or give it another namespace; then start this instance again",
        CLAIMS_MAX + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_claimed_again_three_times_a_minute() {
        let now = Instant::now();
        let at = |second| now + Duration::from_secs(second);
        let mut fences = Fences::default();
        assert!([0, 1, 2].map(|second| fences.met(7, at(second))).into_iter().all(|may| may));
        assert!(!fences.is_left(7));
        assert!(fences.met(8, at(3)), "each partition counts for itself");
        assert!(!fences.met(7, at(59)));
        assert!(fences.is_left(7) && !fences.is_left(8));
    }

    #[test]
    fn fences_that_come_now_and_then_are_no_fight() {
        let now = Instant::now();
        let mut fences = Fences::default();
        assert!((0..20).all(|number| fences.met(7, now + Duration::from_secs(25 * number))));
    }

    #[test]
    fn a_partition_that_was_placed_elsewhere_begins_anew() {
        let now = Instant::now();
        let mut fences = Fences::default();
        assert!(!(0..4).all(|_| fences.met(7, now)));
        fences.placed(&BTreeSet::from([7]));
        assert!(fences.is_left(7), "still here");
        fences.placed(&BTreeSet::new());
        assert!(!fences.is_left(7) && fences.met(7, now));
    }

    #[test]
    fn the_words_name_who_and_what_to_do() {
        let known = words("ns-3", 12, Some("instance two at http://b:9733"));
        assert!(
            known.contains("epoch 12") && known.contains("instance two at http://b:9733 says"),
            "{known}"
        );
        assert!(known.contains("Stop that process"), "{known}");
        assert!(words("ns-3", 12, None).contains("another program uses the transactional id ns-3"));
    }
}
