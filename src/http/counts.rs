//! Exact counts of tasks by queue and by tag, page by page.

use axum::Json;
use axum::extract::{OriginalUri, State};
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_state::{KeyWriter, StoreRead, Table, read_row};
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::job::{CounterKey, Dimension};
use yardmaster_topologies::tables::CounterTable;

use super::locate::read;
use super::page::{LEFT_OUT, Page, SMALL_ROW};
use super::params::{Names, Params, path_name};
use super::parts::App;
use super::problem::{Answer, Problem};
use super::stale::readable;
use super::views::{Numbers, QueueView, TagView};

/// A page of queues.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueuePage {
    /// By name.
    queues: Vec<QueueView>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A page of tags.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TagPage {
    /// By name and value.
    tags: Vec<TagView>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The counts of one dimension.
pub(crate) fn numbers_of(view: &dyn StoreRead, pool: &Pool, dimension: Dimension) -> Answer<Numbers> {
    let counts = read_row::<CounterTable>(view, &CounterKey { pool: pool.clone(), dimension })?;
    Ok(Numbers::from(&counts.unwrap_or_default().counts))
}

/// The queues of a pool with their exact counts.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/queues", tag = "pools",
    params(("pool" = String, Path), ("limit" = Option<u64>, Query), ("cursor" = Option<String>, Query),
        ("min_position" = Option<String>, Query)),
    responses((status = 200, body = QueuePage), (status = 400, body = Problem), (status = 421, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn queues(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Names(pool): Names<String>,
    mut params: Params,
) -> Answer<Json<QueuePage>> {
    let pool = path_name("pool", &pool, Pool::parse)?;
    let mut page = Page::take(&mut params)?;
    let owned = readable(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    read(&owned, move |view| {
        let queues = queue_views(view, &pool, &mut page)?;
        Ok(Json(QueuePage { queues, next_cursor: page.next_cursor() }))
    })
    .await
}

/// The tags of a pool with their exact counts.
#[utoipa::path(
    get, path = "/v1/pools/{pool}/tags", tag = "pools",
    params(("pool" = String, Path), ("limit" = Option<u64>, Query), ("cursor" = Option<String>, Query),
        ("min_position" = Option<String>, Query)),
    responses((status = 200, body = TagPage), (status = 400, body = Problem), (status = 421, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn tags(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Names(pool): Names<String>,
    mut params: Params,
) -> Answer<Json<TagPage>> {
    let pool = path_name("pool", &pool, Pool::parse)?;
    let mut page = Page::take(&mut params)?;
    let owned = readable(&app, &pool, &uri, &mut params).await?;
    params.finish()?;
    read(&owned, move |view| {
        let tags = tag_views(view, &pool, &mut page)?;
        Ok(Json(TagPage { tags, next_cursor: page.next_cursor() }))
    })
    .await
}

/// One page of a pool's queues.
pub(crate) fn queue_views(view: &dyn StoreRead, pool: &Pool, page: &mut Page) -> Answer<Vec<QueueView>> {
    let mut queues = Vec::new();
    let prefix = KeyWriter::new(CounterTable::ID).str(pool.as_str()).u8(1).finish();
    page.check(|cursor| cursor.starts_with(&prefix))?;
    page.walk::<CounterTable>(view, &prefix, &mut |key, bytes| {
        let Dimension::Queue(queue) = key.dimension else {
            return Ok(LEFT_OUT);
        };
        let numbers = Numbers::from(&CounterTable::decode(bytes)?.counts);
        queues.push(QueueView { pool: pool.to_string(), queue: queue.to_string(), numbers });
        Ok(SMALL_ROW)
    })?;
    Ok(queues)
}

/// One page of a pool's tags.
pub(crate) fn tag_views(view: &dyn StoreRead, pool: &Pool, page: &mut Page) -> Answer<Vec<TagView>> {
    let mut tags = Vec::new();
    let prefix = KeyWriter::new(CounterTable::ID).str(pool.as_str()).u8(2).finish();
    page.check(|cursor| cursor.starts_with(&prefix))?;
    page.walk::<CounterTable>(view, &prefix, &mut |key, bytes| {
        let Dimension::Tag(name, value) = key.dimension else {
            return Ok(LEFT_OUT);
        };
        tags.push(TagView { name, value, numbers: Numbers::from(&CounterTable::decode(bytes)?.counts) });
        Ok(SMALL_ROW)
    })?;
    Ok(tags)
}
