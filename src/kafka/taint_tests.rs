//! A producer whose transaction is committed, but met trouble on its way, is not used again. librdkafka's own mock of a
//! cluster makes the trouble.

use rdkafka::mocking::MockCluster;

use super::client::Connection;
use super::error::KafkaFailure;
use super::transaction::{OutRecord, Transactions};

const TOPICS: [&str; 2] = ["ns.changelog", "ns.events"];

fn send(transactions: &mut Transactions) {
    for topic in TOPICS {
        let record = OutRecord { topic, partition: Some(0), key: b"k", value: Some(b"v"), headers: &[] };
        transactions.send(record).unwrap();
    }
}

#[test]
fn a_producer_that_met_trouble_is_not_used_again() {
    let cluster = MockCluster::new(1).unwrap();
    for topic in TOPICS {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    let conn = Connection::new(cluster.bootstrap_servers());
    let mut transactions = Transactions::claim(&conn, "ns-0").unwrap();
    transactions.watch(TOPICS.map(str::to_owned));
    for _ in 0..3 {
        transactions.begin().unwrap();
        send(&mut transactions);
        transactions.commit().unwrap();
    }
    transactions.begin().unwrap();
    send(&mut transactions);
    // Every connection is cut: a request on it may be sent again on the next one.
    cluster.broker_down(1).unwrap();
    cluster.broker_up(1).unwrap();
    let delivered = transactions.commit().unwrap();
    assert_eq!(delivered.records, 2, "what is committed counts");
    let refused = transactions.begin();
    assert!(matches!(&refused, Err(KafkaFailure::Tainted(_))), "{refused:?}");
    drop(transactions);
    let mut fresh = Transactions::claim(&conn, "ns-0").unwrap();
    fresh.begin().unwrap();
    send(&mut fresh);
    fresh.commit().unwrap();
    assert_eq!(fresh.begin(), Ok(()));
}
