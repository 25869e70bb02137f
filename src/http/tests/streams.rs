//! Server-sent events, Swagger UI and metrics.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};

use super::cluster::{Cluster, ask};
use crate::http::parts::{Access, EventFeed, EventStream, FeedError, TailRecord};

/// A topic with one partition that ends: behind the last record, everything is gone.
struct Topic {
    records: Vec<String>,
    opened: Mutex<Vec<Vec<i64>>>,
}

struct Reading {
    left: VecDeque<(i64, String)>,
    next: i64,
}

impl EventFeed for Topic {
    fn ends(&self) -> Result<Vec<i64>, FeedError> {
        // "Now" is the beginning: at the end there would be nothing to see.
        let is_first = self.opened.lock().unwrap().is_empty();
        Ok(vec![if is_first { 0 } else { 77 }])
    }

    fn open(&self, from: Vec<i64>) -> Result<Box<dyn EventStream>, FeedError> {
        let next = from[0];
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

async fn events(query: &str, last: Option<&str>) -> (String, Vec<Vec<i64>>) {
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
    assert_eq!(opened, [[0]]);
    assert!(text.starts_with("id: e1.0\n\n"), "the first message says where to resume: {text}");
    assert_eq!(text.matches("event: ended").count(), 2, "{text}");
    assert!(!text.contains("accepted"), "{text}");
    assert!(text.contains("id: e1.3\n") && text.contains("id: e1.5\n"), "{text}");
    assert!(text.trim_end().ends_with("event: lost\ndata: the end\nid: e1.77"), "{text}");
    let (text, _) = events("job=j", None).await;
    assert_eq!(text.matches("data: {").count(), 3, "{text}");
}

#[tokio::test]
async fn a_stream_resumes_behind_the_last_event() {
    for (query, header) in [
        ("", Some("e1.3")),
        ("last_event_id=e1.3", None),
        // The address of a page that reconnects is as old as its first connection.
        ("last_event_id=e1.0", Some("e1.3")),
        ("last_event_id=e1.3", Some("")),
    ] {
        let (text, opened) = events(query, header).await;
        assert_eq!(opened, [[3]]);
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
async fn swagger_and_metrics_come_out_of_the_binary() {
    let cluster = Cluster::new();
    let page = cluster.get("/swagger/").await;
    assert_eq!(page.status.as_u16(), 200);
    assert!(page.text.contains("swagger-ui") && !page.text.contains("https://"), "{}", page.text);
    assert_eq!(cluster.get("/metrics").await.text, "yardmaster_up 1\n");
}
