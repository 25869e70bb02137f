//! Starts a worker: one registration per pool, each on a thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use yardmaster_topologies::id::{Pool, WorkerName};

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
    threads: Vec<JoinHandle<Departure>>,
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
        let orders = Arc::new(Orders::default());
        let mut threads = Vec::new();
        for (pool, slots) in &options.pools {
            let registrant = Registrant {
                pool: pool.clone(),
                worker: options.name.clone(),
                slots: *slots,
                labels: options.labels.clone(),
                on_server_lost: options.on_server_lost,
            };
            let line = Box::new(link(pool, &options.name)?);
            let registration = Registration::new(registrant, line, Arc::clone(&handler), Arc::clone(&orders));
            let thread =
                thread::Builder::new().name(format!("pool-{pool}")).spawn(move || registration.run());
            threads.push(thread.map_err(|error| LinkError(format!("no thread for pool {pool}: {error}")))?);
        }
        Ok(Self { orders, threads })
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
        let mut threads = self.threads;
        while let Some(at) =
            threads.iter().position(JoinHandle::is_finished).or((!threads.is_empty()).then_some(0))
        {
            if threads.get(at).is_some_and(|thread| !thread.is_finished()) {
                thread::sleep(std::time::Duration::from_millis(20));
                continue;
            }
            if threads.swap_remove(at).join().expect("a registration does not panic") == Departure::Replaced {
                departure = Departure::Replaced;
                self.orders.stop();
            }
        }
        departure
    }
}
