//! Sending a submit: the commands of a pool one after the other, so that they keep their order; pools side by side.

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use yardmaster_topologies::event::{Action, Command};
use yardmaster_topologies::id::{Pool, RequestId};

use super::parts::App;
use super::position::Token;
use super::problem::Problem;
use super::send::send;
use super::submit_plan::Chunk;

/// Pools whose commands are on their way at once.
const POOLS_AT_ONCE: usize = 32;

/// How far a submit came.
#[derive(Default)]
pub(crate) struct Progress {
    /// Where its commands landed.
    pub(crate) token: Token,
    /// The places in the request of the tasks that the broker has acknowledged.
    pub(crate) places: Vec<usize>,
    /// Why it stopped.
    pub(crate) failure: Option<Problem>,
}

/// Sends every command, or stops at the first that is not acknowledged.
pub(crate) async fn send_all(app: &App, request_id: &RequestId, chunks: Vec<Chunk>) -> Progress {
    let mut by_pool: BTreeMap<Pool, Vec<Chunk>> = BTreeMap::new();
    for chunk in chunks {
        by_pool.entry(chunk.pool.clone()).or_default().push(chunk);
    }
    let mut waiting = by_pool.into_values();
    let mut sending = JoinSet::new();
    let mut all = Progress::default();
    loop {
        while sending.len() < POOLS_AT_ONCE
            && all.failure.is_none()
            && let Some(chunks) = waiting.next()
        {
            sending.spawn(send_pool(App::clone(app), request_id.clone(), chunks));
        }
        match sending.join_next().await {
            Some(Ok(part)) => {
                all.token.merge(part.token);
                all.places.extend(part.places);
                all.failure = all.failure.or(part.failure);
            }
            Some(Err(error)) => {
                all.failure = Some(Problem::internal(format!("sending failed: {error}")));
            }
            None => return all,
        }
    }
}

async fn send_pool(app: App, request_id: RequestId, chunks: Vec<Chunk>) -> Progress {
    let mut progress = Progress::default();
    for Chunk { pool, tasks, places } in chunks {
        let action = Action::Submit { tasks };
        let command = Command { pool, request_id: Some(request_id.clone()), action };
        match send(&app, &command).await {
            Ok(position) => {
                progress.token.add(position);
                progress.places.extend(places);
            }
            Err(problem) => {
                progress.failure = Some(problem);
                break;
            }
        }
    }
    progress
}
