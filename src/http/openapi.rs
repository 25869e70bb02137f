//! The OpenAPI 3.1 document, and Swagger UI out of the binary: nothing is fetched from elsewhere.

use axum::Router;
use utoipa::OpenApi;
use utoipa_swagger_ui::SwaggerUi;

use super::{cancel, events, jobs, pools, probes, read_tasks, requeue, results, submit, workers};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "yardmaster",
        description = "Hands the tasks of a compute grid to workers and tracks every one of them, exactly once. Errors are \
                       RFC 9457 problem details. What another instance owns is answered with 421 and its address.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        submit::submit,
        read_tasks::anywhere,
        read_tasks::tasks,
        read_tasks::task,
        cancel::cancel_task,
        requeue::requeue,
        jobs::jobs,
        jobs::one,
        results::results,
        cancel::cancel_job,
        pools::pools,
        pools::queues,
        pools::stats,
        workers::workers,
        workers::worker,
        workers::drain,
        workers::undrain,
        events::events,
        probes::healthz,
        probes::readyz,
        probes::metrics,
    )
)]
pub(crate) struct Document;

/// `/openapi.json` and `/swagger`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    SwaggerUi::new("/swagger").url("/openapi.json", Document::openapi()).into()
}
