//! Orders: submit, cancel, requeue, drain, with and without waiting for the decision.

use std::sync::atomic::Ordering;

use axum::http::header;

use yardmaster_topologies::id::TaskId;
use yardmaster_topologies::tables::TaskTable;

use super::cluster::{Cluster, pool};

#[tokio::test]
async fn a_submit_is_acknowledged_and_can_be_read_at_its_position() {
    let cluster = Cluster::new();
    let reply = cluster.post("/v1/tasks", r#"{"id":"a/b","command":["true"]}"#).await;
    assert_eq!(reply.headers[header::LOCATION], "/v1/pools/default/tasks/a%2Fb");
    let sent = reply.ok(202);
    assert_eq!(sent["tasks"][0]["outcome"], "sent");
    assert_eq!(sent["warnings"][0]["code"], "no_live_worker");
    let position = sent["position"].as_str().unwrap();
    for path in
        ["/v1/pools/default/tasks/a%2Fb", "/v1/pools/default/tasks/a/b", "/v1/tasks/a%2Fb", "/v1/tasks/a/b"]
    {
        let task = cluster.get(&format!("{path}?min_position={position}")).await.ok(200);
        assert_eq!((&task["id"], &task["state"]), (&"a/b".into(), &"QUEUED".into()), "{path}");
    }
}

#[tokio::test]
async fn a_submit_that_waits_is_answered_with_the_decision() {
    let cluster = Cluster::new();
    cluster.join("w1", 1);
    let path = "/v1/tasks?wait=applied";
    let accepted = cluster.post(path, r#"{"id":"t-1"}"#).await.ok(201);
    assert_eq!(accepted["tasks"][0]["outcome"], "accepted");
    assert_eq!(accepted["warnings"].as_array().unwrap().len(), 0);
    let repeated = cluster.post(path, r#"{"id":"t-1"}"#).await.ok(200);
    assert_eq!(repeated["tasks"][0]["outcome"], "repeated");
    let conflict = cluster.post(path, r#"{"id":"t-1","priority":3}"#).await;
    assert_eq!(conflict.problem(409), ("conflict".into(), "id".into()));
    let refused = cluster.post(path, r#"{"id":"t-2","reply_to":"elsewhere"}"#).await;
    assert_eq!(refused.problem(422), ("reply_topic_unknown".into(), "reply_to".into()));
    let mixed = cluster.post(path, r#"[{"id":"t-3"},{"id":"t-1","priority":3}]"#).await;
    mixed.problem(409);
    let outcomes: Vec<_> =
        mixed.json()["tasks"].as_array().unwrap().iter().map(|t| t["outcome"].clone()).collect();
    assert_eq!(outcomes, ["accepted", "refused"]);
}

#[tokio::test]
async fn many_tasks_become_few_commands_and_keep_their_order() {
    let cluster = Cluster::new();
    let list: Vec<String> = (0..2_500).map(|n| format!(r#"{{"id":"t-{n}"}}"#)).collect();
    let sent = cluster.post("/v1/tasks?wait=applied", &format!("[{}]", list.join(","))).await.ok(201);
    assert_eq!(cluster.sent(), 3);
    let tasks = sent["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 2_500);
    assert!(
        tasks
            .iter()
            .enumerate()
            .all(|(n, task)| task["id"] == format!("t-{n}") && task["outcome"] == "accepted")
    );
}

#[tokio::test]
async fn ids_are_made_up_where_there_are_none() {
    let cluster = Cluster::new();
    for body in ["{}", r#"{"id":null}"#, r#"{"command":["true"]}"#] {
        let sent = cluster.post("/v1/tasks?wait=applied", body).await.ok(201);
        assert_eq!(sent["tasks"][0]["id"].as_str().unwrap().len(), 26, "{body}");
    }
}

#[tokio::test]
async fn what_is_not_decided_in_time_says_so() {
    let cluster = Cluster::new();
    cluster.is_stalled.store(true, Ordering::Relaxed);
    let sent = cluster.post("/v1/tasks?wait=applied&wait_ms=50", r#"{"id":"t-1"}"#).await.ok(202);
    assert_eq!(sent["tasks"][0]["outcome"], "undecided");
    assert!(sent["note"].is_string());
    let order = cluster.post("/v1/pools/default/tasks/t-1/cancel?wait=applied&wait_ms=50", "").await.ok(202);
    assert!(order["note"].is_string() && order.get("outcome").is_none());
}

#[tokio::test]
async fn a_broker_that_is_away_is_a_503_that_can_be_repeated() {
    let cluster = Cluster::new();
    cluster.is_away.store(true, Ordering::Relaxed);
    let reply = cluster.post("/v1/tasks", r#"{"id":"t-1"}"#).await;
    assert_eq!(reply.problem(503).0, "broker");
    assert!(reply.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(reply.json()["tasks"][0]["id"], "t-1");
}

#[tokio::test]
async fn cancel_and_requeue_go_through_the_whole_life() {
    let cluster = Cluster::new();
    let task = "/v1/pools/default/tasks/t-1";
    let submit = r#"{"id":"t-1","payload":{"n":12345678901234567890},"command":["true"]}"#;
    cluster.post("/v1/tasks?wait=applied", submit).await.ok(201);
    assert_eq!(cluster.post(&format!("{task}/requeue"), "").await.problem(409).0, "not_terminal");
    let cancelled =
        cluster.post(&format!("{task}/cancel?wait=applied"), r#"{"reason":"wrong book"}"#).await.ok(200);
    assert_eq!(cancelled["outcome"], "applied");
    let shown = cluster.get(task).await.ok(200);
    assert_eq!((&shown["state"], &shown["source"]), (&"CANCELLED".into(), &"history".into()), "{shown}");
    let again = cluster.post(&format!("{task}/cancel"), "").await;
    assert_eq!(again.problem(409), ("already_terminal".into(), "id".into()));
    assert_eq!(again.json()["state"], "CANCELLED");
    let unknown = cluster.post("/v1/pools/default/tasks/t-9/cancel?wait=applied", "").await;
    assert_eq!(unknown.problem(404).0, "unknown_task");
    let reason = r#"{"reason":"the book was right after all"}"#;
    cluster.post(&format!("{task}/requeue?wait=applied"), reason).await.ok(200);
    let reply = cluster.get(task).await;
    let shown = reply.ok(200);
    assert_eq!((&shown["state"], &shown["generation"]), (&"QUEUED".into(), &1.into()));
    assert!(reply.text.contains("12345678901234567890"), "the payload is as it was: {}", reply.text);
}

#[tokio::test]
async fn a_task_that_only_history_knows_is_to_be_submitted_again() {
    let cluster = Cluster::new();
    cluster.post("/v1/tasks?wait=applied", r#"{"id":"t-1","command":["true"],"priority":7}"#).await.ok(201);
    cluster.post("/v1/pools/default/tasks/t-1/cancel?wait=applied", "").await.ok(200);
    let key = (pool(), TaskId::parse("t-1").unwrap());
    cluster.write(|txn| txn.delete::<TaskTable>(&key).unwrap());
    let reply = cluster.post("/v1/pools/default/tasks/t-1/requeue?wait=applied", "").await;
    assert_eq!(reply.problem(409).0, "forgotten");
    let spec = reply.json()["spec"].clone();
    assert_eq!(spec["priority"], 7);
    cluster.post("/v1/tasks?wait=applied", &spec.to_string()).await.ok(201);
}

#[tokio::test]
async fn limits_are_named_in_problems() {
    let cluster = Cluster::new();
    let long = "x".repeat(70_000);
    for (body, limit) in [
        (format!(r#"{{"payload":"{long}"}}"#), "65536 bytes (limits.payload_bytes_max)"),
        (format!(r#"[{{"env":{{"A":"{long}"}}}}]"#), "65536 bytes"),
        (format!(r#"{{"tasks":[{{"tags":{{"a":"{}"}}}}]}}"#, "v".repeat(129)), "128 bytes"),
    ] {
        let reply = cluster.post("/v1/tasks", &body).await;
        assert_eq!(reply.problem(422).0, "limit");
        assert_eq!(reply.json()["limit"], limit);
    }
}

#[tokio::test]
async fn draining_reaches_the_worker() {
    let cluster = Cluster::new();
    cluster.join("w1", 2);
    let worker = "/v1/pools/default/workers/w1";
    cluster.post(&format!("{worker}/drain?wait=applied"), "").await.ok(200);
    assert_eq!(cluster.get(worker).await.ok(200)["state"], "DRAINING");
    cluster.post(&format!("{worker}/undrain?wait=applied"), "{}").await.ok(200);
    assert_eq!(cluster.get(worker).await.ok(200)["state"], "ACTIVE");
    let unknown = cluster.post("/v1/pools/default/workers/w9/drain?wait=applied", "").await;
    assert_eq!(unknown.problem(404).0, "unknown_worker");
}

#[tokio::test]
async fn applied_is_said_only_when_the_processor_says_it() {
    let cluster = Cluster::new();
    cluster.post("/v1/tasks?wait=applied", r#"{"id":"t-1"}"#).await.ok(201);
    cluster.is_mute.store(true, Ordering::Relaxed);
    // Refused, and committed: but nobody says so. A commit without a refusal must not be taken for success.
    let order = cluster.post("/v1/pools/default/tasks/t-9/cancel?wait=applied&wait_ms=200", "").await.ok(202);
    assert!(order["note"].is_string() && order.get("outcome").is_none(), "{order}");
    let sent =
        cluster.post("/v1/tasks?wait=applied&wait_ms=200", r#"{"id":"t-1","priority":3}"#).await.ok(202);
    assert_eq!(sent["tasks"][0]["outcome"], "undecided");
}

#[tokio::test]
async fn a_command_that_is_refused_as_a_whole_refuses_its_tasks() {
    let cluster = Cluster::new();
    cluster.is_stalled.store(true, Ordering::Relaxed);
    let waiting = {
        let cluster = cluster.clone();
        tokio::spawn(async move {
            cluster.post("/v1/tasks?wait=applied&wait_ms=20000", r#"[{"id":"a"},{"id":"b"}]"#).await
        })
    };
    while cluster.sent() == 0 {
        tokio::task::yield_now().await;
    }
    cluster.refuse_sent();
    let reply = waiting.await.unwrap();
    assert_eq!(reply.problem(422), ("limit".into(), "tasks".into()));
    let outcomes =
        reply.json()["tasks"].as_array().unwrap().iter().map(|t| t["outcome"].clone()).collect::<Vec<_>>();
    assert_eq!(outcomes, ["refused", "refused"]);
}

#[tokio::test]
async fn pools_are_sent_side_by_side_and_each_in_order() {
    let cluster = Cluster::new();
    let list: Vec<String> = (0..40).map(|n| format!(r#"{{"id":"t-{n}","pool":"p-{}"}}"#, n % 20)).collect();
    let sent = cluster.post("/v1/tasks?wait=applied", &format!("[{}]", list.join(","))).await.ok(201);
    assert!(sent["tasks"].as_array().unwrap().iter().all(|task| task["outcome"] == "accepted"));
    assert_eq!(cluster.sent(), 20);
    assert_eq!(cluster.on_the_way[1].load(Ordering::Relaxed), 20);
}

#[tokio::test]
async fn a_submit_that_fails_half_way_says_how_far_it_came() {
    let cluster = Cluster::new();
    cluster.takes.store(1, Ordering::Relaxed);
    let list: Vec<String> = (0..1_001).map(|n| format!(r#"{{"id":"t-{n}"}}"#)).collect();
    let reply = cluster.post("/v1/tasks", &format!("[{}]", list.join(","))).await;
    assert_eq!(reply.problem(503).0, "broker");
    let body = reply.json();
    let outcome = |place: usize| body["tasks"][place]["outcome"].as_str().unwrap();
    assert_eq!((outcome(0), outcome(999), outcome(1_000)), ("sent", "sent", "unknown"));
    assert_eq!(body["position"], "p1.0-0");
    assert!(body["request_id"].is_string());
    assert!(body["remedy"].as_str().unwrap().starts_with("send the same again"), "{}", body["remedy"]);

    let body = cluster.post("/v1/tasks", "[{},{}]").await.json();
    assert!(body["remedy"].as_str().unwrap().contains("the ids in `tasks`"), "{}", body["remedy"]);
    assert!(body.get("position").is_none() && body["tasks"][1]["outcome"] == "unknown");
}
