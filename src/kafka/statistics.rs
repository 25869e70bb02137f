//! What librdkafka reports about a client now and then. Only what is looked at is read of it: the report of a producer
//! lists every topic that it ever wrote to, which is every worker's channel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::consumer::ConsumerContext;
use serde::Deserialize;

/// How often a consumer of two topics reports: its high watermarks are the lag's.
pub(super) const CONSUMER_REPORT_MS: &str = "1000";
/// How often a producer reports, which may know thousands of topics.
pub(super) const PRODUCER_REPORT_MS: &str = "10000";

/// A report about one client, summed up over its brokers. Totals count from the client's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientReport {
    /// Requests sent.
    pub requests: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Requests that could not be sent.
    pub send_errors: u64,
    /// Answers that could not be received.
    pub receive_errors: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Requests without an answer in time.
    pub timeouts: u64,
    /// Connections that ended.
    pub disconnects: u64,
    /// Records in a producer's queue.
    pub queued: u64,
    /// Brokers that are connected.
    pub brokers_up: u64,
    /// The 99th percentile of round trips to the slowest broker lately; none without traffic.
    pub rtt: Option<Duration>,
}

/// Who wants to hear reports. Called on the thread that polls the client: it must be quick.
pub type Listener = Arc<dyn Fn(&ClientReport) + Send + Sync>;

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    msg_cnt: u64,
    #[serde(default)]
    tx: u64,
    #[serde(default)]
    tx_bytes: u64,
    #[serde(default)]
    rx_bytes: u64,
    #[serde(default)]
    brokers: BTreeMap<String, RawBroker>,
}

#[derive(Deserialize)]
struct RawBroker {
    #[serde(default)]
    nodeid: i32,
    #[serde(default)]
    state: String,
    #[serde(default)]
    txerrs: u64,
    #[serde(default)]
    rxerrs: u64,
    #[serde(default)]
    txretries: u64,
    #[serde(default)]
    req_timeouts: u64,
    #[serde(default)]
    disconnects: u64,
    rtt: Option<RawWindow>,
}

#[derive(Deserialize)]
struct RawWindow {
    #[serde(default)]
    cnt: u64,
    #[serde(default)]
    p99: u64,
}

#[derive(Deserialize)]
struct RawEnds {
    #[serde(default)]
    topics: BTreeMap<String, RawTopic>,
}

#[derive(Deserialize)]
struct RawTopic {
    #[serde(default)]
    partitions: BTreeMap<String, RawPartition>,
}

#[derive(Deserialize)]
struct RawPartition {
    #[serde(default)]
    hi_offset: i64,
}

/// Reads a report; none when it is not as librdkafka's documentation has it.
pub(super) fn report(json: &[u8]) -> Option<ClientReport> {
    let raw: Raw = serde_json::from_slice(json).ok()?;
    let mut report = ClientReport {
        requests: raw.tx,
        sent_bytes: raw.tx_bytes,
        received_bytes: raw.rx_bytes,
        queued: raw.msg_cnt,
        ..ClientReport::default()
    };
    for broker in raw.brokers.into_values() {
        report.send_errors += broker.txerrs;
        report.receive_errors += broker.rxerrs;
        report.retries += broker.txretries;
        report.timeouts += broker.req_timeouts;
        report.disconnects += broker.disconnects;
        // Bootstrap addresses and coordinators are listed as brokers below 0; each is a known broker as well.
        report.brokers_up += u64::from(broker.nodeid >= 0 && broker.state == "UP");
        let rtt = broker.rtt.filter(|window| window.cnt > 0).map(|window| Duration::from_micros(window.p99));
        report.rtt = report.rtt.max(rtt);
    }
    Some(report)
}

/// A consumer's context that keeps the high watermarks of what it reads.
#[derive(Default)]
pub(super) struct Ends {
    listener: Option<Listener>,
    /// Topic, partition, high watermark; below 0 while it is not known.
    places: Vec<(String, i32, AtomicI64)>,
    reports: AtomicU64,
}

impl Ends {
    /// Of these topics and partitions.
    pub(super) fn of(listener: Listener, places: &[(String, i32, i64)]) -> Self {
        let places = places.iter();
        Self {
            listener: Some(listener),
            places: places.map(|(topic, number, _)| (topic.clone(), *number, AtomicI64::new(-1))).collect(),
            reports: AtomicU64::new(0),
        }
    }

    /// The high watermark of a place, as of the last report.
    pub(super) fn end(&self, index: usize) -> Option<i64> {
        let (_, _, end) = self.places.get(index)?;
        Some(end.load(Ordering::Relaxed)).filter(|end| *end >= 0)
    }

    /// How many reports came.
    pub(super) fn reports(&self) -> u64 {
        self.reports.load(Ordering::Relaxed)
    }

    fn note_ends(&self, json: &[u8]) {
        let Ok(raw) = serde_json::from_slice::<RawEnds>(json) else { return };
        for (topic, number, end) in &self.places {
            let partition = raw.topics.get(topic).and_then(|raw| raw.partitions.get(&number.to_string()));
            if let Some(partition) = partition {
                end.store(partition.hi_offset, Ordering::Relaxed);
            }
        }
    }
}

impl ClientContext for Ends {
    fn stats_raw(&self, json: &[u8]) {
        self.reports.fetch_add(1, Ordering::Relaxed);
        self.note_ends(json);
        if let (Some(listener), Some(report)) = (&self.listener, report(json)) {
            listener(&report);
        }
    }
}

impl ConsumerContext for Ends {}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"name":"rdkafka#consumer-1","msg_cnt":3,"tx":10,"tx_bytes":1000,"rx_bytes":2000,"brokers":{
        "b:9092/bootstrap":{"nodeid":-1,"state":"UP","txerrs":1,"rxerrs":0,"txretries":0,"req_timeouts":0},
        "b:9092/1":{"nodeid":1,"state":"UP","txerrs":1,"rxerrs":2,"txretries":3,"req_timeouts":4,"disconnects":5,
            "rtt":{"cnt":7,"p99":1500,"avg":3}},
        "b:9093/2":{"nodeid":2,"state":"DOWN","rtt":{"cnt":0,"p99":9000}}},
        "topics":{"ns.tasks":{"partitions":{"0":{"hi_offset":42},"-1":{"hi_offset":-1001}}}}}"#;

    #[test]
    fn a_report_is_summed_up_over_brokers() {
        let report = report(JSON.as_bytes()).unwrap();
        let troubles = [report.send_errors, report.receive_errors, report.retries, report.timeouts];
        assert_eq!((troubles, report.disconnects), ([2, 2, 3, 4], 5));
        assert_eq!((report.brokers_up, report.queued, report.requests), (1, 3, 10));
        assert_eq!(
            report.rtt,
            Some(Duration::from_micros(1_500)),
            "a broker without round trips says nothing"
        );
    }

    #[test]
    fn ends_are_known_once_they_were_reported() {
        let places = [("ns.tasks".to_owned(), 0, 0), ("ns.status".to_owned(), 0, 0)];
        let ends = Ends::of(Arc::new(|_| {}), &places);
        assert_eq!((ends.end(0), ends.reports()), (None, 0));
        ends.stats_raw(JSON.as_bytes());
        assert_eq!((ends.end(0), ends.end(1), ends.reports()), (Some(42), None, 1));
    }
}
