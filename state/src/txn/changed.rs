//! The keys that a commit changes, put in order only when somebody looks: most of a batch is never scanned.

use std::sync::Arc;

/// A changed key, and where its entry is.
pub(super) type Place = (Arc<[u8]>, usize);

/// Changed keys, each once, by the table that their first byte names.
#[derive(Default)]
pub(super) struct Changed {
    tables: Vec<(u8, Keys)>,
}

#[derive(Default)]
struct Keys {
    places: Vec<Place>,
    /// So many of them stand in order.
    sorted: usize,
}

impl Changed {
    /// Notes a key that was not changed before.
    pub(super) fn insert(&mut self, key: Arc<[u8]>, place: usize) {
        let table = key.first().copied().unwrap_or_default();
        let found = self.tables.iter().position(|(id, _)| *id == table);
        let index = found.unwrap_or_else(|| {
            self.tables.push((table, Keys::default()));
            self.tables.len() - 1
        });
        if let Some((_, keys)) = self.tables.get_mut(index) {
            keys.push(key, place);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tables.iter().map(|(_, keys)| keys.places.len()).sum()
    }

    /// Those in `from..to`, in order; the range lies in one table.
    pub(super) fn range(&mut self, from: &[u8], to: &[u8]) -> &[Place] {
        let table = from.first().copied().unwrap_or_default();
        let Some((_, keys)) = self.tables.iter_mut().find(|(id, _)| *id == table) else {
            return &[];
        };
        keys.sort();
        let first = keys.places.partition_point(|(key, _)| key.as_ref() < from);
        let behind = keys.places.partition_point(|(key, _)| key.as_ref() < to);
        keys.places.get(first..behind).unwrap_or_default()
    }

    /// Forgets those of which `is_kept` says no.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&[u8], usize) -> bool) {
        for (_, keys) in &mut self.tables {
            keys.sort();
            keys.places.retain(|(key, place)| is_kept(key, *place));
            keys.sorted = keys.places.len();
        }
    }

    /// All, in order.
    pub(super) fn into_sorted(mut self) -> impl Iterator<Item = Place> {
        self.tables.sort_unstable_by_key(|(table, _)| *table);
        self.tables.into_iter().flat_map(|(_, mut keys)| {
            keys.sort();
            keys.places
        })
    }
}

impl Keys {
    fn push(&mut self, key: Arc<[u8]>, place: usize) {
        let is_last = self.places.last().is_none_or(|(last, _)| *last < key);
        if is_last && self.sorted == self.places.len() {
            self.sorted += 1;
        }
        self.places.push((key, place));
    }

    /// Stable sorts find the runs that are in order already: the part that was sorted before, and most of the rest.
    fn sort(&mut self) {
        if self.sorted < self.places.len() {
            self.places.sort_by(|(one, _), (other, _)| one.cmp(other));
            self.sorted = self.places.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(keys: &[&[u8]]) -> Changed {
        let mut changed = Changed::default();
        keys.iter().enumerate().for_each(|(place, key)| changed.insert(Arc::from(*key), place));
        changed
    }

    fn places(changed: &mut Changed, from: &[u8], to: &[u8]) -> Vec<usize> {
        changed.range(from, to).iter().map(|(_, place)| *place).collect()
    }

    #[test]
    fn ranges_are_in_order_whatever_came_when() {
        let mut changed = filled(&[&[2, 5], &[1, 9], &[2, 1], &[2, 7]]);
        assert_eq!(places(&mut changed, &[2], &[3]), [2, 0, 3]);
        changed.insert(Arc::from([2, 6].as_slice()), 4);
        assert_eq!(places(&mut changed, &[2, 5], &[2, 7]), [0, 4]);
        assert_eq!(places(&mut changed, &[3], &[4]), []);
        assert_eq!(changed.len(), 5);
    }

    #[test]
    fn all_of_them_are_in_order_of_table_and_key() {
        let mut changed = filled(&[&[2, 5], &[1, 9], &[2, 1], &[1, 3]]);
        changed.retain(|key, _| key != [1, 9]);
        changed.insert(Arc::from([1, 1].as_slice()), 4);
        let all: Vec<usize> = changed.into_sorted().map(|(_, place)| place).collect();
        assert_eq!(all, [4, 3, 2, 0]);
    }
}
