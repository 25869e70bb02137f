//! Label values that users choose, held to a number: the largest by name, the rest summed up under [`OVERFLOW`].

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The value that stands for all names that have no series of their own. No name of a pool or queue has a `_`.
pub const OVERFLOW: &str = "_overflow";

/// Numbers that can be added up.
pub(super) trait Sum: Default {
    /// Adds another one's.
    fn add(&mut self, other: &Self);
}

/// The `max` largest of any number of things, and the sum of the others. Memory does not grow with them.
#[derive(Debug)]
pub(super) struct Largest<K, V> {
    max: usize,
    kept: BTreeMap<(Reverse<u64>, K), V>,
    rest: Option<V>,
}

impl<K: Ord, V: Sum> Largest<K, V> {
    /// None yet.
    #[must_use]
    pub(super) fn new(max: usize) -> Self {
        Self { max, kept: BTreeMap::new(), rest: None }
    }

    /// One more, which must not have been added before. Of equal ones the first by name stay.
    pub(super) fn add(&mut self, name: K, size: u64, value: V) {
        self.kept.insert((Reverse(size), name), value);
        if self.kept.len() > self.max
            && let Some((_, smallest)) = self.kept.pop_last()
        {
            self.rest.get_or_insert_default().add(&smallest);
        }
    }

    /// Those that have their own name, the largest first.
    pub(super) fn named(&self) -> impl Iterator<Item = (&K, &V)> {
        self.kept.iter().map(|((_, name), value)| (name, value))
    }

    /// All others together; none when there are no others.
    #[must_use]
    pub(super) fn rest(&self) -> Option<&V> {
        self.rest.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Sum for u64 {
        fn add(&mut self, other: &Self) {
            *self += other;
        }
    }

    #[test]
    fn the_largest_have_names_and_nothing_is_lost() {
        let mut largest = Largest::new(3);
        for number in 0..5_000_u64 {
            largest.add(format!("n-{number}"), number, number);
        }
        let named: Vec<u64> = largest.named().map(|(_, value)| *value).collect();
        assert_eq!(named, [4_999, 4_998, 4_997]);
        assert_eq!(largest.rest().copied(), Some((0..4_997).sum()));
    }

    #[test]
    fn few_have_no_rest() {
        let mut largest = Largest::new(3);
        largest.add("a", 0, 1_u64);
        assert_eq!((largest.named().count(), largest.rest()), (1, None));
    }
}
