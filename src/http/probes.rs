//! What other programs ask again and again: metrics, alive, ready.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::parts::App;

/// Whether the process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

/// What this instance serves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Every partition is served, here or elsewhere.
    ready: bool,
    /// How many partitions there are.
    partitions: i32,
    /// Those here.
    owned: Vec<OwnedView>,
    /// Those of others, with their addresses.
    elsewhere: BTreeMap<i32, String>,
    /// Those that move or are being restored.
    moving: Vec<i32>,
}

/// A partition that is served here.
#[derive(Debug, Serialize, ToSchema)]
struct OwnedView {
    partition: i32,
    /// The last batch.
    sequence: u64,
    /// The next command's offset.
    tasks: i64,
    /// The next status's offset.
    status: i64,
    /// The processor's clock at the last batch.
    at_ms: u64,
}

/// Alive.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// 200 when every partition is served here or by another instance, else 503.
#[utoipa::path(
    get, path = "/readyz", tag = "operation",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness))
)]
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let registry = &app.parts.registry;
    let owned: Vec<OwnedView> = registry
        .owned()
        .into_iter()
        .map(|owned| {
            let at = *owned.committed.borrow();
            OwnedView {
                partition: owned.partition,
                sequence: at.sequence,
                tasks: at.tasks.0,
                status: at.status.0,
                at_ms: at.at_ms,
            }
        })
        .collect();
    let elsewhere = registry.elsewhere();
    let is_here = |partition: &i32| owned.iter().any(|owned| owned.partition == *partition);
    let moving: Vec<i32> = (0..registry.partitions())
        .filter(|partition| !is_here(partition) && !elsewhere.contains_key(partition))
        .collect();
    let ready = moving.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Readiness { ready, partitions: registry.partitions(), owned, elsewhere, moving };
    (status, Json(body)).into_response()
}

/// Prometheus metrics in the text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "text/plain", body = String))
)]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let text = (app.parts.metrics)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
