//! A reader that should come to the end of a partition and stands still: notices it, asks why, and puts it into words. An
//! open transaction is waited for, a log that was cut is a failure, and a reader that just does not get there is given up.

use std::time::{Duration, Instant};

use yardmaster_state::{Schema as _, is_batch_key};
use yardmaster_topologies::tables::GridSchema;

use super::clock::wall;
use crate::kafka::{Connection, KafkaFailure, Standstill, UndecidedRecord, standstill};

/// A reader that reads nothing for so long is asked why.
const STANDS_AFTER: Duration = Duration::from_secs(3);
/// How often it is asked again.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// A reader that reads nothing for so long, for no reason that can be found, is replaced by another one.
const STALL: Duration = Duration::from_secs(60);

/// What is read, and up to where.
#[derive(Clone, Copy)]
pub(super) struct Goal<'g> {
    pub(super) conn: &'g Connection,
    pub(super) topic: &'g str,
    pub(super) partition: i32,
    pub(super) end: i64,
}

/// Whether a reader moves.
pub(super) struct Standing {
    stood_at: i64,
    moved_at: Instant,
    asked_at: Option<Instant>,
}

impl Standing {
    /// At the place where it begins.
    pub(super) fn begin(at: i64) -> Self {
        Self { stood_at: at, moved_at: Instant::now(), asked_at: None }
    }

    /// To be told where the reader is when it read nothing for a moment. Returns what it waits for, when it is time to say
    /// so.
    ///
    /// # Errors
    /// When it will never get there: `Lost` when the log was cut, `Unreachable` when another reader has to try.
    pub(super) fn look(&mut self, goal: Goal<'_>, here: i64) -> Result<Option<String>, KafkaFailure> {
        let now = Instant::now();
        if here != self.stood_at {
            *self = Self { stood_at: here, moved_at: now, asked_at: None };
        }
        let stands_for = now.duration_since(self.moved_at);
        let is_asked = self.asked_at.is_some_and(|at| now.duration_since(at) < ASK_EVERY);
        if stands_for < STANDS_AFTER || is_asked {
            return Ok(None);
        }
        self.asked_at = Some(now);
        let Goal { conn, topic, partition, end } = goal;
        match standstill(conn, topic, partition, end)? {
            Standstill::Cut { first, end: last } => {
                Err(KafkaFailure::Lost { topic: topic.to_owned(), partition, wanted: end, first, last })
            }
            Standstill::Undecided { offset, record } => Ok(Some(undecided(goal, offset, record.as_ref()))),
            Standstill::Nothing if stands_for > STALL => Err(KafkaFailure::Unreachable(format!(
                "{topic}-{partition} can be read up to {end}, but its reader does not get there"
            ))),
            Standstill::Nothing => Ok(None),
        }
    }
}

/// What a reader waits for, whose transaction that is as far as Kafka tells it, and what can be done.
fn undecided(goal: Goal<'_>, offset: i64, record: Option<&UndecidedRecord>) -> String {
    let Goal { conn, topic, partition, .. } = goal;
    let what = record.map_or_else(String::new, |record| format!(" ({})", described(record)));
    let tool = format!("kafka-transactions.sh --bootstrap-server {}", conn.bootstrap);
    let place = format!("--topic {topic} --partition {partition}");
    format!(
        "a transaction is open in {topic}-{partition} since offset {offset}{what}. It is a foreign one: this partition's own \
         producer was fenced before. `{tool} describe-producers {place}` names its producer. It goes on when that producer \
         commits or aborts, or when its transaction.timeout.ms is over; if it is gone and the transaction stays, end it: \
         `{tool} abort {place} --start-offset {offset}`"
    )
}

fn described(record: &UndecidedRecord) -> String {
    let table = record.key.first().and_then(|table| GridSchema.name(*table));
    let what = match table {
        _ if is_batch_key(&record.key) => "a batch record".to_owned(),
        Some(table) => format!("a row of the table {table}"),
        None => format!("a record with the key \"{}\"", record.key.escape_ascii()),
    };
    let at = record.timestamp_ms.and_then(|at| u64::try_from(at).ok());
    match at {
        Some(at) => format!("{what}, written {} s ago", wall().0.saturating_sub(at) / 1_000),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use yardmaster_topologies::tables::byte;

    use super::*;

    #[test]
    fn an_open_transaction_is_named_with_the_command_that_ends_it() {
        let conn = Connection::new("b:9092");
        let goal = Goal { conn: &conn, topic: "ns.changelog", partition: 3, end: 50 };
        let record = UndecidedRecord { key: vec![byte::TASK, 1], timestamp_ms: None };
        let text = undecided(goal, 42, Some(&record));
        assert!(text.contains("open in ns.changelog-3 since offset 42 (a row of the table task)"), "{text}");
        let command = "kafka-transactions.sh --bootstrap-server b:9092 abort --topic ns.changelog --partition 3 \
                       --start-offset 42";
        assert!(text.contains(command), "{text}");
        let foreign = UndecidedRecord { key: b"some\n".to_vec(), timestamp_ms: None };
        assert_eq!(described(&foreign), "a record with the key \"some\\n\"");
    }

    #[test]
    fn who_moves_is_not_asked() {
        let conn = Connection::new("localhost:1");
        let goal = Goal { conn: &conn, topic: "ns.changelog", partition: 3, end: 50 };
        let mut standing = Standing::begin(10);
        standing.moved_at -= STALL;
        // It would take seconds to find nobody at that address.
        assert_eq!(standing.look(goal, 11), Ok(None));
        assert_eq!((standing.stood_at, standing.asked_at), (11, None));
    }
}
