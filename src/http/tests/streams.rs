//! Server-sent events, the OpenAPI document, Swagger UI, metrics, and a real connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::Value;

use super::cluster::{Cluster, ask};
use crate::http::parts::{Access, EventFeed, EventStream, FeedError, TailRecord};

/// A topic with one partition that ends: behind the last record, everything is gone.
struct Topic {
    records: Vec<String>,
    opened: Mutex<Vec<Option<Vec<i64>>>>,
}

struct Reading {
    left: VecDeque<(i64, String)>,
    next: i64,
}

impl EventFeed for Topic {
    fn open(&self, from: Option<Vec<i64>>) -> Result<Box<dyn EventStream>, FeedError> {
        let next = from.as_ref().map_or(0, |from| from[0]);
        self.opened.lock().unwrap().push(from);
        let numbered =
            self.records.iter().enumerate().map(|(n, text)| (i64::try_from(n).unwrap(), text.clone()));
        Ok(Box::new(Reading { left: numbered.filter(|(n, _)| *n >= next).collect(), next }))
    }
}

impl EventStream for Reading {
    fn poll(&mut self, _: Duration) -> Result<Option<TailRecord>, FeedError> {
        let Some((offset, text)) = self.left.pop_front() else {
            return Err(FeedError::Gone("the end".to_owned()));
        };
        self.next = offset + 1;
        Ok(Some(TailRecord { partition: 0, offset, key: None, value: Some(text.into_bytes()) }))
    }

    fn position(&self, _: i32) -> Option<i64> {
        Some(self.next)
    }
}

fn topic() -> Arc<Topic> {
    let event = |kind: &str, pool: &str, job: &str| {
        format!(r#"{{"v":1,"type":"{kind}","pool":"{pool}","job":"{job}"}}"#)
    };
    let records = vec![
        event("accepted", "default", "j"),
        event("accepted", "other", "j"),
        event("ended", "default", "j"),
        "not json".to_owned(),
        event("ended", "default", "k"),
    ];
    Arc::new(Topic { records, opened: Mutex::default() })
}

async fn events(query: &str, last: Option<&str>) -> (String, Vec<Option<Vec<i64>>>) {
    let (cluster, topic) = (Cluster::new(), topic());
    let router = cluster.router_with(Access::default(), topic.clone(), "127.0.0.1:9733");
    let mut request = Request::get(format!("/v1/events?{query}")).header(header::HOST, "localhost");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let reply = ask(router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.headers[header::CONTENT_TYPE], "text/event-stream");
    let opened = topic.opened.lock().unwrap().clone();
    (reply.text, opened)
}

#[tokio::test]
async fn events_are_filtered_and_say_where_to_resume() {
    let (text, opened) = events("pool=default&type=ended", None).await;
    assert_eq!(opened, [None]);
    assert_eq!(text.matches("event: ended").count(), 2, "{text}");
    assert!(!text.contains("accepted"), "{text}");
    assert!(text.contains("id: e1.3\n") && text.contains("id: e1.5\n"), "{text}");
    assert!(text.trim_end().ends_with("data: the end") && text.contains("event: lost"), "{text}");
    let (text, _) = events("job=j", None).await;
    assert_eq!(text.matches("data: {").count(), 3, "{text}");
}

#[tokio::test]
async fn a_stream_resumes_behind_the_last_event() {
    for (query, header) in [("", Some("e1.3")), ("last_event_id=e1.3", None)] {
        let (text, opened) = events(query, header).await;
        assert_eq!(opened, [Some(vec![3])]);
        assert_eq!(text.matches("data: {").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn there_are_at_most_32_streams() {
    let cluster = Cluster::new();
    let router = cluster.router();
    let mut open = Vec::new();
    for _ in 0..32 {
        let request =
            Request::get("/v1/events").header(header::HOST, "localhost").body(Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(router.clone(), request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        open.push(response);
    }
    let request =
        || Request::get("/v1/events").header(header::HOST, "localhost").body(Body::empty()).unwrap();
    assert_eq!(ask(router.clone(), request()).await.problem(503).0, "streams");
    drop(open);
    // The threads notice within one look at the feed.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let response = tower::ServiceExt::oneshot(router, request()).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
}

#[tokio::test]
async fn the_document_names_every_route() {
    let cluster = Cluster::new();
    let document = cluster.get("/openapi.json").await.ok(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let wanted = [
        "/v1/tasks",
        "/v1/tasks/{id}",
        "/v1/pools",
        "/v1/pools/{pool}/tasks",
        "/v1/pools/{pool}/tasks/{id}",
        "/v1/pools/{pool}/tasks/{id}/cancel",
        "/v1/pools/{pool}/tasks/{id}/requeue",
        "/v1/pools/{pool}/jobs",
        "/v1/pools/{pool}/jobs/{id}",
        "/v1/pools/{pool}/jobs/{id}/cancel",
        "/v1/pools/{pool}/jobs/{id}/results",
        "/v1/pools/{pool}/queues",
        "/v1/pools/{pool}/stats",
        "/v1/pools/{pool}/workers",
        "/v1/pools/{pool}/workers/{worker}",
        "/v1/pools/{pool}/workers/{worker}/drain",
        "/v1/pools/{pool}/workers/{worker}/undrain",
        "/v1/events",
        "/healthz",
        "/readyz",
        "/metrics",
    ];
    for path in wanted {
        assert!(paths.iter().any(|known| *known == path), "{path} is not in the document");
    }
    assert_eq!(paths.len(), wanted.len());
    let mut missing = Vec::new();
    check_references(&document, &document, &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}

/// Every `$ref` must lead somewhere.
fn check_references(document: &Value, value: &Value, missing: &mut Vec<String>) {
    if let Some(target) = value.get("$ref").and_then(Value::as_str)
        && document.pointer(target.trim_start_matches('#')).is_none()
    {
        missing.push(target.to_owned());
    }
    let inner: Vec<&Value> = match value {
        Value::Object(map) => map.values().collect(),
        Value::Array(list) => list.iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    inner.into_iter().for_each(|value| check_references(document, value, missing));
}

#[tokio::test]
async fn swagger_and_metrics_come_out_of_the_binary() {
    let cluster = Cluster::new();
    let page = cluster.get("/swagger/").await;
    assert_eq!(page.status.as_u16(), 200);
    assert!(page.text.contains("swagger-ui") && !page.text.contains("https://"), "{}", page.text);
    assert_eq!(cluster.get("/metrics").await.text, "yardmaster_up 1\n");
}
