//! Commands by topic, as `docs/protocol.md` has them.

use std::ops::Range;

use serde_json::{Value, json};

use super::{Topic, produce};

/// One task with these fields besides pool and id.
pub(crate) fn submit(namespace: &str, pool: &str, id: &str, fields: &Value) {
    let mut task = fields.clone();
    task["id"] = json!(id);
    let record = json!({"v":1,"type":"submit","request_id":format!("r-{id}"),"pool":pool,"task":task});
    produce(&format!("{namespace}.tasks"), pool, &record.to_string());
}

/// Tasks `<prefix>-<number>`, in commands of at most 100; the last one is acknowledged on return.
pub(crate) fn submit_range(topic: &Topic, pool: &str, prefix: &str, numbers: Range<usize>, fields: &Value) {
    let numbers: Vec<usize> = numbers.collect();
    for part in numbers.chunks(100) {
        let task = |number: &usize| {
            let mut task = fields.clone();
            task["id"] = json!(format!("{prefix}-{number}"));
            task["payload"] = json!({ "number": number });
            task
        };
        let tasks: Vec<Value> = part.iter().map(task).collect();
        let record = json!({"v":1,"type":"submit_many","pool":pool,"tasks":tasks});
        topic.send(Some(pool.as_bytes()), Some(record.to_string().as_bytes()));
    }
    topic.flush();
}

/// Asks for a task's cancel.
pub(crate) fn cancel(namespace: &str, pool: &str, id: &str) {
    let record = json!({"v":1,"type":"cancel","pool":pool,"id":id,"reason":"the test says so"});
    produce(&format!("{namespace}.tasks"), pool, &record.to_string());
}
