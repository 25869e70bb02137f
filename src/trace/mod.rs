//! Traces: a submit's `traceparent`, a header of its request or record, goes on in the task's environment to the worker
//! and the program, and with `otel.endpoint` each submit and each attempt is a span that a collector gets.
//!
//! **Invariant:** nothing here changes what becomes of a task; without an endpoint a context is passed on as it came.

mod carried;
mod context;
mod export;
mod record;
mod run;
mod span;
mod submit;

use std::sync::OnceLock;
use std::time::Duration;

pub(crate) use context::TraceContext;
use export::Exporter;
pub(crate) use record::{headers_of, kept, take_up};
pub(crate) use run::Run;
use span::Span;
pub(crate) use submit::Submitting;

/// The context in an environment: of a task, of its program, of a command that is run inside a trace.
pub(crate) const TRACEPARENT: &str = "TRACEPARENT";
/// What vendors add to it.
const TRACESTATE: &str = "TRACESTATE";

/// How long the last spans may take at the end of a process.
const FAREWELL: Duration = Duration::from_secs(2);

static EXPORTER: OnceLock<Exporter> = OnceLock::new();

/// Begins to export; once in a process. `service` is `server` or `worker`, `instance` its name.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(endpoint: &str, service: &str, instance: &str) -> std::io::Result<()> {
    let resource = vec![
        ("service.name", format!("yardmaster-{service}")),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", instance.to_owned()),
    ];
    if !endpoint.is_empty() && EXPORTER.set(Exporter::start(endpoint, resource)?).is_ok() {
        tracing::info!(endpoint, "traces are exported");
    }
    Ok(())
}

/// Sends what is still here.
pub(crate) fn finish() {
    if let Some(exporter) = EXPORTER.get() {
        exporter.flush(FAREWELL);
    }
}

/// The context of what happens here: a span below `parent`, or the beginning of a trace. Nothing when nobody exports it.
fn begin(parent: Option<TraceContext>) -> Option<TraceContext> {
    EXPORTER.get()?;
    match parent {
        None => Some(TraceContext::root()),
        Some(parent) => parent.is_sampled().then(|| parent.child()),
    }
}

fn export(span: Span) {
    if let Some(exporter) = EXPORTER.get() {
        exporter.take(span);
    }
}
