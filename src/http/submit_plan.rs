//! What a submit becomes: commands of a size that the broker takes, and warnings about what may not be as meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_state::{KeyWriter, Table};
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::tables::WorkerTable;
use yardmaster_topologies::task::TaskSpec;
use yardmaster_topologies::wire::{RECORD_BYTES_MAX, SpecJson};
use yardmaster_topologies::worker::WorkerState;

use super::locate::read;
use super::page::{LEFT_OUT, Page, SMALL_ROW};
use super::parts::{App, Location, OwnedPartition};
use super::problem::{Answer, Problem};

/// Bytes of a record beside its tasks, at most.
const ENVELOPE_MAX: usize = 512;

/// Something that may not be as meant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Warning {
    /// `no_live_worker`.
    code: &'static str,
    /// Where.
    pool: String,
    /// One sentence for a person.
    detail: String,
}

/// One command of a submit.
pub(crate) struct Chunk {
    pub(crate) pool: Pool,
    pub(crate) tasks: Vec<TaskSpec>,
    /// Where its tasks stand in the request.
    pub(crate) places: Vec<usize>,
}

/// The commands to send: each of one pool, with at most `tasks_max` tasks and of a size that the broker takes.
pub(crate) fn chunks(tasks: Vec<TaskSpec>, tasks_max: usize) -> Answer<Vec<Chunk>> {
    let mut by_pool: BTreeMap<Pool, Vec<(Chunk, usize)>> = BTreeMap::new();
    let room = RECORD_BYTES_MAX - ENVELOPE_MAX;
    for (place, task) in tasks.into_iter().enumerate() {
        let bytes = serde_json::to_vec(&SpecJson(&task)).map_or(usize::MAX, |text| text.len() + 1);
        if bytes > room {
            let detail = format!("task {} has {bytes} bytes with its defaults, allowed are {room}", task.id);
            let problem =
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "limit", "The task is too large", detail);
            return Err(problem.limit(format!("{room} bytes")).remedy("nothing was sent: use payload_ref"));
        }
        let lists = by_pool.entry(task.pool.clone()).or_default();
        match lists.last_mut() {
            Some((chunk, size)) if chunk.tasks.len() < tasks_max && *size + bytes <= room => {
                chunk.tasks.push(task);
                chunk.places.push(place);
                *size += bytes;
            }
            Some(_) | None => {
                let chunk = Chunk { pool: task.pool.clone(), tasks: vec![task], places: vec![place] };
                lists.push((chunk, bytes));
            }
        }
    }
    Ok(by_pool.into_values().flatten().map(|(chunk, _)| chunk).collect())
}

/// What may not be as meant with these tasks: pools that are here and have no worker.
pub(crate) async fn warnings(app: &App, chunks: &[Chunk]) -> Answer<Vec<Warning>> {
    let mut warnings: Vec<Warning> = Vec::new();
    let mut last = None;
    for Chunk { pool, .. } in chunks {
        // The commands of a pool stand together.
        if last.replace(pool) == Some(pool) {
            continue;
        }
        if let Location::Here(owned) = app.parts.registry.locate(pool)
            && !has_worker(&owned, pool).await?
        {
            let detail = format!("no worker of pool {pool} takes work now: its tasks wait until one comes");
            warnings.push(Warning { code: "no_live_worker", pool: pool.to_string(), detail });
        }
    }
    Ok(warnings)
}

/// Whether a worker takes work; also when there are too many to look at all of them.
async fn has_worker(owned: &Arc<OwnedPartition>, pool: &Pool) -> Answer<bool> {
    let prefix = KeyWriter::new(WorkerTable::ID).str(pool.as_str()).finish();
    read(owned, move |view| {
        let mut page = Page::first(1);
        let mut found = false;
        page.walk::<WorkerTable>(view, &prefix, &mut |_, bytes| {
            let state = WorkerTable::decode(bytes)?.state;
            found |= matches!(state, WorkerState::Joining | WorkerState::Active);
            Ok(if found { SMALL_ROW } else { LEFT_OUT })
        })?;
        Ok(found || page.has_more())
    })
    .await
}
