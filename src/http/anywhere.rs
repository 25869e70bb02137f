//! One task by its id alone, looked for in all pools of all instances.

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use yardmaster_state::StoreRead;
use yardmaster_topologies::id::{Pool, TaskId};

use super::collect::{Collected, Terms, Whole, collect};
use super::gather::Part;
use super::locate::{min_position, moving, read};
use super::lookup::{Horizon, find};
use super::params::{Params, decoded, path_name, task_href};
use super::parts::{App, OwnedPartition, partition_of};
use super::pools::pools_of;
use super::problem::{Answer, Problem};
use super::task_view::TaskDetail;
use super::views::{Verbatim, verbatim};

/// Pools that are looked up at once.
const POOLS_AT_ONCE: usize = 1_000;

/// A task of one of several pools.
#[derive(Debug, Serialize, Deserialize)]
struct Match {
    pool: String,
    id: String,
    state: String,
    href: String,
}

/// What was found: the tasks of this id, and the whole of one of them, if that was told.
struct Hits {
    id: TaskId,
    horizon: Horizon,
    partitions: i32,
    matches: Vec<Match>,
    shown: Option<Verbatim>,
}

/// What of another instance's answer is looked at: of a task, or of a problem that names several.
#[derive(Deserialize)]
struct Other {
    pool: Option<String>,
    state: Option<String>,
    #[serde(default)]
    matches: Vec<Match>,
}

/// One task, looked for in all pools. 404 means that no pool has it; 503 that a part of the pools can't be had now, unless
/// `partial=ok` and it was found elsewhere.
#[utoipa::path(
    get, path = "/v1/tasks/{id}", tag = "tasks",
    params(("id" = String, Path), ("min_position" = Option<String>, Query),
        ("stale" = Option<String>, Query, description = "`ok`: copies may tell of what their owners don't"),
        ("partial" = Option<String>, Query, description = "`ok`: what can't be had now need not be looked into")),
    responses((status = 200, body = TaskDetail), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "Several pools have it: see `matches`"), (status = 503, body = Problem))
)]
pub(crate) async fn anywhere(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    mut params: Params,
) -> Answer<Response> {
    let raw = uri.path().strip_prefix("/v1/tasks/").unwrap_or_default();
    let id = path_name("id", &decoded("id", raw)?, TaskId::parse)?;
    let token = min_position(&mut params)?;
    let terms = Terms::take(&app, &uri, &headers, &mut params)?;
    params.finish()?;
    if token.partitions().any(|partition| !(0..app.parts.registry.partitions()).contains(&partition)) {
        return Err(Problem::bad_field(
            "min_position",
            "names a partition that this namespace does not have",
        )
        .remedy("leave it out, or send a position that this namespace gave out"));
    }
    let horizon = Horizon::of(&app.parts.settings);
    let partitions = app.parts.registry.partitions();
    let mut hits = Hits { id, horizon, partitions, matches: Vec::new(), shown: None };
    let collected = collect(&app, &terms, &token, &mut hits).await?;
    Ok(collected.mark(hits.answer(&collected)))
}

impl Whole for Hits {
    async fn read(&mut self, owned: &Arc<OwnedPartition>) -> Answer<()> {
        let (id, horizon, partition) = (self.id.clone(), self.horizon, Arc::clone(owned));
        let found = read(owned, move |view| find_in_all(view, &id, horizon, &|| partition.is_closed()));
        for (pool, detail) in found.await? {
            self.matches.push(Match::new(&pool, &self.id, detail.task.state));
            self.shown = verbatim(&detail);
        }
        Ok(())
    }

    fn take(&mut self, part: &Part) -> Answer<()> {
        let strange = |_| Problem::internal("the answer of another instance can't be read");
        if part.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        let shown: Verbatim = serde_json::from_slice(&part.body).map_err(strange)?;
        let other: Other = serde_json::from_str(shown.get()).map_err(strange)?;
        let is_its = |pool: &Pool| part.partitions.contains(&partition_of(pool, self.partitions));
        let pool = |name: &str| Pool::parse(name).ok().filter(is_its);
        if let (Some(name), Some(state)) = (other.pool, other.state)
            && let Some(pool) = pool(&name)
        {
            self.matches.push(Match::new(&pool, &self.id, &state));
            self.shown = Some(shown);
        }
        self.matches.extend(other.matches.into_iter().filter(|found| pool(&found.pool).is_some()));
        Ok(())
    }
}

impl Hits {
    /// The one task; which there are; or why it is not known.
    fn answer(self, collected: &Collected) -> Answer<Json<Verbatim>> {
        let what = format!("the search for task {}", self.id);
        match (self.matches.len(), self.shown) {
            (0, _) => {
                collected.must_be_searched(&what)?;
                Err(self.horizon.not_found(&format!("task {}", self.id)))
            }
            (1, Some(shown)) => collected.must_be_whole(&what).map(|()| Json(shown)),
            // Another instance has told of several, of which it has one only.
            (1, None) => Err(moving(&format!("the pool of task {}", self.id))),
            (several, _) => {
                let detail = format!("{several} pools have a task {}", self.id);
                let title = "Several pools have it";
                let problem = Problem::new(StatusCode::CONFLICT, "ambiguous", title, detail);
                Err(problem.with("matches", self.matches).remedy("ask for /v1/pools/{pool}/tasks/{id}"))
            }
        }
    }
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
    fn new(pool: &Pool, id: &TaskId, state: &str) -> Self {
        Self {
            pool: pool.to_string(),
            id: id.to_string(),
            state: state.to_owned(),
            href: task_href(pool, id),
        }
    }
}
