//! Lists: cursors of other lists, pages that would be too large, and more than one look takes.

use serde_json::Value;

use super::cluster::Cluster;

fn ids(page: &Value, of: &str, field: &str) -> Vec<String> {
    page[of].as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let cluster = Cluster::new();
    let body: Vec<String> =
        (0..4).map(|n| format!(r#"{{"id":"t-{n}","job":"j-{n}","tags":{{"t":"{n}"}}}}"#)).collect();
    cluster.post("/v1/tasks?wait=applied", &format!("[{}]", body.join(","))).await.ok(201);
    for n in 0..2 {
        cluster.post(&format!("/v1/pools/default/tasks/t-{n}/cancel?wait=applied"), "").await.ok(200);
    }
    let lists = [
        "/v1/pools/default/tasks?state=QUEUED",
        "/v1/pools/default/tasks?state=CANCELLED",
        "/v1/pools/default/jobs?state=ACTIVE",
        "/v1/pools/default/tags?limit=1",
    ];
    for (index, from) in lists.iter().enumerate() {
        let page =
            cluster.get(&format!("{from}&limit=1").replace("limit=1&limit=1", "limit=1")).await.ok(200);
        let cursor = page["next_cursor"].as_str().unwrap_or_else(|| panic!("{from} goes on: {page}"));
        for other in lists.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, list)| list) {
            // Both are lists of tasks of one pool: history follows what is live.
            if other.contains("/tasks?") && from.contains("/tasks?") {
                continue;
            }
            let reply = cluster.get(&format!("{other}&cursor={cursor}")).await;
            assert_eq!(reply.problem(400).1, "cursor", "{from} -> {other}");
        }
        let other_pool = from.replace("default", "other");
        let reply = cluster.get(&format!("{other_pool}&cursor={cursor}")).await;
        assert_eq!(reply.problem(400).1, "cursor", "{from} -> {other_pool}");
    }
    let page = cluster.get("/v1/pools/default/tasks?limit=1&state=QUEUED").await.ok(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let reply = cluster.get(&format!("/v1/pools/default/tasks?job=j-2&cursor={cursor}")).await;
    assert_eq!(reply.problem(400).1, "cursor");
}

#[tokio::test]
async fn tags_have_pages() {
    let cluster = Cluster::new();
    let body: Vec<String> = (0..25).map(|n| format!(r#"{{"id":"t-{n}","tags":{{"t":"{n:02}"}}}}"#)).collect();
    cluster.post("/v1/tasks?wait=applied", &format!("[{}]", body.join(","))).await.ok(201);
    let (mut met, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = cluster.get(&format!("/v1/pools/default/tags?limit=10&cursor={cursor}")).await.ok(200);
        met.extend(ids(&page, "tags", "value"));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(met, (0..25).map(|n| format!("{n:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_of_large_tasks_is_cut_and_goes_on() {
    let cluster = Cluster::new();
    let word = "x".repeat(60_000);
    let body: Vec<String> =
        (0..100).map(|n| format!(r#"{{"id":"t-{n:03}","command":["{word}"]}}"#)).collect();
    cluster.post("/v1/tasks?wait=applied", &format!("[{}]", body.join(","))).await.ok(201);
    {
        let (mut met, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let reply = cluster.get(&format!("/v1/pools/default/tasks?limit=1000&cursor={cursor}")).await;
            assert!(reply.text.len() < 5 << 20, "a page has {} bytes", reply.text.len());
            let page = reply.ok(200);
            met.extend(ids(&page, "tasks", "id"));
            pages += 1;
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = next.to_owned();
        }
        assert_eq!((met.len(), pages), (100, 2));
    }
}

#[tokio::test]
async fn an_id_is_found_in_more_pools_than_one_look_takes() {
    let cluster = Cluster::new();
    let body: Vec<String> = (0..=1_100).map(|n| format!(r#"{{"id":"t-{n}","pool":"p-{n}"}}"#)).collect();
    cluster.post("/v1/tasks?wait=applied", &format!("[{}]", body.join(","))).await.ok(201);
    assert_eq!(cluster.get("/v1/tasks/t-1100").await.ok(200)["pool"], "p-1100");
    cluster.get("/v1/tasks/t-1101").await.problem(404);
}
