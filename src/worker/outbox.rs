//! Statuses on their way out: several go as one record, and each is kept until the broker has acknowledged it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use yardmaster_topologies::event::{Status, StatusKind};
use yardmaster_topologies::wire::{RECORD_BYTES_MAX, encode_status, encode_status_batch};

use super::link::{Link, Ticket};

/// Statuses in one record.
const EVENTS_MAX: usize = 200;

/// While a record is under way, statuses wait so long for it and for each other, to share the next one.
pub(crate) const GATHER_TIME: Duration = Duration::from_millis(3);

/// Statuses of one registration, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pending: Vec<Status>,
    pending_since: Option<Instant>,
    in_flight: BTreeMap<Ticket, Sent>,
}

/// A record that is on its way, or has arrived.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Before it was given to the client: what a lease may count from.
    pub(crate) sent_at: Instant,
    pub(crate) statuses: Vec<Status>,
}

/// What became of statuses.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// The broker has them.
    Acknowledged(Sent),
    /// It has not. Ends are sent again by the outbox; the rest was true only then.
    Lost(Sent),
}

impl Outbox {
    /// Says something, at the next flush.
    pub(crate) fn push(&mut self, status: Status) {
        if let StatusKind::Progress { attempt, .. } = &status.kind {
            // Only the latest note of an attempt is of interest, however long the broker is away.
            let is_older = |kind: &StatusKind| matches!(kind, StatusKind::Progress { attempt: other, .. } if other == attempt);
            self.pending.retain(|waiting| !is_older(&waiting.kind));
        }
        self.pending.push(status);
    }

    /// Forgets everything: it spoke for an incarnation that is over.
    pub(crate) fn clear(&mut self) {
        self.pending.clear();
        self.in_flight.clear();
    }

    /// Whether everything that was said has arrived.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.in_flight.is_empty()
    }

    /// Sends what is pending, in as few records as the limits allow. What the link has no room for stays.
    pub(crate) fn flush(&mut self, link: &mut dyn Link, now: Instant) {
        if self.pending.is_empty() {
            return;
        }
        let since = *self.pending_since.get_or_insert(now);
        if !self.in_flight.is_empty() && now.duration_since(since) < GATHER_TIME {
            return;
        }
        self.pending_since = None;
        while !self.pending.is_empty() {
            let mut count = self.pending.len().min(EVENTS_MAX);
            let mut record = encode(self.pending.get(..count).unwrap_or_default());
            while record.len() > RECORD_BYTES_MAX && count > 1 {
                count /= 2;
                record = encode(self.pending.get(..count).unwrap_or_default());
            }
            match link.send(&record) {
                Ok(ticket) => {
                    let statuses = self.pending.drain(..count).collect();
                    self.in_flight.insert(ticket, Sent { sent_at: now, statuses });
                }
                Err(error) => {
                    tracing::warn!(%error, "the broker does not take what tasks report: it waits here and is sent again");
                    return;
                }
            }
        }
    }

    /// What became of what was sent, oldest first.
    pub(crate) fn take_deliveries(&mut self, link: &mut dyn Link) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let mut again = Vec::new();
        for (ticket, has_arrived) in link.delivered() {
            let Some(sent) = self.in_flight.remove(&ticket) else {
                continue;
            };
            if has_arrived {
                deliveries.push(Delivery::Acknowledged(sent));
            } else {
                again.extend(sent.statuses.iter().filter(|status| is_kept(status)).cloned());
                deliveries.push(Delivery::Lost(sent));
            }
        }
        self.pending.splice(0..0, again);
        deliveries
    }
}

/// A start, an end and a goodbye stay true; a hello or heartbeat is made anew when its time comes, a note is old by then.
fn is_kept(status: &Status) -> bool {
    !matches!(
        status.kind,
        StatusKind::Hello { .. } | StatusKind::Heartbeat { .. } | StatusKind::Progress { .. }
    )
}

fn encode(statuses: &[Status]) -> Vec<u8> {
    match statuses {
        [one] => encode_status(one),
        many => encode_status_batch(many),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use yardmaster_topologies::event::AttemptRef;
    use yardmaster_topologies::id::{Attempt, Incarnation, Pool, TaskId, Token, WorkerName};
    use yardmaster_topologies::task::{Json, Report};

    use super::*;
    use crate::worker::link::LinkError;

    /// Keeps what it is sent; what became of it is said by the test.
    #[derive(Default)]
    struct Line {
        records: Vec<String>,
        outcomes: Vec<(Ticket, bool)>,
    }

    impl Link for Line {
        fn channel_end(&mut self) -> Result<u64, LinkError> {
            Ok(0)
        }

        fn read_from(&mut self, _offset: u64) {}

        fn poll(&mut self) -> Vec<Vec<u8>> {
            Vec::new()
        }

        fn on_arrival(&mut self, _call: Arc<dyn Fn() + Send + Sync>) {}

        fn send(&mut self, record: &[u8]) -> Result<Ticket, LinkError> {
            self.records.push(String::from_utf8(record.to_vec()).unwrap());
            Ok(Ticket(self.records.len() as u64))
        }

        fn delivered(&mut self) -> Vec<(Ticket, bool)> {
            std::mem::take(&mut self.outcomes)
        }
    }

    fn status(kind: StatusKind) -> Status {
        Status {
            pool: Pool::trusted("p"),
            worker: WorkerName::trusted("w"),
            incarnation: Incarnation::trusted("one"),
            kind,
        }
    }

    fn attempt(task: &str) -> AttemptRef {
        AttemptRef { task: TaskId::trusted(task), attempt: Attempt(1), token: Token::trusted("a0") }
    }

    fn progress(task: &str, note: &str) -> Status {
        status(StatusKind::Progress { attempt: attempt(task), note: Some(Json(note.into())) })
    }

    #[test]
    fn of_notes_only_the_latest_goes_and_never_twice() {
        let (mut outbox, mut line, now) = (Outbox::default(), Line::default(), Instant::now());
        outbox.push(progress("a", "1"));
        outbox.push(progress("b", "2"));
        outbox.push(progress("a", "3"));
        outbox.push(status(StatusKind::Completed { attempt: attempt("a"), report: Report::default() }));
        outbox.flush(&mut line, now);
        let [record] = line.records.as_slice() else { panic!("{:?}", line.records) };
        assert_eq!(
            (record.matches("progress").count(), record.contains(r#""note":1"#)),
            (2, false),
            "{record}"
        );
        line.outcomes.push((Ticket(1), false));
        assert_eq!(outbox.take_deliveries(&mut line).len(), 1);
        outbox.flush(&mut line, now);
        let record = line.records.last().unwrap();
        assert!(record.contains("completed") && !record.contains("progress"), "{record}");
    }

    #[test]
    fn while_a_record_is_under_way_others_gather() {
        let (mut outbox, mut line, now) = (Outbox::default(), Line::default(), Instant::now());
        for (task, after) in [("a", 0), ("b", 0), ("c", 2), ("d", 3)] {
            outbox.push(status(StatusKind::Started { attempt: attempt(task) }));
            outbox.flush(&mut line, now + Duration::from_millis(after));
        }
        assert_eq!(line.records.len(), 2, "{:?}", line.records);
        outbox.push(status(StatusKind::Goodbye));
        line.outcomes.extend([(Ticket(1), true), (Ticket(2), true)]);
        outbox.take_deliveries(&mut line);
        outbox.flush(&mut line, now);
        assert_eq!(line.records.len(), 3, "nothing is waited for any more");
    }
}
