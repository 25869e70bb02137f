//! Which pools there are, of all instances.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use yardmaster_state::StoreRead;
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::job::Dimension;

use super::ask::{Question, is_passed_on};
use super::counts::numbers_of;
use super::gather::{Elsewhere, Part, about, gather, not_here, take_partial};
use super::locate::read;
use super::params::Params;
use super::parts::{App, in_key_order, pool_after};
use super::problem::{Answer, Problem};
use super::views::{PoolView, Verbatim, verbatim};

/// The pools of all instances.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolPage {
    /// Shorter names first.
    #[schema(value_type = Vec<PoolView>)]
    pools: Vec<Verbatim>,
    /// With `partial=ok`: partitions of instances that have not answered. Their pools are not in the list.
    elsewhere: Vec<Elsewhere>,
    /// With `partial=ok`: partitions that nobody serves at the moment. Their pools are not in the list.
    moving: Vec<i32>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What of another instance's page is looked at.
#[derive(Deserialize)]
struct OtherPage {
    pools: Vec<Verbatim>,
    next_cursor: Option<String>,
}

/// What of its rows.
#[derive(Deserialize)]
struct OtherRow {
    pool: String,
    partition: i32,
}

/// Rows on their way into a page, each as it is shown.
#[derive(Default)]
struct Rows {
    rows: Vec<(Pool, Verbatim)>,
    has_more: bool,
}

/// The pools that have rows, behind `after`, by name; and whether there are more.
pub(crate) fn pools_of(
    view: &dyn StoreRead,
    after: Option<&Pool>,
    limit: usize,
) -> Answer<(Vec<Pool>, bool)> {
    let mut pools: Vec<Pool> = Vec::new();
    while let Some(pool) = pool_after(view, pools.last().or(after))? {
        if pools.len() == limit {
            return Ok((pools, true));
        }
        pools.push(pool);
    }
    Ok((pools, false))
}

/// The pools of all instances, shorter names first. 503 while a part of them can't be had, unless `partial=ok`.
#[utoipa::path(
    get, path = "/v1/pools", tag = "pools",
    params(("limit" = Option<u64>, Query), ("cursor" = Option<String>, Query),
        ("partial" = Option<String>, Query, description = "`ok`: leave out what can't be had now, and say so")),
    responses((status = 200, body = PoolPage), (status = 400, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn pools(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    mut params: Params,
) -> Answer<Response> {
    let limit = params.limit()?;
    let after = params.name("cursor", Pool::parse)?;
    let is_partial_ok = take_partial(&mut params)?;
    params.finish()?;
    let (mut rows, here) = rows_here(&app, after.as_ref(), limit).await?;
    if is_passed_on(&headers) {
        let (elsewhere, moving) = not_here(&app, &here).split();
        return Ok(about(&here, Json(rows.page(limit, elsewhere, moving))));
    }
    let question = Question::new(&app, &Method::GET, &uri, &headers, Bytes::new());
    let gathered = gather(&app, &here, question).await;
    for part in &gathered.parts {
        rows.take(part)?;
    }
    let missing = gathered.missing;
    if !is_partial_ok {
        missing.must_be_none("the list of pools")?;
    }
    let told = missing.header();
    let (elsewhere, moving) = missing.split();
    Ok((told, Json(rows.page(limit, elsewhere, moving))).into_response())
}

/// The first pools behind `after` of the partitions that are here, and which these are.
async fn rows_here(app: &App, after: Option<&Pool>, limit: usize) -> Answer<(Rows, BTreeSet<i32>)> {
    let (mut rows, mut here) = (Rows::default(), BTreeSet::new());
    for owned in app.parts.registry.owned() {
        let (partition, after) = (owned.partition, after.cloned());
        let found = read(&owned, move |view| {
            let (pools, more) = pools_of(view, after.as_ref(), limit)?;
            let views = pools.into_iter().map(|pool| {
                let numbers = numbers_of(view, &pool, Dimension::Pool)?;
                Ok((pool.clone(), PoolView { pool: pool.to_string(), partition, numbers }))
            });
            Ok((views.collect::<Answer<Vec<_>>>()?, more))
        });
        let (views, has_more) = found.await?;
        here.insert(partition);
        rows.has_more |= has_more;
        for (pool, view) in views {
            let shown = verbatim(&view).ok_or_else(|| Problem::internal("a pool can't be shown"))?;
            rows.rows.push((pool, shown));
        }
    }
    Ok((rows, here))
}

impl Rows {
    /// Takes in the page of another instance, as far as it is about partitions that it has.
    fn take(&mut self, part: &Part) -> Answer<()> {
        let strange = || Problem::internal("the list of another instance can't be read");
        if part.status != StatusCode::OK {
            return Err(strange());
        }
        let page: OtherPage = serde_json::from_slice(&part.body).map_err(|_| strange())?;
        self.has_more |= page.next_cursor.is_some();
        for shown in page.pools {
            let row: OtherRow = serde_json::from_str(shown.get()).map_err(|_| strange())?;
            let pool = Pool::parse(&row.pool).map_err(|_| strange())?;
            if part.partitions.contains(&row.partition) {
                self.rows.push((pool, shown));
            }
        }
        Ok(())
    }

    /// The first of them.
    fn page(mut self, limit: usize, elsewhere: Vec<Elsewhere>, moving: Vec<i32>) -> PoolPage {
        self.rows.sort_by_cached_key(|(pool, _)| in_key_order(pool));
        let has_more = self.has_more || self.rows.len() > limit;
        self.rows.truncate(limit);
        let last = self.rows.last().map(|(pool, _)| pool.to_string());
        let pools = self.rows.into_iter().map(|(_, shown)| shown).collect();
        PoolPage { pools, elsewhere, moving, next_cursor: last.filter(|_| has_more) }
    }
}
