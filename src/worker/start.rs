//! Starts a worker: one registration per pool, each on a thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};

use yardmaster_topologies::id::{Pool, WorkerName};

use super::bell::Bell;
use super::handler::Handler;
use super::link::{Link, LinkError};
use super::registration::{Departure, Orders, Registration};
use super::session::{OnServerLost, Registrant};

/// Who a worker is and whom it serves.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Its name, the same in every pool.
    pub name: WorkerName,
    /// The pools, each with the slots that it gives them.
    pub pools: Vec<(Pool, u32)>,
    /// Free words about it.
    pub labels: BTreeMap<String, String>,
    /// What becomes of running tasks when the lease is over.
    pub on_server_lost: OnServerLost,
}

/// A running worker. Dropping it does not stop it: `drain` or `stop` it, then `join`.
#[derive(Debug)]
pub struct Worker {
    orders: Arc<Orders>,
    threads: Vec<JoinHandle<()>>,
    departures: Receiver<Departure>,
}

/// Lets others drain and stop a worker, from a signal's thread for instance.
#[derive(Debug, Clone)]
pub struct WorkerOrders(Arc<Orders>);

impl WorkerOrders {
    /// Take nothing new, finish what runs, leave.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// Stop everything and leave; what was running is given to others.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Worker {
    /// Starts it. `link` makes the line of each registration: `kafka::WorkerLink::new` is the one over Kafka.
    ///
    /// # Errors
    /// When a link or a thread can't be made.
    pub fn start<L: Link + 'static>(
        options: &WorkerOptions,
        handler: Arc<dyn Handler>,
        link: impl Fn(&Pool, &WorkerName) -> Result<L, LinkError>,
    ) -> Result<Self, LinkError> {
        let mut registrations = Vec::new();
        let bells: Vec<Bell> = options.pools.iter().map(|_| Bell::default()).collect();
        let orders = Arc::new(Orders::new(bells.clone()));
        // All lines first: a worker serves all of its pools or none.
        for ((pool, slots), bell) in options.pools.iter().zip(bells) {
            let registrant = Registrant {
                pool: pool.clone(),
                worker: options.name.clone(),
                slots: *slots,
                labels: options.labels.clone(),
                on_server_lost: options.on_server_lost,
            };
            let line = Box::new(link(pool, &options.name)?);
            let (handler, orders) = (Arc::clone(&handler), Arc::clone(&orders));
            registrations.push((pool, Registration::new(registrant, line, handler, orders, bell)));
        }
        let (departed, departures) = channel();
        let mut worker = Self { orders, threads: Vec::new(), departures };
        for (pool, registration) in registrations {
            let theirs = departed.clone();
            // Whoever joins may be gone: then nobody wants to know.
            let run = move || {
                theirs.send(registration.run()).ok();
            };
            match thread::Builder::new().name(format!("pool-{pool}")).spawn(run) {
                Ok(thread) => worker.threads.push(thread),
                Err(error) => {
                    drop(departed);
                    worker.orders.stop();
                    worker.join();
                    return Err(LinkError(format!("no thread for pool {pool}: {error}")));
                }
            }
        }
        Ok(worker)
    }

    /// Something to give orders with.
    #[must_use]
    pub fn orders(&self) -> WorkerOrders {
        WorkerOrders(Arc::clone(&self.orders))
    }

    /// Waits for the end of all registrations. One that was replaced makes the others leave.
    ///
    /// # Panics
    /// When a registration did.
    pub fn join(self) -> Departure {
        let mut departure = Departure::Left;
        // Ends when the last registration has.
        for one in &self.departures {
            if one == Departure::Replaced {
                departure = Departure::Replaced;
                self.orders.stop();
            }
        }
        for thread in self.threads {
            thread.join().expect("a registration does not panic");
        }
        departure
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::worker::handler::{Assignment, Finish};
    use crate::worker::{Control, Ticket};

    /// A line that nobody answers on; counts the calls of all lines.
    struct Mute(Arc<AtomicUsize>);

    impl Link for Mute {
        fn channel_end(&mut self) -> Result<u64, LinkError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Err(LinkError("no broker".to_owned()))
        }

        fn read_from(&mut self, _offset: u64) {}

        fn poll(&mut self) -> Vec<Vec<u8>> {
            Vec::new()
        }

        fn on_arrival(&mut self, _call: Arc<dyn Fn() + Send + Sync>) {}

        fn send(&mut self, _record: &[u8]) -> Result<Ticket, LinkError> {
            Err(LinkError("no broker".to_owned()))
        }

        fn delivered(&mut self) -> Vec<(Ticket, bool)> {
            Vec::new()
        }
    }

    fn options(pools: &[&str]) -> WorkerOptions {
        WorkerOptions {
            name: WorkerName::trusted("w"),
            pools: pools.iter().map(|pool| (Pool::trusted(pool), 1)).collect(),
            labels: BTreeMap::new(),
            on_server_lost: OnServerLost::Stop,
        }
    }

    fn handler() -> Arc<dyn Handler> {
        Arc::new(|_: Assignment, _: &Control| Finish::completed(None))
    }

    #[test]
    fn a_line_that_can_not_be_made_leaves_nothing_running() {
        let (calls, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let link = |pool: &Pool, _: &WorkerName| match pool.as_str() {
            "good" => {
                made.fetch_add(1, Ordering::SeqCst);
                Ok(Mute(Arc::clone(&calls)))
            }
            _bad => Err(LinkError("refused".to_owned())),
        };
        let failed = Worker::start(&options(&["good", "bad"]), handler(), link);
        assert_eq!(failed.unwrap_err(), LinkError("refused".to_owned()));
        assert_eq!((made.load(Ordering::SeqCst), Arc::strong_count(&calls)), (1, 1), "the line is closed");
        assert_eq!(calls.load(Ordering::SeqCst), 0, "and was never used");
    }

    #[test]
    fn a_drain_without_a_broker_ends() {
        let calls = Arc::new(AtomicUsize::new(0));
        let link = |_: &Pool, _: &WorkerName| Ok(Mute(Arc::clone(&calls)));
        let worker = Worker::start(&options(&["a", "b"]), handler(), link).unwrap();
        worker.orders().drain();
        assert_eq!(worker.join(), Departure::Left);
    }
}
