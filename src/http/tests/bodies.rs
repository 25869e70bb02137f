//! Bad bodies: a 4xx with the field's name, and nothing is sent.

use super::cluster::Cluster;

#[tokio::test]
async fn bad_tasks_are_refused_by_field_and_nothing_is_sent() {
    let cluster = Cluster::new();
    let cases = [
        ("", 400, "bad_body", ""),
        ("{", 400, "bad_body", ""),
        ("nonsense", 400, "bad_body", ""),
        ("null", 400, "bad_body", ""),
        ("7", 400, "bad_body", ""),
        ("\"text\"", 400, "bad_body", ""),
        ("{} {}", 400, "bad_body", ""),
        ("[]", 400, "invalid", "tasks"),
        ("[1]", 400, "invalid", "[0]"),
        (r#"{"tasks":[]}"#, 400, "invalid", "tasks"),
        (r#"{"tasks":7}"#, 400, "invalid", "tasks"),
        (r#"{"tasks":[{}],"id":"x"}"#, 422, "unknown_field", "id"),
        (r#"{"idd":"x"}"#, 422, "unknown_field", "idd"),
        (r#"{"depends_on":["x"]}"#, 422, "unsupported_field", "depends_on"),
        (r#"{"id":7}"#, 422, "invalid", "id"),
        (r#"{"id":"with blank"}"#, 422, "invalid", "id"),
        (r#"{"id":"a","id":"b"}"#, 422, "duplicate_key", "id"),
        (r#"{"pool":"a_b"}"#, 422, "invalid", "pool"),
        (r#"{"pool":7}"#, 422, "invalid", "pool"),
        (r#"{"priority":"high"}"#, 422, "invalid", "priority"),
        (r#"{"priority":99999999999}"#, 422, "invalid", "priority"),
        (r#"{"command":"ls"}"#, 422, "invalid", "command"),
        (r#"{"command":["ls",7]}"#, 422, "invalid", "command[1]"),
        (r#"{"retry":{"max_failures":0}}"#, 422, "invalid", "retry.max_failures"),
        (r#"[{},{"retry":{"max_failures":0}}]"#, 422, "invalid", "[1].retry.max_failures"),
        (r#"{"tasks":[{"id":"a"},{"tags":{"k":1}}]}"#, 422, "invalid", "tasks[1].tags.k"),
        (r#"[{"id":"a"},{"id":"a"}]"#, 422, "duplicate_in_batch", "[1].id"),
    ];
    for (body, status, code, field) in cases {
        let reply = cluster.post("/v1/tasks", body).await;
        assert_eq!(reply.problem(status), (code.to_owned(), field.to_owned()), "{body}: {}", reply.text);
    }
    assert_eq!(cluster.sent(), 0);
}

#[tokio::test]
async fn large_deep_and_foreign_bodies_are_refused() {
    let cluster = Cluster::new();
    let payload = format!(r#"{{"payload":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(cluster.post("/v1/tasks", &payload).await.problem(422), ("limit".into(), "payload".into()));
    let huge = format!(r#"{{"payload":"{}"}}"#, "x".repeat(9 << 20));
    assert_eq!(cluster.post("/v1/tasks", &huge).await.problem(413).0, "too_large");
    let many = format!("[{}{{}}]", "{},".repeat(10_000));
    assert_eq!(cluster.post("/v1/tasks", &many).await.problem(413), ("too_large".into(), "tasks".into()));
    for depth in [200, 100_000] {
        let deep = format!(r#"{{"payload":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(cluster.post("/v1/tasks", &deep).await.problem(400).0, "bad_body");
    }
    assert_eq!(cluster.sent(), 0);
}

#[tokio::test]
async fn bad_orders_send_nothing() {
    let cluster = Cluster::new();
    let task = "/v1/pools/default/tasks/t-1";
    for (path, body, status) in [
        (format!("{task}/cancel"), "{", 400),
        (format!("{task}/cancel"), "[]", 400),
        (format!("{task}/cancel"), r#"{"because":"x"}"#, 400),
        (format!("{task}/cancel"), r#"{"reason":7}"#, 400),
        (format!("{task}/cancel?wait=ever"), "", 400),
        (format!("{task}/cancel?wait=applied&wait_ms=0"), "", 400),
        (format!("{task}/cancel?x=1"), "", 400),
        (format!("{task}/explode"), "", 404),
        (format!("{task}/requeue"), "", 404),
        ("/v1/pools/a_b/tasks/t-1/cancel".into(), "", 400),
        ("/v1/pools/default/tasks/a%20b/cancel".into(), "", 400),
        ("/v1/pools/default/tasks/a%zz/cancel".into(), "", 400),
        ("/v1/pools/default/workers/a_b/drain".into(), "", 400),
        ("/v1/tasks?pool=a_b".into(), "{}", 400),
        ("/v1/nothing".into(), "{}", 404),
        ("/v1/pools".into(), "{}", 405),
    ] {
        cluster.post(&path, body).await.problem(status);
    }
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(2_000));
    assert_eq!(cluster.post(&format!("{task}/cancel"), &long).await.problem(400).1, "reason");
    assert_eq!(cluster.sent(), 0);
}

#[tokio::test]
async fn bad_parameters_of_reads_are_named() {
    let cluster = Cluster::new();
    for (path, field) in [
        ("/v1/pools/default/tasks?limit=0", "limit"),
        ("/v1/pools/default/tasks?limit=1001", "limit"),
        ("/v1/pools/default/tasks?limit=9223372036854775808", "limit"),
        ("/v1/pools/default/tasks?cursor=zz", "cursor"),
        ("/v1/pools/default/tasks?state=DONE", "state"),
        ("/v1/pools/default/tasks?tag=novalue", "tag"),
        ("/v1/pools/default/tasks?queue=a_b", "queue"),
        ("/v1/pools/default/tasks?unknown=1", "unknown"),
        ("/v1/pools/default/tasks?min_position=x", "min_position"),
        ("/v1/pools/default/jobs?state=QUEUED", "state"),
        ("/v1/pools/default/workers?state=QUEUED", "state"),
        ("/v1/events?last_event_id=x", "Last-Event-ID"),
    ] {
        assert_eq!(cluster.get(path).await.problem(400).1, field, "{path}");
    }
}
