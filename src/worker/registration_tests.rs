//! A registration on a line that answers as it is told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use yardmaster_topologies::id::{Pool, WorkerName};

use super::*;
use crate::worker::link::{LinkError, Ticket};
use crate::worker::session::OnServerLost;

/// A broker that acknowledges what it is sent, until it is gone; and a server that answers a hello and gives one task.
#[derive(Default)]
struct Shared {
    lease_ms: u64,
    records: Mutex<Vec<String>>,
    call: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
    is_gone: std::sync::atomic::AtomicBool,
}

struct Scripted {
    shared: Arc<Shared>,
    messages: Vec<Vec<u8>>,
    delivered: Vec<(Ticket, bool)>,
    next: u64,
}

impl Scripted {
    /// What the server says to a hello.
    fn answer(&mut self, hello: &serde_json::Value) {
        let to = |kind: &str, seq: u64, more: &str| {
            let incarnation = &hello["incarnation"];
            let head = format!(
                r#""v":1,"type":"{kind}","seq":{seq},"pool":"p","worker":"w","incarnation":{incarnation}"#
            );
            format!("{{{head},{more}}}").into_bytes()
        };
        let lease_ms = self.shared.lease_ms;
        let terms = format!(
            r#""protocol":1,"heartbeat_ms":{},"lease_ms":{lease_ms},"grace_ms":100,"limits":{{"result_bytes":100}},"adopt":[]"#,
            lease_ms / 5
        );
        self.messages.push(to("welcome", 1, &terms));
        self.messages.push(to(
            "assign",
            2,
            r#""task":"t","attempt":1,"token":"a","command":[],"env":{},"tags":{}"#,
        ));
        if let Some(call) = &*self.shared.call.lock().unwrap() {
            call();
        }
    }
}

impl Link for Scripted {
    fn channel_end(&mut self) -> Result<u64, LinkError> {
        Ok(0)
    }

    fn read_from(&mut self, _offset: u64) {}

    fn poll(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.messages)
    }

    fn on_arrival(&mut self, call: Arc<dyn Fn() + Send + Sync>) {
        *self.shared.call.lock().unwrap() = Some(call);
    }

    fn send(&mut self, record: &[u8]) -> Result<Ticket, LinkError> {
        let text = String::from_utf8(record.to_vec()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        if value["type"] == "hello" {
            self.answer(&value);
        }
        self.shared.records.lock().unwrap().push(text);
        self.next += 1;
        let has_arrived = !self.shared.is_gone.load(Ordering::SeqCst);
        self.delivered.push((Ticket(self.next), has_arrived));
        Ok(Ticket(self.next))
    }

    fn delivered(&mut self) -> Vec<(Ticket, bool)> {
        std::mem::take(&mut self.delivered)
    }
}

/// Runs a handler's one task.
fn registration(shared: &Arc<Shared>, handler: impl Handler + 'static) -> (Registration, Arc<Orders>) {
    let bell = Bell::default();
    let orders = Arc::new(Orders::new(vec![bell.clone()]));
    let registrant = Registrant {
        pool: Pool::trusted("p"),
        worker: WorkerName::trusted("w"),
        slots: 1,
        labels: BTreeMap::new(),
        on_server_lost: OnServerLost::FinishRunning,
    };
    let link = Scripted { shared: Arc::clone(shared), messages: Vec::new(), delivered: Vec::new(), next: 0 };
    let (link, handler) = (Box::new(link), Arc::new(handler));
    (Registration::new(registrant, link, handler, Arc::clone(&orders), bell), orders)
}

#[test]
fn a_task_is_run_and_reported_and_a_drain_says_goodbye() {
    let shared = Arc::new(Shared { lease_ms: 60_000, ..Shared::default() });
    let (ran, has_run) = channel();
    let ran = Mutex::new(ran);
    let (registration, orders) = registration(&shared, move |_: Assignment, _: &Control| {
        ran.lock().unwrap().send(()).unwrap();
        Finish::completed(None)
    });
    let thread = thread::spawn(move || registration.run());
    has_run.recv().unwrap();
    orders.drain();
    assert_eq!(thread.join().unwrap(), Departure::Left);
    let records = shared.records.lock().unwrap();
    assert!(records.first().unwrap().contains(r#""hello""#), "{records:?}");
    assert!(records.iter().any(|record| record.contains(r#""completed""#)), "{records:?}");
    assert!(records.last().unwrap().contains(r#""goodbye""#), "{records:?}");
}

#[test]
fn a_drain_ends_though_the_broker_is_gone_for_good() {
    let shared = Arc::new(Shared { lease_ms: 1_000, ..Shared::default() });
    let (ran, has_run) = channel();
    let (go, may_go) = channel::<()>();
    let ends = Mutex::new((ran, may_go));
    let (registration, orders) = registration(&shared, move |_: Assignment, _: &Control| {
        let ends = ends.lock().unwrap();
        ends.0.send(()).unwrap();
        ends.1.recv().unwrap();
        Finish::completed(None)
    });
    let thread = thread::spawn(move || registration.run());
    has_run.recv().unwrap();
    shared.is_gone.store(true, Ordering::SeqCst);
    orders.drain();
    go.send(()).unwrap();
    assert_eq!(thread.join().unwrap(), Departure::Left);
}

#[test]
fn a_goodbye_that_nobody_takes_is_not_said_for_ever() {
    let shared = Arc::new(Shared { lease_ms: 60_000, ..Shared::default() });
    let (registration, orders) =
        registration(&shared, move |_: Assignment, _: &Control| Finish::completed(None));
    shared.is_gone.store(true, Ordering::SeqCst);
    orders.stop();
    assert_eq!(registration.run(), Departure::Left);
}
