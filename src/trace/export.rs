//! Sends finished spans to a collector, OTLP over HTTP as JSON, from a thread of its own. What it can't keep up with, or
//! the collector does not take, is dropped and said so: a trace is never worth holding up a task.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::span::{Span, export_request};

/// Spans that wait, at most.
const WAITING_MAX: usize = 4_096;
/// Spans of one request.
const SPANS_MAX: usize = 512;
/// How long spans wait for others to go with.
const GATHER_TIME: Duration = Duration::from_secs(1);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

enum Order {
    Take(Box<Span>),
    /// Send what there is, then answer.
    Flush(SyncSender<()>),
}

/// The way to the collector.
#[derive(Debug, Clone)]
pub(super) struct Exporter {
    orders: SyncSender<Order>,
}

impl Exporter {
    /// Starts the thread. `resource` says who sends.
    pub(super) fn start(endpoint: &str, resource: Vec<(&'static str, String)>) -> std::io::Result<Self> {
        let (orders, queue) = sync_channel(WAITING_MAX);
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        let agent = config.build().into();
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let collector = Collector { url, agent, resource };
        std::thread::Builder::new().name("otel".to_owned()).spawn(move || collector.work(&queue))?;
        Ok(Self { orders })
    }

    /// Takes a span, if there is room.
    pub(super) fn take(&self, span: Span) {
        if self.orders.try_send(Order::Take(Box::new(span))).is_err() {
            tracing::warn!(
                "a span is dropped: the collector at otel.endpoint is too slow for what is traced"
            );
        }
    }

    /// Waits until what was taken is sent, but not longer than this.
    pub(super) fn flush(&self, patience: Duration) {
        let (done, is_done) = sync_channel(1);
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            // Too late is as good as lost; the collector's thread says what became of it.
            is_done.recv_timeout(patience).ok();
        }
    }
}

struct Collector {
    url: String,
    agent: ureq::Agent,
    resource: Vec<(&'static str, String)>,
}

impl Collector {
    fn work(&self, queue: &Receiver<Order>) {
        let mut spans: Vec<Span> = Vec::new();
        let mut due_at = None;
        loop {
            let wait =
                due_at.map_or(Duration::MAX, |due: Instant| due.saturating_duration_since(Instant::now()));
            let mut answer = None;
            match queue.recv_timeout(wait) {
                Ok(Order::Take(span)) => {
                    spans.push(*span);
                    let due = *due_at.get_or_insert_with(|| Instant::now() + GATHER_TIME);
                    if spans.len() < SPANS_MAX && Instant::now() < due {
                        continue;
                    }
                }
                Ok(Order::Flush(done)) => answer = Some(done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.send(&spans),
            }
            self.send(&spans);
            spans.clear();
            due_at = None;
            // Who asked may have given up.
            if let Some(done) = answer {
                done.try_send(()).ok();
            }
        }
    }

    fn send(&self, spans: &[Span]) {
        if spans.is_empty() {
            return;
        }
        let body = export_request(&self.resource, spans).to_string();
        let request = self.agent.post(&self.url).header("content-type", "application/json");
        let error = match request.send(body.as_bytes()) {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) => format!("it answers {}", answer.status()),
            Err(error) => error.to_string(),
        };
        let lost = spans.len();
        tracing::warn!(
            url = self.url,
            lost,
            error,
            "spans are lost: the collector at otel.endpoint does not take them"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::context::TraceContext;
    use super::super::span::Kind;
    use super::*;

    #[test]
    fn a_collector_that_is_not_there_holds_nobody_up() {
        let exporter = Exporter::start("http://127.0.0.1:1/", Vec::new()).unwrap();
        let span = Span {
            context: TraceContext::root(),
            parent: None,
            name: "run",
            kind: Kind::Consumer,
            started_at: SystemTime::now(),
            ended_at: SystemTime::now(),
            attributes: Vec::new(),
            error: None,
        };
        for _ in 0..2 * WAITING_MAX {
            exporter.take(span.clone());
        }
        exporter.flush(PATIENCE);
    }
}
