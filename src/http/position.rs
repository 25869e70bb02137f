//! The opaque position of a command, and waiting until it is applied: a submitter reads its own writes.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::locate::moving;
use super::parts::{OwnedPartition, Position};
use super::problem::{Answer, Problem};

/// How long a read waits for its position.
const APPLIED_WAIT: Duration = Duration::from_secs(5);
/// The most partitions that one token names.
const PARTITIONS_MAX: usize = 1_000;

/// Where the commands of a request landed: the last offset by partition. Opaque to clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Token(BTreeMap<i32, i64>);

impl Token {
    /// Adds the place of one more record.
    pub(crate) fn add(&mut self, position: Position) {
        let last = self.0.entry(position.partition).or_insert(position.offset);
        *last = (*last).max(position.offset);
    }

    /// Adds the places of another token.
    pub(crate) fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(partition, offset)| self.add(Position { partition, offset }));
    }

    /// Reads a token that a client got before.
    pub(crate) fn parse(text: &str) -> Answer<Self> {
        let bad = || {
            Problem::bad_field("min_position", "is not a position that this server gave out")
                .remedy("send the `position` of an earlier answer as it is, or leave it out")
        };
        let mut token = Self::default();
        for part in text.strip_prefix("p1.").ok_or_else(bad)?.split('_') {
            let (partition, offset) = part.split_once('-').ok_or_else(bad)?;
            let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            if !digits(partition) || !digits(offset) || token.0.len() >= PARTITIONS_MAX {
                return Err(bad());
            }
            token.add(Position {
                partition: partition.parse().map_err(|_| bad())?,
                offset: offset.parse().map_err(|_| bad())?,
            });
        }
        Ok(token)
    }

    /// The partitions that it names.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = i32> {
        self.0.keys().copied()
    }

    /// Waits, bounded, until `owned` has applied what this names of its partition.
    pub(crate) async fn wait(&self, owned: &OwnedPartition) -> Answer<()> {
        let Some(offset) = self.0.get(&owned.partition).copied() else {
            return Ok(());
        };
        tokio::select! {
            is_applied = applied(owned, offset, APPLIED_WAIT) => if is_applied {
                return Ok(());
            },
            () = owned.closed() => return Err(moving(&format!("partition {}", owned.partition))),
        }
        let waited = format!("and {} s of waiting were not enough", APPLIED_WAIT.as_secs());
        Err(not_applied(owned, offset, &waited))
    }

    /// Whether a copy, which nobody waits for, has applied what this names of its partition.
    pub(crate) fn reached(&self, copy: &OwnedPartition) -> Answer<()> {
        match self.0.get(&copy.partition).copied() {
            Some(offset) if copy.committed.borrow().tasks.0 <= offset => {
                Err(not_applied(copy, offset, "and this is a copy that is behind its owner"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn not_applied(owned: &OwnedPartition, offset: i64, why: &str) -> Problem {
    let (partition, reached) = (owned.partition, owned.committed.borrow().tasks);
    let detail =
        format!("partition {partition} has applied up to offset {reached}, asked for is {offset}, {why}");
    Problem::later("not_applied", detail).field("min_position")
}

/// Whether a partition has applied an offset within a time.
async fn applied(owned: &OwnedPartition, offset: i64, wait: Duration) -> bool {
    let mut committed = owned.committed.clone();
    let reached = committed.wait_for(|at| at.tasks.0 > offset);
    // An error of the channel: the partition has left.
    matches!(tokio::time::timeout(wait, reached).await, Ok(Ok(_)))
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (partition, offset)) in self.0.iter().enumerate() {
            let lead = if index == 0 { "p1." } else { "_" };
            write!(f, "{lead}{partition}-{offset}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote() {
        let mut token = Token::default();
        token.add(Position { partition: 3, offset: 17 });
        token.add(Position { partition: 3, offset: 12 });
        token.add(Position { partition: 0, offset: 5 });
        assert_eq!(token.to_string(), "p1.0-5_3-17");
        assert_eq!(Token::parse("p1.0-5_3-17").unwrap(), token);
    }

    #[test]
    fn refuses_what_is_not_one() {
        for text in
            ["", "3", "p1.", "p1.3", "p1.3-", "p1.-3", "p1.3--1", "p1.3-99999999999999999999", "p2.1-1"]
        {
            assert!(Token::parse(text).is_err(), "{text}");
        }
    }
}
