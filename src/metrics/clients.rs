//! What librdkafka says about its clients, summed up by what they are for.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{GaugeVec, IntCounter, IntCounterVec};

use super::families::Families;
use super::names;
use super::vecs::Vecs;
use crate::kafka::{Call, ClientReport, Listener, OpenCall, open_calls};

/// The clients of a processor.
pub(super) const CLIENTS: [&str; 2] = ["inputs", "transactions"];

/// The calls that take longer than they should, as of now.
pub(super) fn overdue(out: &mut Families) {
    let overdue: Vec<OpenCall> = open_calls().into_iter().filter(OpenCall::is_overdue).collect();
    for call in Call::ALL {
        let count = overdue.iter().filter(|open| open.call == call).count();
        out.gauge(&names::KAFKA_OVERDUE, &[call.name()], count as f64);
    }
}

/// The figures of all clients.
pub(super) struct Clients {
    rtt: GaugeVec,
    queued: GaugeVec,
    brokers: GaugeVec,
    requests: IntCounterVec,
    bytes: IntCounterVec,
    troubles: IntCounterVec,
}

impl Clients {
    /// Nothing heard yet.
    pub(super) fn new(vecs: &Vecs) -> Self {
        Self {
            rtt: vecs.gauge(&names::KAFKA_RTT),
            queued: vecs.gauge(&names::KAFKA_QUEUED),
            brokers: vecs.gauge(&names::KAFKA_BROKERS),
            requests: vecs.counter(&names::KAFKA_REQUESTS),
            bytes: vecs.counter(&names::KAFKA_BYTES),
            troubles: vecs.counter(&names::KAFKA_TROUBLES),
        }
    }

    /// Listens to a new client of a partition. Its totals begin at zero: what it adds to ours is what they have grown by.
    pub(super) fn listener(&self, client: &'static str, partition: i32) -> Listener {
        let labels = [client, &partition.to_string()];
        let [rtt, queued, brokers] =
            [&self.rtt, &self.queued, &self.brokers].map(|vec| vec.with_label_values(&labels));
        let totals = self.totals(client);
        let before = Mutex::new([0; TOTALS]);
        Arc::new(move |report: &ClientReport| {
            if let Some(slowest) = report.rtt {
                rtt.set(slowest.as_secs_f64());
            }
            queued.set(report.queued as f64);
            brokers.set(report.brokers_up as f64);
            let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
            let now = of(report);
            for ((counter, now), before) in totals.iter().zip(now).zip(*before) {
                counter.inc_by(now.saturating_sub(before));
            }
            *before = now;
        })
    }

    fn totals(&self, client: &str) -> [IntCounter; TOTALS] {
        let trouble = |what| self.troubles.with_label_values(&[client, what]);
        [
            self.requests.with_label_values(&[client]),
            self.bytes.with_label_values(&[client, "sent"]),
            self.bytes.with_label_values(&[client, "received"]),
            trouble("send_error"),
            trouble("receive_error"),
            trouble("retry"),
            trouble("timeout"),
            trouble("disconnect"),
        ]
    }

    /// A partition's clients are gone.
    pub(super) fn forget(&self, partition: &str) {
        for client in CLIENTS {
            for vec in [&self.rtt, &self.queued, &self.brokers] {
                drop(vec.remove_label_values(&[client, partition]));
            }
        }
    }
}

const TOTALS: usize = 8;

/// In the order of [`Clients::totals`].
fn of(report: &ClientReport) -> [u64; TOTALS] {
    [
        report.requests,
        report.sent_bytes,
        report.received_bytes,
        report.send_errors,
        report.receive_errors,
        report.retries,
        report.timeouts,
        report.disconnects,
    ]
}
