//! What other programs ask again and again: metrics, alive, ready.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::guard::Stranger;
use super::parts::App;
use super::problem::{Answer, Problem};
use crate::kafka::{OpenCall, open_calls};
use crate::runtime::{Registry, RestoreProgress};

/// Whether the process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

/// What this instance serves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Every partition is served, here or elsewhere, as far as that was seen lately.
    ready: bool,
    /// Whether the placement was seen within `instance.timeout`: else this instance may be cut off from Kafka.
    following: bool,
    /// How many partitions there are.
    partitions: i32,
    /// Those here.
    owned: Vec<OwnedView>,
    /// Those of others, with their addresses.
    elsewhere: BTreeMap<i32, String>,
    /// Those that move or are being restored.
    moving: Vec<i32>,
    /// Of these: those that are being restored here, and how far that is.
    restoring: Vec<RestoringView>,
    /// Calls of the Kafka client that take longer than they ever should.
    overdue: Vec<OverdueView>,
    /// Of those that are placed here: what holds them, and the way out.
    halted: BTreeMap<i32, HaltView>,
}

/// Why a partition stands still.
#[derive(Debug, Serialize, ToSchema)]
struct HaltView {
    /// topics, directory, too_new, input_lost, changelog_lost, damaged, or no_space.
    cause: &'static str,
    /// What was found, what was expected, and what to do.
    detail: String,
}

/// A partition that is being restored.
#[derive(Debug, Serialize, ToSchema)]
struct RestoringView {
    partition: i32,
    /// Offsets of the changelog that were read.
    done: u64,
    /// Of so many.
    total: u64,
    /// Why it does not go on, when it doesn't.
    waits_for: Option<String>,
}

/// A call that does not come back.
#[derive(Debug, Serialize, ToSchema)]
struct OverdueView {
    /// What is called.
    call: &'static str,
    /// With what: a transactional id, a partition, a kind of client.
    of: String,
    /// For how long.
    seconds: u64,
}

fn restoring(registry: &Registry) -> Vec<RestoringView> {
    let view = |restore: RestoreProgress| {
        let RestoreProgress { partition, done, total, waits_for } = restore;
        RestoringView { partition, done, total, waits_for }
    };
    registry.restores().all().into_iter().map(view).collect()
}

fn overdue() -> Vec<OverdueView> {
    let view =
        |open: OpenCall| OverdueView { call: open.call.name(), seconds: open.age().as_secs(), of: open.of };
    open_calls().into_iter().filter(OpenCall::is_overdue).map(view).collect()
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

/// Whether everything is served, for whoever may not see more.
#[derive(Debug, Serialize, ToSchema)]
struct Ready {
    ready: bool,
}

/// 200 when every partition is served here or by another instance which says so, and the placement was seen lately; else
/// 503. Open without a token, then with `ready` alone.
#[utoipa::path(
    get, path = "/readyz", tag = "operation",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness))
)]
pub(crate) async fn readyz(State(app): State<App>, stranger: Option<Extension<Stranger>>) -> Response {
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
    let following = registry.is_following(app.parts.instance_timeout);
    let ready = moving.is_empty() && following;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if stranger.is_some() {
        return (status, Json(Ready { ready })).into_response();
    }
    let halts = registry.halts().into_iter();
    let halted = halts
        .map(|(partition, halt)| (partition, HaltView { cause: halt.cause.name(), detail: halt.text }))
        .collect();
    let body = Readiness {
        ready,
        following,
        partitions: registry.partitions(),
        owned,
        elsewhere,
        moving,
        restoring: restoring(registry),
        overdue: overdue(),
        halted,
    };
    (status, Json(body)).into_response()
}

/// Prometheus metrics in the text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "text/plain", body = String))
)]
pub(crate) async fn metrics(State(app): State<App>) -> Answer<Response> {
    // Reads the stores: not on a thread that other requests need.
    let rendered = tokio::task::spawn_blocking(move || (app.parts.metrics)()).await;
    let text = rendered.map_err(|error| Problem::internal(format!("the metrics failed: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
