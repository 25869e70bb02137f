//! A body of lines that is whole or is cut off: it ends well only if its writer says so, whatever else happens to it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_stream::Stream;

use super::parts::OwnedPartition;

/// How long a client may take to read one part.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of one part, about.
const PART_BYTES: usize = 32 * 1024;
/// Parts that wait for a slow client.
const PARTS_MAX: usize = 4;

/// Why a body is not whole. A client sees only that its connection ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The client has gone, or takes too long.
    #[error("the client does not read")]
    Unread,
    /// Its writer is gone: it failed, and says elsewhere why.
    #[error("the answer ended early")]
    Early,
    /// The rows are not here any more.
    #[error("the partition has left this instance")]
    Left,
    /// The store failed.
    #[error("{0}")]
    Failed(String),
}

enum Part {
    Lines(Bytes),
    End,
}

/// The writing end. It blocks, and lives on a thread that may.
pub(crate) struct Writer {
    sender: Sender<Part>,
    handle: Handle,
    part: Vec<u8>,
}

struct Reading {
    receiver: Receiver<Part>,
    has_ended: bool,
}

/// A body and the end that writes it. To be called on a thread of the runtime.
pub(crate) fn lines() -> (Writer, Body) {
    let (sender, receiver) = mpsc::channel(PARTS_MAX);
    let writer = Writer { sender, handle: Handle::current(), part: Vec::new() };
    (writer, Body::from_stream(Reading { receiver, has_ended: false }))
}

impl Writer {
    /// Writes a line. The rows of `owned` are being read: it is not waited for a client once they have left.
    pub(crate) fn line(&mut self, line: &impl Serialize, owned: &OwnedPartition) -> Result<(), Cut> {
        serde_json::to_writer(&mut self.part, line).map_err(|error| Cut::Failed(error.to_string()))?;
        self.part.push(b'\n');
        if self.part.len() < PART_BYTES {
            return Ok(());
        }
        let part = Part::Lines(std::mem::take(&mut self.part).into());
        self.handle.block_on(async {
            tokio::select! {
                sent = self.sender.send_timeout(part, READ_TIMEOUT) => sent.map_err(|_| Cut::Unread),
                () = owned.closed() => Err(Cut::Left),
            }
        })
    }

    /// Writes what is left and ends the body well.
    pub(crate) fn end(mut self) -> Result<(), Cut> {
        let part = Part::Lines(std::mem::take(&mut self.part).into());
        self.handle.block_on(async {
            for part in [part, Part::End] {
                self.sender.send_timeout(part, READ_TIMEOUT).await.map_err(|_| Cut::Unread)?;
            }
            Ok(())
        })
    }
}

impl Stream for Reading {
    type Item = Result<Bytes, Cut>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        self.receiver.poll_recv(cx).map(|part| match part {
            Some(Part::Lines(bytes)) => Some(Ok(bytes)),
            Some(Part::End) => {
                self.has_ended = true;
                None
            }
            None => {
                self.has_ended = true;
                Some(Err(Cut::Early))
            }
        })
    }
}
