//! Which pools there are, of all instances.

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use yardmaster_state::StoreRead;
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::job::Dimension;

use super::collect::{Terms, Whole, collect};
use super::counts::numbers_of;
use super::gather::{Elsewhere, Missing, Part};
use super::locate::read;
use super::params::Params;
use super::parts::{App, OwnedPartition, in_key_order, pool_after};
use super::position::Token;
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
struct Rows {
    rows: Vec<(Pool, Verbatim)>,
    has_more: bool,
    after: Option<Pool>,
    limit: usize,
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
        ("stale" = Option<String>, Query, description = "`ok`: copies may tell of what their owners don't"),
        ("partial" = Option<String>, Query, description = "`ok`: leave out what can't be had now, and say so")),
    responses((status = 200, body = PoolPage), (status = 400, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn pools(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    mut params: Params,
) -> Answer<Response> {
    let (limit, after) = (params.limit()?, params.name("cursor", Pool::parse)?);
    let terms = Terms::take(&app, &uri, &headers, &mut params)?;
    params.finish()?;
    let mut rows = Rows { rows: Vec::new(), has_more: false, after, limit };
    let collected = collect(&app, &terms, &Token::default(), &mut rows).await?;
    collected.must_be_whole("the list of pools")?;
    Ok(collected.mark(Json(rows.page(collected.missing()))))
}

impl Whole for Rows {
    async fn read(&mut self, owned: &Arc<OwnedPartition>) -> Answer<()> {
        let (partition, after, limit) = (owned.partition, self.after.clone(), self.limit);
        let found = read(owned, move |view| {
            let (pools, more) = pools_of(view, after.as_ref(), limit)?;
            let views = pools.into_iter().map(|pool| {
                let numbers = numbers_of(view, &pool, Dimension::Pool)?;
                Ok((pool.clone(), PoolView { pool: pool.to_string(), partition, numbers }))
            });
            Ok((views.collect::<Answer<Vec<_>>>()?, more))
        });
        let (views, has_more) = found.await?;
        self.has_more |= has_more;
        for (pool, view) in views {
            let shown = verbatim(&view).ok_or_else(|| Problem::internal("a pool can't be shown"))?;
            self.rows.push((pool, shown));
        }
        Ok(())
    }

    fn take(&mut self, part: &Part) -> Answer<()> {
        let strange = || Problem::internal("the list of another instance can't be read");
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
}

impl Rows {
    /// The first of them.
    fn page(mut self, missing: &Missing) -> PoolPage {
        self.rows.sort_by_cached_key(|(pool, _)| in_key_order(pool));
        let has_more = self.has_more || self.rows.len() > self.limit;
        self.rows.truncate(self.limit);
        let last = self.rows.last().map(|(pool, _)| pool.to_string());
        let pools = self.rows.into_iter().map(|(_, shown)| shown).collect();
        let (elsewhere, moving) = missing.split();
        PoolPage { pools, elsewhere, moving, next_cursor: last.filter(|_| has_more) }
    }
}
