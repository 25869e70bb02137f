//! Windowed statistics over HTTP.

use serde_json::{Value, json};

use super::cluster::Cluster;

const PATH: &str = "/v1/pools/default/stats/windows";

/// Three tasks of two queues that have ended well, and one that is cancelled.
async fn busy() -> std::sync::Arc<Cluster> {
    let cluster = Cluster::new();
    let tasks =
        r#"[{"id":"a","queue":"x"},{"id":"b","queue":"x"},{"id":"c","queue":"y"},{"id":"d","queue":"y"}]"#;
    cluster.post("/v1/tasks?wait=applied", tasks).await.ok(201);
    cluster.post("/v1/pools/default/tasks/d/cancel?wait=applied", "").await.ok(200);
    cluster.join("w1", 3);
    cluster.complete_all("w1");
    cluster
}

/// A count, summed over all windows of an answer: a test may run over the end of one.
fn sum(page: &Value, name: &str) -> u64 {
    page["windows"].as_array().unwrap().iter().map(|window| window["counts"][name].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn windows_count_what_happened() {
    let cluster = busy().await;
    for size in ["5s", "1m", "1h"] {
        let pool = cluster.get(&format!("{PATH}?size={size}")).await.ok(200);
        assert_eq!((&pool["size"], pool.get("queue")), (&size.into(), None));
        for (name, count) in [
            ("submitted", 4),
            ("assigned", 3),
            ("started", 3),
            ("completed", 3),
            ("cancelled", 1),
            ("failed", 0),
        ] {
            assert_eq!(
                (sum(&pool, name), &pool["total"]["counts"][name]),
                (count, &json!(count)),
                "{name}: {pool}"
            );
        }
        assert_eq!(pool["total"]["queue_wait"]["count"], 3);
        assert_eq!(pool["total"]["run_time"]["count"], 3);
        assert!(pool["total"]["rates"]["completed"].as_f64().unwrap() > 0.0);
        let window = &pool["windows"][0];
        let [from, to] = ["from_ms", "to_ms"].map(|name| window[name].as_u64().unwrap());
        assert!(from.is_multiple_of(to - from), "{window}");
        let queue = cluster.get(&format!("{PATH}?size={size}&queue=y")).await.ok(200);
        assert_eq!((sum(&queue, "submitted"), sum(&queue, "completed"), sum(&queue, "cancelled")), (2, 1, 1));
    }
    // A minute, when nothing is said.
    assert_eq!(cluster.get(PATH).await.ok(200)["size"], "1m");
    let none = cluster.get(&format!("{PATH}?queue=none")).await.ok(200);
    assert_eq!((&none["windows"], none.get("total")), (&json!([]), None));
}

#[tokio::test]
async fn what_was_never_measured_has_no_percentiles() {
    let cluster = Cluster::new();
    cluster.post("/v1/tasks?wait=applied", r#"{"id":"a"}"#).await.ok(201);
    let page = cluster.get(PATH).await.ok(200);
    assert_eq!(page["windows"][0]["queue_wait"], json!({ "count": 0 }));
}

#[tokio::test]
async fn windows_are_chosen_by_time_and_paged() {
    let cluster = busy().await;
    let whole = cluster.get(&format!("{PATH}?size=1h")).await.ok(200);
    let newest = &whole["windows"][0];
    let [from, to] = ["from_ms", "to_ms"].map(|name| newest[name].as_u64().unwrap());
    let starts = |query: String| {
        let cluster = cluster.clone();
        async move {
            let page = cluster.get(&format!("{PATH}?size=1h&{query}")).await.ok(200);
            page["windows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|w| w["from_ms"].as_u64().unwrap())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(starts(format!("from_ms={}&to_ms={}", to - 1, to)).await, [from]);
    assert_eq!(starts(format!("from_ms={from}&to_ms={}", from + 1)).await, [from]);
    assert_eq!(starts(format!("from_ms={to}")).await, [0; 0]);
    assert!(!starts(format!("to_ms={from}")).await.contains(&from));
    // Two hours more, so that there are pages.
    cluster.write(|txn| {
        for back in 1..=2 {
            super::cluster::put_window(txn, from - back * 3_600_000);
        }
    });
    let (mut met, mut query) = (Vec::new(), "limit=1".to_owned());
    loop {
        let page = cluster.get(&format!("{PATH}?size=1h&{query}")).await.ok(200);
        met.extend(page["windows"].as_array().unwrap().iter().map(|w| w["from_ms"].as_u64().unwrap()));
        let Some(next) = page["next_to_ms"].as_u64() else { break };
        query = format!("limit=1&to_ms={next}");
    }
    assert_eq!(met, starts("limit=1000".to_owned()).await, "newest first, each once");
    assert!(met.len() >= 3 && met.is_sorted_by(|one, next| one > next), "{met:?}");
}

#[tokio::test]
async fn wrong_questions_are_told_what_is_right() {
    let cluster = Cluster::new();
    for (query, field) in [
        ("size=2m", "size"),
        ("queue=a/b", "queue"),
        ("from_ms=-1", "from_ms"),
        ("from_ms=9&to_ms=9", "from_ms"),
        ("to_ms=soon", "to_ms"),
        ("limit=1001", "limit"),
        ("sise=1m", "sise"),
        ("min_position=x", "min_position"),
    ] {
        assert_eq!(cluster.get(&format!("{PATH}?{query}")).await.problem(400).1, field, "{query}");
    }
    let problem = cluster.get(&format!("{PATH}?size=2m")).await.json();
    assert_eq!(
        (&problem["limit"], &problem["remedy"]),
        (&json!("5s, 1m, 1h"), &json!("use one of 5s, 1m, 1h"))
    );
}
