//! One task by its id alone, looked for in all pools of all instances.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use yardmaster_state::StoreRead;
use yardmaster_topologies::id::{Pool, TaskId};

use super::ask::{Question, is_passed_on};
use super::gather::{Missing, Part, about, gather, take_partial};
use super::locate::{min_position, moving, read};
use super::lookup::{Horizon, find};
use super::params::{Params, decoded, path_name, task_href};
use super::parts::{App, partition_of};
use super::pools::pools_of;
use super::position::Token;
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
#[derive(Default)]
struct Hits {
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
    let is_partial_ok = take_partial(&mut params)?;
    params.finish()?;
    if token.partitions().any(|partition| !(0..app.parts.registry.partitions()).contains(&partition)) {
        return Err(Problem::bad_field(
            "min_position",
            "names a partition that this namespace does not have",
        )
        .remedy("leave it out, or send a position that this namespace gave out"));
    }
    let (mut hits, here) = hits_here(&app, &id, &token).await?;
    if is_passed_on(&headers) {
        return Ok(about(&here, hits.answer(&app, &id, &Missing::default(), true)));
    }
    let question = Question::new(&app, &Method::GET, &uri, &headers, Bytes::new());
    let gathered = gather(&app, &here, question).await;
    for part in &gathered.parts {
        hits.take(part, &id, app.parts.registry.partitions())?;
    }
    hits.answer(&app, &id, &gathered.missing, is_partial_ok)
}

/// What the partitions that are here have, and which these are.
async fn hits_here(app: &App, id: &TaskId, token: &Token) -> Answer<(Hits, BTreeSet<i32>)> {
    let horizon = Horizon::of(&app.parts.settings);
    let (mut hits, mut here) = (Hits::default(), BTreeSet::new());
    for owned in app.parts.registry.owned() {
        token.wait(&owned).await?;
        let (wanted, partition) = (id.clone(), owned.clone());
        let found = read(&owned, move |view| find_in_all(view, &wanted, horizon, &|| partition.is_closed()));
        for (pool, detail) in found.await? {
            hits.matches.push(Match::new(&pool, id, detail.task.state));
            hits.shown = verbatim(&detail);
        }
        here.insert(owned.partition);
    }
    Ok((hits, here))
}

impl Hits {
    /// Takes in what another instance has found in partitions that it has.
    fn take(&mut self, part: &Part, id: &TaskId, partitions: i32) -> Answer<()> {
        let strange = |_| Problem::internal("the answer of another instance can't be read");
        if part.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        let shown: Verbatim = serde_json::from_slice(&part.body).map_err(strange)?;
        let other: Other = serde_json::from_str(shown.get()).map_err(strange)?;
        let is_its = |pool: &str| {
            Pool::parse(pool).ok().filter(|pool| part.partitions.contains(&partition_of(pool, partitions)))
        };
        if let (Some(pool), Some(state)) = (other.pool, other.state)
            && let Some(pool) = is_its(&pool)
        {
            self.matches.push(Match::new(&pool, id, &state));
            self.shown = Some(shown);
        }
        self.matches.extend(other.matches.into_iter().filter(|found| is_its(&found.pool).is_some()));
        Ok(())
    }

    /// The one task; which there are; or why it is not known.
    fn answer(self, app: &App, id: &TaskId, missing: &Missing, is_partial_ok: bool) -> Answer<Response> {
        if self.matches.len() > 1 {
            let detail = format!("{} pools have a task {id}", self.matches.len());
            let problem = Problem::new(StatusCode::CONFLICT, "ambiguous", "Several pools have it", detail);
            return Err(problem.with("matches", self.matches).remedy("ask for /v1/pools/{pool}/tasks/{id}"));
        }
        let found = self.shown.filter(|_| self.matches.len() == 1);
        if found.is_none() || !is_partial_ok {
            missing.must_be_none(&format!("the search for task {id}"))?;
        }
        match found {
            Some(shown) => Ok((missing.header(), Json(shown)).into_response()),
            None => Err(Horizon::of(&app.parts.settings).not_found(&format!("task {id}"))),
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
