//! Every route, and what stands around all of them: guard, limits, timeouts, problem details.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::guard::{Guard, guard};
use super::parts::App;
use super::problem::Problem;
use super::send::BODY_MAX;
use super::{
    anywhere, cancel, cluster, counts, events, forward, jobs, openapi, pools, probes, read_tasks, stats,
    submit, windows, workers,
};
use crate::metrics::Requests;

/// How long an answer may take to begin, body and waiting included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);
/// The longest path and query.
const URI_MAX: usize = 4_096;

/// All routes over the given parts.
pub(crate) fn router(app: &App, access: Arc<Guard>) -> Router {
    Router::new()
        .route("/v1/tasks", post(submit::submit))
        .route("/v1/tasks/{*id}", get(anywhere::anywhere))
        .route("/v1/pools", get(pools::pools))
        .route("/v1/pools/{pool}/stats", get(stats::stats))
        .route("/v1/pools/{pool}/stats/windows", get(windows::windows))
        .route("/v1/pools/{pool}/queues", get(counts::queues))
        .route("/v1/pools/{pool}/tags", get(counts::tags))
        .route("/v1/pools/{pool}/tasks", get(read_tasks::tasks))
        // Ids may have slashes in them, so everything behind is read by hand.
        .route("/v1/pools/{pool}/tasks/{*rest}", get(read_tasks::task).post(cancel::behind_tasks))
        .route("/v1/pools/{pool}/jobs", get(jobs::jobs))
        .route("/v1/pools/{pool}/jobs/{*rest}", get(jobs::behind_jobs).post(cancel::behind_jobs))
        .route("/v1/pools/{pool}/workers", get(workers::workers))
        .route("/v1/pools/{pool}/workers/{worker}", get(workers::worker))
        .route("/v1/pools/{pool}/workers/{worker}/drain", post(workers::drain))
        .route("/v1/pools/{pool}/workers/{worker}/undrain", post(workers::undrain))
        .route("/v1/events", get(events::events))
        .route("/v1/cluster", get(cluster::cluster))
        .route("/v1/cluster/rebalance", post(cluster::rebalance))
        .route("/v1/cluster/instances/{instance}/drain", post(cluster::drain))
        .route("/v1/cluster/instances/{instance}/undrain", post(cluster::undrain))
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .merge(openapi::router())
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(app), forward::forward))
        .layer(from_fn(bounded))
        .layer(from_fn_with_state(access, guard))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.parts.requests.clone(), counted))
        .with_state(Arc::clone(app))
}

/// Counts every request under the template of its route.
async fn counted(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (method, route) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let response = next.run(request).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    requests.answered(method.as_str(), route, response.status().as_u16(), began.elapsed());
    response
}

/// Refuses paths that are too long, and ends what takes too long.
async fn bounded(request: Request, next: Next) -> Response {
    let length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if length > URI_MAX {
        let detail = format!("path and query have {length} bytes");
        return Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", "The URI is too long", detail)
            .limit(format!("{URI_MAX} bytes"))
            .remedy("shorten the path or send fewer filters")
            .into_response();
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("the request was not answered within {} s", REQUEST_TIMEOUT.as_secs());
            Problem::later("timeout", detail).limit(REQUEST_TIMEOUT.as_secs().to_string()).into_response()
        }
    }
}

async fn unknown_path() -> Problem {
    Problem::not_found("there is nothing at this path").remedy("see /openapi.json or /swagger")
}

async fn unknown_method() -> Problem {
    let detail = "this path does not know the method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not allowed", detail)
        .remedy("see /openapi.json or /swagger")
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Problem::internal(format!("a handler panicked: {text}")).into_response()
}
