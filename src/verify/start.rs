//! With which batch a replay begins: the first one if everything is still there, else one whose state is known.

use yardmaster_state::{Checkpoint, NextOffset};

use super::claims::{Claim, Seen};
use super::fold::begins_at;
use crate::kafka::Span;

/// Where a replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// With the first batch, over an empty store.
    Empty,
    /// Behind what the store holds.
    Store,
    /// With this batch, over what the changelog came to before this offset.
    Fold(u64, NextOffset),
}

impl Start {
    /// The first batch that is decided again.
    pub(super) fn sequence(self, checkpoint: Option<&Checkpoint>) -> u64 {
        match self {
            Self::Empty => 1,
            Self::Store => checkpoint.map_or(1, |checkpoint| checkpoint.sequence + 1),
            Self::Fold(sequence, _) => sequence,
        }
    }
}

/// What the first pass saw of places to begin at.
#[derive(Debug, Default)]
pub(super) struct Beginnings {
    /// What was asked for.
    wanted: Option<u64>,
    /// Where the inputs begin.
    inputs: [i64; 2],
    /// The first batch whose inputs are all there, and where the changelog stood before it, if that is known in full.
    reachable: Option<(u64, Option<NextOffset>)>,
    /// The same of the batch that was asked for.
    asked: Option<(u64, Option<NextOffset>)>,
    /// Where the batch before ended, while no row is missing.
    ended: Option<NextOffset>,
}

impl Beginnings {
    pub(super) fn new(wanted: Option<u64>, inputs: &[Span; 2]) -> Self {
        let inputs = inputs.each_ref().map(|span| span.from);
        Self { wanted, inputs, ended: Some(NextOffset(0)), ..Self::default() }
    }

    /// Takes note of a batch; `seen` includes it.
    pub(super) fn see(&mut self, claim: &Claim, seen: &Seen) {
        let sequence = claim.record.sequence;
        let is_there = begins_at(claim).iter().zip(self.inputs).all(|(from, first)| *from >= first);
        if is_there {
            self.reachable.get_or_insert((sequence, self.ended));
            if self.wanted == Some(sequence) {
                self.asked = Some((sequence, self.ended));
            }
        }
        self.ended = seen.is_whole.then_some(NextOffset(claim.offset + 1));
    }

    /// Where to begin; else why nowhere. `knows_first`: the first batch is known, from wherever.
    pub(super) fn choose(
        &self,
        knows_first: bool,
        store: Option<&Checkpoint>,
        last: u64,
    ) -> Result<Start, String> {
        let reaches_back = self.inputs == [0, 0];
        let holds = |checkpoint: &&Checkpoint| {
            let at = checkpoint.inputs.iter().map(|next| next.0);
            checkpoint.sequence > 0 && at.zip(self.inputs).all(|(next, first)| next >= first)
        };
        let store = store.filter(holds);
        let is_before = |sequence: u64| store.is_some_and(|store| store.sequence + 1 == sequence);
        match self.wanted {
            Some(wanted) if wanted > last => {
                Err(format!("batch {wanted} is not there: the last one is {last}"))
            }
            Some(0 | 1) if knows_first && reaches_back => Ok(Start::Empty),
            Some(wanted) if is_before(wanted) => Ok(Start::Store),
            Some(wanted) => match self.asked {
                Some((sequence, Some(end))) => Ok(Start::Fold(sequence, end)),
                Some((_, None)) => Err(format!(
                    "batch {wanted}: compaction has taken rows from the changelog before it, so what it was decided on is \
                     not known; give a copy of a store that stands at batch {}",
                    wanted.saturating_sub(1)
                )),
                None => Err(format!("batch {wanted}: its inputs are gone; {}", self.nearest())),
            },
            None if knows_first && reaches_back => Ok(Start::Empty),
            None => match self.reachable {
                Some((sequence, Some(end))) => Ok(Start::Fold(sequence, end)),
                _ if store.is_some_and(|store| store.sequence < last) => Ok(Start::Store),
                Some((_, None)) | None => Err(self.nearest()),
            },
        }
    }

    fn nearest(&self) -> String {
        let [tasks, status] = self.inputs;
        let gone = format!("the inputs begin at offsets {tasks} (tasks) and {status} (status)");
        match self.reachable {
            Some((sequence, _)) => format!(
                "{gone}: batches from {sequence} on can be decided again, from a store that stands at batch {} or behind it \
                 (--state-dir with an older copy)",
                sequence.saturating_sub(1)
            ),
            None => format!("{gone}: no batch has all of its records any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use yardmaster_state::BatchRecord;

    use super::*;

    fn span(from: i64) -> Span {
        Span { topic: "t".to_owned(), partition: 0, from, end: 100 }
    }

    /// Batches of ten records of `tasks` each; from `compacted` on rows are missing.
    fn seen(wanted: Option<u64>, first: i64, batches: u64, compacted: u64) -> Beginnings {
        let mut beginnings = Beginnings::new(wanted, &[span(first), span(0)]);
        for sequence in 1..=batches {
            let from = (sequence as i64 - 1) * 10;
            let inputs = vec![(NextOffset(from), NextOffset(from + 10)), (NextOffset(0), NextOffset(0))];
            let record = BatchRecord::decode(
                &yardmaster_state::Batch::default()
                    .sealed(yardmaster_state::Seal { sequence, inputs, ..yardmaster_state::Seal::default() })
                    .encode(),
            )
            .unwrap();
            let is_whole = sequence < compacted;
            let claim = Claim { record, offset: from, rows: Vec::new(), is_whole, torn: Vec::new() };
            beginnings.see(&claim, &Seen { is_whole, ..Seen::default() });
        }
        beginnings
    }

    fn checkpoint(sequence: u64) -> Checkpoint {
        let inputs = vec![NextOffset(sequence as i64 * 10), NextOffset(0)];
        Checkpoint { sequence, inputs, ..Checkpoint::default() }
    }

    #[test]
    fn begins_with_the_first_batch_when_all_is_there() {
        assert_eq!(seen(None, 0, 5, 9).choose(true, None, 5), Ok(Start::Empty));
        assert_eq!(seen(Some(1), 0, 5, 9).choose(true, None, 5), Ok(Start::Empty));
    }

    #[test]
    fn begins_where_inputs_begin_when_the_state_there_is_known() {
        assert_eq!(seen(None, 20, 5, 9).choose(true, None, 5), Ok(Start::Fold(3, NextOffset(11))));
        assert_eq!(seen(Some(4), 0, 5, 9).choose(true, None, 5), Ok(Start::Fold(4, NextOffset(21))));
        // A store is as good as a fold, and needs no log before it.
        let old = checkpoint(3);
        assert_eq!(seen(None, 20, 5, 1).choose(true, Some(&old), 5), Ok(Start::Store));
        assert_eq!(seen(Some(4), 20, 5, 1).choose(true, Some(&old), 5), Ok(Start::Store));
    }

    #[test]
    fn says_why_it_can_not_begin() {
        let why = seen(None, 20, 5, 1).choose(true, None, 5).unwrap_err();
        assert!(why.contains("batches from 3 on") && why.contains("--state-dir"), "{why}");
        let why = seen(None, 99, 5, 9).choose(true, Some(&checkpoint(5)), 5).unwrap_err();
        assert!(why.contains("no batch has all"), "{why}");
        let why = seen(Some(4), 0, 5, 2).choose(true, None, 5).unwrap_err();
        assert!(why.contains("compaction"), "{why}");
        assert!(seen(Some(9), 0, 5, 9).choose(true, None, 5).unwrap_err().contains("the last one is 5"));
    }
}
