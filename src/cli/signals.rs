//! Signals, and the end of a parent: both are orders to end.

use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;

/// Orders to end, as they come: the first asks, the second insists.
pub(crate) struct EndOrders {
    orders: Receiver<()>,
    sender: Sender<()>,
}

impl EndOrders {
    /// Listens to SIGTERM, SIGINT and SIGHUP from now on: a terminal that is closed is an order too.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (sender, orders) = channel();
        let out = sender.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Before anything else goes on: a signal that comes first would end the process as if nobody listened.
        let [mut term, mut interrupt, mut hangup] = {
            let _entered = runtime.enter();
            [
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::hangup())?,
            ]
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async move {
                loop {
                    tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {}, _ = hangup.recv() => {} }
                    if out.send(()).is_err() {
                        return;
                    }
                }
            });
        })?;
        Ok(Self { orders, sender })
    }

    /// Takes the end of stdin as an order too: a parent that dies closes it, however it dies.
    pub(crate) fn follow_stdin(&self) -> Result<(), Failure> {
        let out = self.sender.clone();
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let mut buffer = [0; 64];
            while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
            // Nobody is there to ask twice.
            for _ in 0..2 {
                out.send(()).ok();
            }
        })?;
        Ok(())
    }

    /// Waits for an order.
    pub(crate) fn wait(&self) {
        self.orders.recv().ok();
    }

    /// Whether an order came within this time.
    pub(crate) fn came_within(&self, wait: Duration) -> bool {
        self.orders.recv_timeout(wait).is_ok()
    }
}
