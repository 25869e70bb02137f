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
                    tracing::warn!(%error, "statuses wait");
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
