//! One task by its id alone, looked for in all pools that are served here.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use yardmaster_state::StoreRead;
use yardmaster_topologies::id::{Pool, TaskId};

use super::locate::{elsewhere, min_position, moving, read};
use super::lookup::{Horizon, find};
use super::params::{Params, decoded, path_name, task_href};
use super::parts::App;
use super::pools::pools_of;
use super::problem::{Answer, Problem};
use super::task_view::TaskDetail;

/// Pools that are looked up at once.
const POOLS_AT_ONCE: usize = 1_000;

/// A task of one of several pools.
#[derive(Debug, Serialize)]
struct Match {
    pool: String,
    id: String,
    state: &'static str,
    href: String,
}

/// One task, looked for in all pools that are served here. When it is not here, it may be elsewhere: 421 names the other
/// instances, 503 says that a partition is moving; 404 means that no pool has it.
#[utoipa::path(
    get, path = "/v1/tasks/{id}", tag = "tasks",
    params(("id" = String, Path), ("min_position" = Option<String>, Query)),
    responses((status = 200, body = TaskDetail), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "Several pools have it: see `matches`"),
        (status = 421, body = Problem, description = "Not here: see `owners`"), (status = 503, body = Problem))
)]
pub(crate) async fn anywhere(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut params: Params,
) -> Answer<Json<TaskDetail>> {
    let raw = uri.path().strip_prefix("/v1/tasks/").unwrap_or_default();
    let id = path_name("id", &decoded("id", raw)?, TaskId::parse)?;
    let token = min_position(&mut params)?;
    params.finish()?;
    let horizon = Horizon::of(&app.parts.settings);
    let owned = app.parts.registry.owned();
    let here: BTreeSet<i32> = owned.iter().map(|owned| owned.partition).collect();
    if let Some(away) = token.partitions().find(|partition| !here.contains(partition)) {
        return Err(not_here(&app, &here, &uri, Some(away)).field("min_position"));
    }
    let mut hits = Vec::new();
    for owned in owned {
        token.wait(&owned).await?;
        let (wanted, partition) = (id.clone(), owned.clone());
        let found = read(&owned, move |view| find_in_all(view, &wanted, horizon, &|| partition.is_closed()));
        hits.extend(found.await?);
    }
    if hits.len() > 1 {
        let matches: Vec<Match> = hits.iter().map(|(pool, detail)| Match::new(pool, &id, detail)).collect();
        let detail = format!("{} pools have a task {id}", matches.len());
        let problem = Problem::new(StatusCode::CONFLICT, "ambiguous", "Several pools have it", detail);
        return Err(problem.with("matches", matches).remedy("ask for /v1/pools/{pool}/tasks/{id}"));
    }
    match hits.pop() {
        Some((_, detail)) => Ok(Json(detail)),
        None if (0..app.parts.registry.partitions()).all(|partition| here.contains(&partition)) => {
            Err(horizon.not_found(&format!("task {id}")))
        }
        None => Err(not_here(&app, &here, &uri, None)),
    }
}

/// Where to ask instead: for one partition, or for all that are not here.
fn not_here(app: &App, here: &BTreeSet<i32>, uri: &Uri, only: Option<i32>) -> Problem {
    let others = app.parts.registry.elsewhere();
    let wanted = |partition: &i32| !here.contains(partition) && only.is_none_or(|only| only == *partition);
    let mut owners = BTreeSet::new();
    for partition in (0..app.parts.registry.partitions()).filter(wanted) {
        match others.get(&partition) {
            Some(owner) => owners.insert(owner.clone()),
            None => return moving(&format!("partition {partition}")),
        };
    }
    if owners.is_empty() {
        return Problem::bad_field("min_position", "names a partition that this namespace does not have")
            .remedy("leave it out, or send a position that this namespace gave out");
    }
    elsewhere(uri, "the task is not here; what is not here", &owners)
}

fn find_in_all(
    view: &dyn StoreRead,
    id: &TaskId,
    horizon: Horizon,
    has_left: &dyn Fn() -> bool,
) -> Answer<Vec<(Pool, TaskDetail)>> {
    let mut hits = Vec::new();
    let mut after: Option<Pool> = None;
    loop {
        let (pools, more) = pools_of(view, after.as_ref(), POOLS_AT_ONCE)?;
        for pool in &pools {
            if has_left() {
                return Err(moving(&format!("pool {pool}")));
            }
            let found = find(view, pool, id, horizon)?;
            hits.extend(found.map(|found| (pool.clone(), found.detail(pool, id))));
        }
        after = pools.into_iter().next_back();
        if !more {
            return Ok(hits);
        }
    }
}

impl Match {
    fn new(pool: &Pool, id: &TaskId, detail: &TaskDetail) -> Self {
        Self {
            pool: pool.to_string(),
            id: id.to_string(),
            state: detail.task.state,
            href: task_href(pool, id),
        }
    }
}
