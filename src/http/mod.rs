//! HTTP: commands go in, and anyone who may can look. JSON, problem details, server-sent events, OpenAPI, Swagger UI.
//!
//! **Invariant:** nothing here decides about a task: what is asked for goes to the broker, what is shown was committed.
//! **Invariant:** every list, body, wait and stream is bounded, and every error says which bound it met.

mod anywhere;
mod ask;
mod cancel;
mod cluster;
mod collect;
mod counts;
mod events;
mod forward;
mod gather;
mod guard;
mod jobs;
mod lines;
mod locate;
mod lookup;
mod openapi;
mod page;
mod params;
mod parts;
mod patient;
mod peers;
mod pools;
mod position;
mod probes;
mod problem;
mod read_tasks;
mod refusal;
mod requeue;
mod results;
mod routes;
mod send;
mod serve;
mod stale;
mod stats;
mod submit;
mod submit_plan;
mod submit_send;
mod submitted;
mod task_body;
mod task_list;
mod task_view;
mod timeline;
mod tokens;
mod views;
mod wait;
mod windows;
mod workers;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use parts::{Access, CommandSink, EventFeed, EventStream, FeedError, KafkaFeed, Later, Parts};
pub use peers::Peers;
pub use problem::Problem;
pub use serve::{END_TIMEOUT, bind, serve};

/// Says whether HTTP may be served at an address, before anything is started for it.
///
/// # Errors
/// [`HttpError::Open`] when anybody could come in, [`HttpError::Tokens`] when the token file is no good.
pub fn admit(access: &Access, at: SocketAddr) -> Result<(), HttpError> {
    guard::Guard::new(access, at).map(drop)
}

/// Why HTTP is not served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Anybody could come in.
    #[error(
        "{0} is not loopback, so anybody could give orders: set http.token_file (--token-file) to a file of bearer \
         tokens, or http.insecure = true (--insecure) if the network itself keeps others out"
    )]
    Open(SocketAddr),
    /// The token file is no good.
    #[error("http.token_file {}: {cause}", path.display())]
    Tokens {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The listener is broken.
    #[error("the HTTP listener failed: {0}")]
    Io(std::io::Error),
}
