//! Clients that are closed by a thread of their own. To close one takes half a second and more, and may hang while the
//! broker is gone: nobody waits for it.

use std::ops::Deref;
use std::thread;

use super::calls::{Call, watched};

/// A client that is closed apart.
pub(super) struct Apart<T: Send + 'static> {
    /// None only while it is dropped.
    client: Option<T>,
    what: &'static str,
}

impl<T: Send + 'static> Apart<T> {
    /// `what` names it when closing it hangs.
    pub(super) fn new(what: &'static str, client: T) -> Self {
        Self { client: Some(client), what }
    }
}

impl<T: Send + 'static> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.client.as_ref().expect("it is taken out only when it is dropped")
    }
}

impl<T: Send + 'static> Drop for Apart<T> {
    fn drop(&mut self) {
        let (client, what) = (self.client.take(), self.what);
        let close = move || watched(Call::Close, what, || drop(client));
        if let Err(error) = thread::Builder::new().name("client-close".to_owned()).spawn(close) {
            tracing::warn!(%error, what, "a client was closed in place");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Closes only once it may.
    struct Slow(std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<thread::ThreadId>);

    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.recv().unwrap();
            self.1.send(thread::current().id()).unwrap();
        }
    }

    #[test]
    fn nobody_waits_for_a_client_that_closes_slowly() {
        let (may, waits) = channel();
        let (by, closed) = channel();
        drop(Apart::new("a slow client", Slow(waits, by)));
        // Had this thread closed it, it would never have come here.
        may.send(()).unwrap();
        assert_ne!(closed.recv().unwrap(), thread::current().id());
    }
}
