//! What HTTP says was decided, on the real server: success only when the processor says so, refusals with their reason.

use serde_json::json;

use crate::cluster::{Server, ServerOptions};

#[test]
fn who_waits_is_told_what_was_decided() {
    let server = Server::start(&ServerOptions::new("answers"));
    let post = |path: &str, body: &serde_json::Value| server.http.post(path, body);
    let submit = "/v1/tasks?wait=applied&wait_ms=20000";
    let order = |path: &str| format!("/v1/pools/default/{path}?wait=applied&wait_ms=20000");
    let task = json!({"id":"t-1","command":["true"]});
    assert_eq!(post(submit, &task).expect(201)["tasks"][0]["outcome"], "accepted");
    assert_eq!(post(submit, &task).expect(200)["tasks"][0]["outcome"], "repeated");
    let other = json!([{"id":"t-2"}, {"id":"t-1","command":["false"]}, {"id":"t-3","pool":"else"}]);
    let refused = post(submit, &other).expect(409);
    let outcomes: Vec<_> = (0..3).map(|place| refused["tasks"][place]["outcome"].clone()).collect();
    assert_eq!(outcomes, ["accepted", "refused", "accepted"], "{refused}");
    let unknown = post(&order("tasks/t-9/cancel"), &json!({})).expect(404);
    assert_eq!(unknown["type"], "urn:yardmaster:problem:unknown_task");
    post(&order("workers/nobody/drain"), &json!({})).expect(404);
    post(&order("jobs/none/cancel"), &json!({})).expect(404);
    let cancelled = post(&order("tasks/t-1/cancel"), &json!({"reason":"x"})).expect(200);
    assert_eq!(cancelled["outcome"], "applied");
    // What was answered can be read, and asked for again, without a position.
    assert_eq!(server.http.get("/v1/pools/default/tasks/t-1").expect(200)["state"], "CANCELLED");
    let again = post(&order("tasks/t-1/cancel"), &json!({})).expect(409);
    assert_eq!(again["type"], "urn:yardmaster:problem:already_terminal");
    assert_eq!(post(&order("tasks/t-1/requeue"), &json!({"reason":"y"})).expect(200)["outcome"], "applied");
    assert_eq!(server.http.get("/v1/tasks/t-1").expect(200)["generation"], 1);
}
