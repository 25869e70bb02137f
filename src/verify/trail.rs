//! What stands on one output partition, record by record, against what the batches send there.
//!
//! Only a hash of each record is kept: 16 bytes for a record of any size. What differs is read again to be shown.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

/// The hash of a record: key, value and headers, each with its length.
pub(super) fn record_hash(key: &[u8], value: Option<&[u8]>, headers: &[(String, Vec<u8>)]) -> u64 {
    let mut hash = Xxh3::new();
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(key);
    part(value.map_or(b"0", |_| b"1"));
    part(value.unwrap_or_default());
    for (name, value) in headers {
        part(name.as_bytes());
        part(value);
    }
    hash.digest()
}

/// What became of a record that a batch sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It stands where it must.
    Same,
    /// It was there before the first record that is still there.
    Gone,
    /// It stands where it must, behind a record at this offset that no batch has sent.
    Foreign(i64),
    /// Something else stands at this offset.
    Other(i64),
    /// The records end before it.
    Missing,
}

/// Something that was sent, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) sequence: u64,
    pub(super) key: String,
    pub(super) value: String,
}

/// The records of one partition, and how far they were met.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Offset and hash.
    records: Vec<(i64, u64)>,
    at: usize,
    /// The first record that is still there was met: from now on each must follow.
    is_met: bool,
    /// Where each hash stands first; made when it is needed.
    index: Option<BTreeMap<u64, usize>>,
    /// The partition still has its first record.
    has_beginning: bool,
    /// Everything that was ever sent is known.
    knows_all: bool,
    /// The first record that was sent and is not there, since the topic was last made.
    first_gone: Option<Sent>,
}

impl Trail {
    /// Of a partition that `has_beginning` if nothing was taken from its head, for batches that are known from the first
    /// one on, or not.
    pub(super) fn new(has_beginning: bool, knows_all: bool) -> Self {
        Self { has_beginning, knows_all, ..Self::default() }
    }

    /// A record that stands there.
    pub(super) fn push(&mut self, offset: i64, hash: u64) {
        self.records.push((offset, hash));
    }

    /// A batch sends this next. `sent` says what it is, if it must be there by now.
    pub(super) fn expect(&mut self, hash: u64, sent: impl FnOnce() -> Option<Sent>) -> Step {
        let here = self.records.get(self.at).copied();
        match here {
            Some((_, found)) if found == hash => {
                self.at += 1;
                self.is_met = true;
                Step::Same
            }
            Some((offset, _)) if self.is_met => {
                let is_behind = self.records.get(self.at + 1).is_some_and(|(_, next)| *next == hash);
                if is_behind { Step::Foreign(offset) } else { Step::Other(offset) }
            }
            None if self.is_met => Step::Missing,
            Some(_) | None => self.meet(hash, sent),
        }
    }

    /// Nothing was met yet: what is sent may lie before the records, or behind some of batches that are not known.
    fn meet(&mut self, hash: u64, sent: impl FnOnce() -> Option<Sent>) -> Step {
        let records = &self.records;
        let index = self.index.get_or_insert_with(|| {
            records.iter().enumerate().rev().map(|(place, (_, hash))| (*hash, place)).collect()
        });
        let Some(place) = index.get(&hash).copied() else {
            if self.first_gone.is_none() {
                self.first_gone = sent();
            }
            return Step::Gone;
        };
        let skipped = self.records.get(self.at).map(|(offset, _)| *offset);
        self.at = place + 1;
        self.is_met = true;
        match skipped {
            Some(offset) if self.knows_all => Step::Foreign(offset),
            Some(_) | None => Step::Same,
        }
    }

    /// Where the first record with this hash stands, of those not met yet.
    pub(super) fn place_of(&self, hash: u64) -> Option<usize> {
        self.records.iter().skip(self.at).position(|(_, found)| *found == hash)
    }

    /// The topic was deleted, or is given up: what was in it can't be looked for.
    pub(super) fn forget(&mut self) {
        self.first_gone = None;
    }

    /// Whether it was sent and is not there, though nothing was taken from the head.
    pub(super) fn lost(&self) -> Option<&Sent> {
        self.first_gone.as_ref().filter(|_| self.has_beginning && self.knows_all)
    }

    /// The offset of the first record that no batch has sent.
    pub(super) fn left_over(&self) -> Option<i64> {
        let is_known = self.knows_all || self.is_met;
        self.records.get(self.at).map(|(offset, _)| *offset).filter(|_| is_known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(has_beginning: bool, knows_all: bool, hashes: &[u64]) -> Trail {
        let mut trail = Trail::new(has_beginning, knows_all);
        for (number, hash) in hashes.iter().enumerate() {
            // Markers of transactions take offsets, too.
            trail.push(number as i64 * 2, *hash);
        }
        trail
    }

    fn steps(trail: &mut Trail, hashes: &[u64]) -> Vec<Step> {
        let sent = |hash: u64| Some(Sent { sequence: hash, key: String::new(), value: String::new() });
        hashes.iter().map(|hash| trail.expect(*hash, || sent(*hash))).collect()
    }

    #[test]
    fn the_same_records_match_and_nothing_is_left() {
        let mut trail = trail(true, true, &[1, 2, 2, 3]);
        assert_eq!(steps(&mut trail, &[1, 2, 2, 3]), [Step::Same; 4]);
        assert_eq!((trail.left_over(), trail.lost()), (None, None));
    }

    #[test]
    fn a_record_too_many_is_found_wherever_it_stands() {
        assert_eq!(steps(&mut trail(true, true, &[9, 1, 2]), &[1]), [Step::Foreign(0)]);
        assert_eq!(steps(&mut trail(true, true, &[1, 1, 2]), &[1, 2]), [Step::Same, Step::Foreign(2)]);
        let mut last = trail(true, true, &[1, 2, 2]);
        steps(&mut last, &[1, 2]);
        assert_eq!(last.left_over(), Some(4));
        assert_eq!(trail(true, true, &[7]).left_over(), Some(0), "nothing was ever sent there");
    }

    #[test]
    fn a_record_too_few_is_found_unless_it_may_have_been_taken_away() {
        assert_eq!(steps(&mut trail(true, true, &[1, 3]), &[1, 2]), [Step::Same, Step::Other(2)]);
        assert_eq!(steps(&mut trail(true, true, &[1]), &[1, 2]), [Step::Same, Step::Missing]);
        let mut first = trail(true, true, &[2, 3]);
        assert_eq!(steps(&mut first, &[1, 2, 3]), [Step::Gone, Step::Same, Step::Same]);
        assert_eq!(first.lost().map(|sent| sent.sequence), Some(1));
        first.forget();
        assert_eq!(first.lost(), None, "the topic was made again meanwhile");
        let mut retained = trail(false, true, &[2, 3]);
        steps(&mut retained, &[1, 2, 3]);
        assert_eq!((retained.lost(), retained.left_over()), (None, None));
    }

    #[test]
    fn what_was_sent_before_the_first_known_batch_is_passed_over() {
        let mut late = trail(true, false, &[1, 2, 3]);
        assert_eq!(steps(&mut late, &[3]), [Step::Same]);
        assert_eq!(late.left_over(), None);
        assert_eq!(trail(true, false, &[1]).left_over(), None);
    }

    #[test]
    fn headers_and_a_missing_value_count() {
        let header = |name: &str| vec![(name.to_owned(), b"x".to_vec())];
        let plain = record_hash(b"k", Some(b"v"), &[]);
        assert_ne!(plain, record_hash(b"k", Some(b"v"), &header("a")));
        assert_ne!(record_hash(b"k", None, &[]), record_hash(b"k", Some(b""), &[]));
        assert_ne!(record_hash(b"kv", Some(b""), &[]), plain);
    }
}
