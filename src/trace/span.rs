//! A finished span, and many of them as OTLP's JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::context::TraceContext;

/// The numbers of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Answers a request.
    Server = 2,
    /// Works off what was queued.
    Consumer = 5,
}

/// Something that took time.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) context: TraceContext,
    pub(crate) parent: Option<TraceContext>,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) started_at: SystemTime,
    pub(crate) ended_at: SystemTime,
    pub(crate) attributes: Vec<(&'static str, String)>,
    /// Why it did not end well.
    pub(crate) error: Option<String>,
}

impl Span {
    fn to_json(&self) -> Value {
        let fields = [
            ("traceId", json!(format!("{:032x}", self.context.trace))),
            ("spanId", json!(format!("{:016x}", self.context.span))),
            ("name", json!(self.name)),
            ("kind", json!(self.kind as u8)),
            ("startTimeUnixNano", json!(nanos(self.started_at))),
            ("endTimeUnixNano", json!(nanos(self.ended_at))),
            ("attributes", json!(attributes(&self.attributes))),
        ];
        let parent = self.parent.map(|parent| ("parentSpanId", json!(format!("{:016x}", parent.span))));
        // 2 is an error.
        let status = self.error.as_ref().map(|error| ("status", json!({"code": 2, "message": error})));
        let all = fields.into_iter().chain(parent).chain(status);
        all.map(|(name, value)| (name.to_owned(), value)).collect::<serde_json::Map<_, _>>().into()
    }
}

/// The body of an export.
pub(super) fn export_request(resource: &[(&'static str, String)], spans: &[Span]) -> Value {
    let spans: Vec<Value> = spans.iter().map(Span::to_json).collect();
    let scope = json!({"name": "yardmaster", "version": env!("CARGO_PKG_VERSION")});
    json!({"resourceSpans": [{
        "resource": {"attributes": attributes(resource)},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]})
}

fn attributes(list: &[(&'static str, String)]) -> Vec<Value> {
    list.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect()
}

/// 64-bit numbers are texts in OTLP's JSON.
fn nanos(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_span_is_written_as_otlp_wants_it() {
        let text = |end| format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{end:016x}-01");
        let context = |end| TraceContext::parse(&text(end)).unwrap();
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let span = Span {
            context: context(2),
            parent: Some(context(1)),
            name: "run",
            kind: Kind::Consumer,
            started_at: at(5),
            ended_at: at(7),
            attributes: vec![("yardmaster.task", "t-1".to_owned())],
            error: Some("exit code 3".to_owned()),
        };
        let request = export_request(&[("service.name", "yardmaster-worker".to_owned())], &[span]);
        let first = &request["resourceSpans"][0];
        assert_eq!(first["resource"]["attributes"][0]["value"]["stringValue"], "yardmaster-worker");
        assert_eq!(
            first["scopeSpans"][0]["spans"][0],
            json!({
                "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "0000000000000002",
                "parentSpanId": "0000000000000001", "name": "run", "kind": 5,
                "startTimeUnixNano": "5000000", "endTimeUnixNano": "7000000",
                "attributes": [{"key": "yardmaster.task", "value": {"stringValue": "t-1"}}],
                "status": {"code": 2, "message": "exit code 3"},
            })
        );
    }
}
