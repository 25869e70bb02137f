//! Which pools there are.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_state::StoreRead;
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::job::Dimension;

use super::counts::numbers_of;
use super::locate::read;
use super::params::Params;
use super::parts::{App, in_key_order, pool_after};
use super::problem::{Answer, Problem};
use super::views::PoolView;

/// The pools that are served here, and who serves the others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolPage {
    /// Those here, by name.
    pools: Vec<PoolView>,
    /// Partitions of other instances: their pools are not in the list.
    elsewhere: Vec<Elsewhere>,
    /// Partitions that nobody serves at the moment.
    moving: Vec<i32>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Another instance's partition.
#[derive(Debug, Serialize, ToSchema)]
struct Elsewhere {
    partition: i32,
    url: String,
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

/// The pools that are served here, shorter names first; of the others only who serves them.
#[utoipa::path(
    get, path = "/v1/pools", tag = "pools",
    params(("limit" = Option<u64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = PoolPage), (status = 400, body = Problem))
)]
pub(crate) async fn pools(State(app): State<App>, mut params: Params) -> Answer<Json<PoolPage>> {
    let limit = params.limit()?;
    let after = params.name("cursor", Pool::parse)?;
    params.finish()?;
    let registry = &app.parts.registry;
    let mut found = Vec::new();
    let mut more = false;
    let mut moving: BTreeSet<i32> = (0..registry.partitions()).collect();
    for owned in registry.owned() {
        moving.remove(&owned.partition);
        let (partition, after) = (owned.partition, after.clone());
        let here = read(&owned, move |view| {
            let (pools, more) = pools_of(view, after.as_ref(), limit)?;
            let views = pools.into_iter().map(|pool| {
                let numbers = numbers_of(view, &pool, Dimension::Pool)?;
                Ok((in_key_order(&pool), PoolView { pool: pool.to_string(), partition, numbers }))
            });
            Ok((views.collect::<Answer<Vec<_>>>()?, more))
        });
        let (views, has_more) = here.await?;
        found.extend(views);
        more |= has_more;
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    more |= found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|(_, view)| view.pool.clone());
    let elsewhere: Vec<Elsewhere> =
        registry.elsewhere().into_iter().map(|(partition, url)| Elsewhere { partition, url }).collect();
    moving.retain(|partition| elsewhere.iter().all(|other| other.partition != *partition));
    let pools = found.into_iter().map(|(_, view)| view).collect();
    Ok(Json(PoolPage { pools, elsewhere, moving: moving.into_iter().collect(), next_cursor }))
}
