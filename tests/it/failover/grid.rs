//! Servers with ids, a worker in each of some pools, and a steady stream of tasks: a gap in it is a time without dispatch.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::cluster::{Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, await_some, bootstrap};
use yardmaster_checker::{Report, must_be_clean, read_all};

/// Enough names that each server owns some, wherever the hash puts them.
const POOLS: usize = 12;
/// The default.
pub(super) const PARTITIONS: usize = 8;
/// A task for each pool comes so often.
const EVERY: Duration = Duration::from_millis(25);
/// A copy that is so far behind has caught up: the owner goes on meanwhile.
const NEAR: i64 = 500;

/// Servers under load.
pub(super) struct Grid {
    pub(super) servers: BTreeMap<&'static str, Server>,
    pub(super) watch: Watch,
    namespace: String,
    fleets: Vec<Fleet>,
    load: Load,
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

impl Grid {
    /// Servers with these ids, which share the partitions and keep each other's copies.
    pub(super) fn start(test: &str, ids: &[&'static str]) -> Self {
        let options = ServerOptions::new(test);
        let server = |id: &&'static str| {
            let mut options = options.named(id).with("YARDMASTER_INSTANCE_ID", id);
            // Each in a rack of its own.
            options = options.with("YARDMASTER_INSTANCE_RACK", &format!("rack-{id}"));
            (*id, Server::start(&options))
        };
        let servers: BTreeMap<&'static str, Server> = ids.iter().map(server).collect();
        let namespace = options.namespace;
        let fleet = |number: usize| {
            let mut fleet = FleetOptions::new(&namespace, &pool(number));
            (fleet.workers, fleet.seed) = (1, 1);
            Fleet::start(fleet)
        };
        let fleets = (0..POOLS).map(fleet).collect();
        let (watch, load) = (Watch::start(&namespace), Load::start(&namespace));
        let grid = Self { servers, watch, namespace, fleets, load };
        grid.await_rest(ids);
        grid
    }

    pub(super) fn server(&mut self, id: &str) -> &mut Server {
        self.servers.get_mut(id).unwrap()
    }

    /// What each server says last.
    pub(super) fn words(&self) -> String {
        self.servers.values().fold(String::new(), |mut all, server| {
            writeln!(all, "{}", server.last_words()).unwrap();
            all
        })
    }

    /// The cluster as one server sees it.
    pub(super) fn view(&self, id: &str) -> Option<Value> {
        let answer = self.servers[id].http.try_get("/v1/cluster")?;
        (answer.status == 200).then(|| answer.json())
    }

    /// Waits until exactly these are there, everything is served, evenly, and each partition has a warm copy.
    pub(super) fn await_rest(&self, ids: &[&str]) -> Value {
        let what = format!("{ids:?} sharing evenly, with warm copies");
        let last = std::cell::RefCell::new(Value::Null);
        let words = || format!("{:#}\n{}", last.borrow(), self.words());
        await_some(&what, words, || {
            let view = self.view(ids[0])?;
            *last.borrow_mut() = view.clone();
            is_at_rest(&view, ids).then_some(view)
        })
    }

    /// Waits until a server sees everything served, by whom does not matter.
    pub(super) fn await_served(&self, id: &str, ids: &[&str]) {
        await_some(
            "all partitions served",
            || self.words(),
            || {
                let view = self.view(id)?;
                let is_there = |partition: &Value| {
                    partition["served"] == true && ids.contains(&partition["owner"].as_str().unwrap())
                };
                let all = view["partitions"].as_array()?;
                (all.len() == PARTITIONS && all.iter().all(is_there)).then_some(())
            },
        );
    }

    /// Waits until each pool was given work again, after a moment.
    pub(super) fn await_dispatch(&self, since_ms: u64) {
        let goes_on = |number: usize| {
            let name = pool(number);
            let is_later = |event: &Value| event["at_ms"].as_u64() > Some(since_ms);
            !self
                .watch
                .find(|event| event["type"] == "assigned" && event["pool"] == *name && is_later(event))
                .is_empty()
        };
        await_some("dispatch in every pool", || self.words(), || (0..POOLS).all(goes_on).then_some(()));
    }

    /// The longest time without an assignment after a moment, of each pool, shortest first.
    pub(super) fn gaps(&self, from_ms: u64) -> Vec<u64> {
        let mut gaps: Vec<u64> = (0..POOLS)
            .map(|number| {
                let name = pool(number);
                let assigned = self.watch.find(|event| event["type"] == "assigned" && event["pool"] == *name);
                let mut times: Vec<u64> =
                    assigned.iter().filter_map(|event| event["at_ms"].as_u64()).collect();
                times.sort_unstable();
                let from = times.partition_point(|at| *at < from_ms).saturating_sub(1);
                times[from..].windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
            })
            .collect();
        gaps.sort_unstable();
        gaps
    }

    /// Stops the load, waits for every task's end, and has the whole run judged.
    pub(super) fn finish(self) -> Report {
        let count = self.load.stop();
        let one = self.servers.values().next().unwrap();
        self.watch.await_ends(count, one);
        drop(self.fleets);
        let report = must_be_clean(&read_all(&bootstrap(), &self.namespace));
        assert_eq!((report.accepted, report.refused), (count, 0), "{report:?}");
        report
    }
}

fn pool(number: usize) -> String {
    format!("pool{number}")
}

fn is_at_rest(view: &Value, ids: &[&str]) -> bool {
    let instances = view["instances"].as_array().unwrap();
    let owned: Vec<usize> =
        instances.iter().map(|instance| instance["owns"].as_array().unwrap().len()).collect();
    let is_warm = |id: &Value, partition: &Value| {
        let keeper = instances.iter().find(|instance| instance["id"] == *id);
        let mut copies = keeper.into_iter().flat_map(|keeper| keeper["copies"].as_array().unwrap());
        copies.any(|copy| copy["partition"] == *partition && copy["behind"].as_i64() < Some(NEAR))
    };
    let is_kept = |place: &Value| {
        let standbys = place["standbys"].as_array().unwrap();
        place["served"] == true
            && standbys.len() == 1.min(ids.len() - 1)
            && standbys.iter().all(|id| is_warm(id, &place["partition"]))
    };
    let places = view["partitions"].as_array().unwrap();
    instances.iter().map(|instance| instance["id"].as_str().unwrap()).eq(ids.iter().copied())
        && owned.iter().sum::<usize>() == PARTITIONS
        && owned.iter().max().unwrap() - owned.iter().min().unwrap() <= 1
        && places.len() == PARTITIONS
        && places.iter().all(is_kept)
}

/// Submits to every pool, again and again.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Load {
    fn start(namespace: &str) -> Self {
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (inside, counted) = (Arc::clone(&stop), Arc::clone(&sent));
        let topic = Topic::new(&format!("{namespace}.tasks"));
        let thread = std::thread::spawn(move || {
            for number in 0.. {
                if inside.load(Ordering::Relaxed) {
                    break;
                }
                let id = format!("t-{number}");
                let task = json!({"id":id,"command":["true"],"retry":{"max_losses":50}});
                for name in (0..POOLS).map(pool) {
                    let record = json!({"v":1,"type":"submit","request_id":id,"pool":name,"task":task});
                    topic.send(Some(name.as_bytes()), Some(record.to_string().as_bytes()));
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                topic.flush();
                std::thread::sleep(EVERY);
            }
        });
        Self { stop, sent, thread }
    }

    /// Returns how many tasks were submitted.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}
