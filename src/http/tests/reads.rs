//! Reads: tasks with their timeline, lists page by page, jobs, results, numbers.

use std::collections::BTreeSet;

use axum::http::header;
use serde_json::{Value, json};

use super::cluster::Cluster;

/// Ten tasks of a job in two queues; the first four have ended well, one runs.
async fn busy() -> std::sync::Arc<Cluster> {
    let cluster = Cluster::new();
    let task = |n: u32| {
        let (queue, tag) = if n.is_multiple_of(2) { ("even", "EUR") } else { ("odd", "USD") };
        format!(
            r#"{{"id":"t-{n}","job":"risk/42","queue":"{queue}","priority":{},"tags":{{"curve":"{tag}"}}}}"#,
            10 - n
        )
    };
    let body: Vec<String> = (0..10).map(task).collect();
    cluster.post("/v1/tasks?wait=applied", &format!("[{}]", body.join(","))).await.ok(201);
    cluster.join("w1", 1);
    for _ in 0..4 {
        cluster.complete_all("w1");
    }
    cluster
}

fn ids(page: &Value) -> Vec<String> {
    page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_task_shows_its_timeline() {
    let cluster = busy().await;
    let done = cluster.get("/v1/pools/default/tasks/t-0").await.ok(200);
    assert_eq!(done["state"], "COMPLETED");
    assert_eq!(done["result"]["price"], 1.5);
    assert_eq!(done["attempts"][0]["outcome"], "SUCCEEDED");
    let what: Vec<&str> =
        done["timeline"].as_array().unwrap().iter().map(|m| m["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["submitted", "assigned", "started", "closed", "completed"]);
    let open = cluster.get("/v1/pools/default/tasks/t-4").await.ok(200);
    assert_eq!((&open["state"], &open["worker"]), (&"ASSIGNED".into(), &"w1".into()));
    assert_eq!(open["attempts"][0]["worker"], "w1");
    assert!(open["attempts"][0].get("outcome").is_none());
    assert_eq!(open["spec"]["queue"], "even");
}

#[tokio::test]
async fn a_task_that_is_not_there_names_the_horizon() {
    let cluster = Cluster::new();
    for path in ["/v1/pools/default/tasks/t-1", "/v1/tasks/t-1"] {
        let reply = cluster.get(path).await;
        reply.problem(404);
        assert!(
            reply.json()["detail"].as_str().unwrap().contains("24 h and others for 168 h"),
            "{}",
            reply.text
        );
    }
}

#[tokio::test]
async fn lists_filter_and_live_ones_come_first() {
    let cluster = busy().await;
    let list = |query: &'static str| {
        let cluster = cluster.clone();
        async move { ids(&cluster.get(&format!("/v1/pools/default/tasks?{query}")).await.ok(200)) }
    };
    let all = list("").await;
    assert_eq!(all, ["t-5", "t-7", "t-9", "t-4", "t-6", "t-8", "t-0", "t-1", "t-2", "t-3"]);
    assert_eq!(list("queue=even").await, ["t-4", "t-6", "t-8", "t-0", "t-2"]);
    assert_eq!(list("tag=curve%3DUSD&state=QUEUED").await, ["t-5", "t-7", "t-9"]);
    assert_eq!(list("tag=curve=GBP").await, [""; 0]);
    assert_eq!(list("state=COMPLETED,ASSIGNED").await, ["t-4", "t-0", "t-1", "t-2", "t-3"]);
    assert_eq!(list("worker=w1&state=assigned").await, ["t-4"]);
    assert_eq!(list("worker=w1").await, ["t-4", "t-0", "t-1", "t-2", "t-3"]);
    assert_eq!(list("job=risk/42&state=COMPLETED").await, ["t-0", "t-1", "t-2", "t-3"]);
    assert_eq!(list("job=other").await, [""; 0]);
}

#[tokio::test]
async fn pages_meet_every_task_once() {
    let cluster = busy().await;
    for query in ["", "job=risk/42", "tag=curve=EUR", "state=COMPLETED", "worker=w1"] {
        let whole = ids(&cluster.get(&format!("/v1/pools/default/tasks?{query}")).await.ok(200));
        for limit in 1..=3 {
            let (mut met, mut cursor) = (Vec::new(), String::new());
            for _ in 0..20 {
                let path = format!("/v1/pools/default/tasks?{query}&limit={limit}&cursor={cursor}");
                let page = cluster.get(&path).await.ok(200);
                assert!(ids(&page).len() <= limit);
                met.extend(ids(&page));
                let Some(next) = page["next_cursor"].as_str() else {
                    break;
                };
                cursor = next.to_owned();
            }
            assert_eq!(met, whole, "{query}, {limit} at a time");
        }
    }
}

#[tokio::test]
async fn a_requeued_task_is_listed_once() {
    let cluster = busy().await;
    cluster.post("/v1/pools/default/tasks/t-0/requeue?wait=applied", "").await.ok(200);
    let all = ids(&cluster.get("/v1/pools/default/tasks").await.ok(200));
    assert_eq!(all.len(), 10);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 10);
}

#[tokio::test]
async fn a_job_counts_exactly_and_gives_its_results() {
    let cluster = busy().await;
    for path in ["/v1/pools/default/jobs/risk%2F42", "/v1/pools/default/jobs/risk/42"] {
        let job = cluster.get(path).await.ok(200);
        assert_eq!((&job["state"], &job["total"], &job["ended"]), (&"ACTIVE".into(), &10.into(), &4.into()));
        assert_eq!(job["counts"]["COMPLETED"], 4);
        let results = cluster.get(&format!("{path}/results")).await;
        assert_eq!(results.headers[header::CONTENT_TYPE], "application/x-ndjson");
        let lines: Vec<Value> =
            results.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line["state"] == "COMPLETED" && line["result"]["price"] == 1.5));
    }
    assert_eq!(cluster.get("/v1/pools/default/jobs").await.ok(200)["jobs"][0]["job"], "risk/42");
    assert_eq!(cluster.get("/v1/pools/default/jobs?state=DONE").await.ok(200)["jobs"], Value::Array(vec![]));
    cluster.get("/v1/pools/default/jobs/none").await.problem(404);
    cluster.get("/v1/pools/default/jobs/none/results").await.problem(404);
    cluster.post("/v1/pools/default/jobs/risk%2F42/cancel?wait=applied", r#"{"reason":"x"}"#).await.ok(200);
    assert_eq!(cluster.get("/v1/pools/default/jobs/risk%2F42").await.ok(200)["cancelled"], true);
    assert_eq!(
        cluster.post("/v1/pools/default/jobs/none/cancel?wait=applied", "").await.problem(404).0,
        "unknown_job"
    );
}

#[tokio::test]
async fn numbers_agree_with_each_other() {
    let cluster = busy().await;
    let stats = cluster.get("/v1/pools/default/stats").await.ok(200);
    assert_eq!((&stats["total"], &stats["live"]), (&10.into(), &6.into()));
    assert_eq!(stats["counts"], json!({ "COMPLETED": 4, "QUEUED": 5, "ASSIGNED": 1 }));
    let rows = |list: &str, name: &str| -> Vec<Value> {
        let rows = stats[list].as_array().unwrap().iter();
        rows.map(|row| json!([row[name], row["counts"], row["live"], row["total"]])).collect()
    };
    let (even, odd) =
        (json!({ "COMPLETED": 2, "QUEUED": 2, "ASSIGNED": 1 }), json!({ "COMPLETED": 2, "QUEUED": 3 }));
    assert_eq!(rows("queues", "queue"), [json!(["even", even, 3, 5]), json!(["odd", odd, 3, 5])]);
    assert_eq!(rows("tags", "value"), [json!(["EUR", even, 3, 5]), json!(["USD", odd, 3, 5])]);
    assert_eq!(rows("jobs", "job"), [json!(["risk/42", stats["counts"], 6, 10])]);
    assert_eq!(
        (&stats["workers"]["ACTIVE"], &stats["slots"], &stats["open"]),
        (&1.into(), &1.into(), &1.into())
    );
    let pools = cluster.get("/v1/pools").await.ok(200);
    assert_eq!(pools["pools"][0]["counts"], stats["counts"]);
    let queues = cluster.get("/v1/pools/default/queues").await.ok(200);
    assert_eq!(queues["queues"], stats["queues"]);
}

#[tokio::test]
async fn a_worker_shows_what_it_runs() {
    let cluster = busy().await;
    let worker = cluster.get("/v1/pools/default/workers/w1").await.ok(200);
    assert_eq!((&worker["slots"], &worker["open"]), (&1.into(), &1.into()));
    assert_eq!(worker["tasks"][0], "t-4");
    assert_eq!(worker["labels"]["gpu"], "a100");
    assert_eq!(
        cluster.get("/v1/pools/default/workers?state=LOST").await.ok(200)["workers"],
        Value::Array(vec![])
    );
    cluster.get("/v1/pools/default/workers/w9").await.problem(404);
}

#[tokio::test]
async fn an_id_in_several_pools_is_ambiguous() {
    let cluster = Cluster::new();
    for pool in ["default", "other"] {
        cluster.post(&format!("/v1/tasks?wait=applied&pool={pool}"), r#"{"id":"t-1"}"#).await.ok(201);
    }
    let reply = cluster.get("/v1/tasks/t-1").await;
    assert_eq!(reply.problem(409).0, "ambiguous");
    let body = reply.json();
    let hrefs: Vec<&str> =
        body["matches"].as_array().unwrap().iter().map(|m| m["href"].as_str().unwrap()).collect();
    assert_eq!(hrefs.len(), 2);
    assert!(hrefs.contains(&"/v1/pools/other/tasks/t-1"));
    let (mut met, mut cursor) = (Vec::new(), String::new());
    while met.len() < 2 {
        let page = cluster.get(&format!("/v1/pools?limit=1&cursor={cursor}")).await.ok(200);
        met.push(page["pools"][0]["pool"].as_str().unwrap().to_owned());
        cursor = page["next_cursor"].as_str().unwrap_or_default().to_owned();
    }
    met.sort();
    assert_eq!(met, ["default", "other"]);
}
