//! Sends tasks: in requests that the server takes, again where nobody answered, and remembers what became of each.

use std::rc::Rc;

use serde_json::{Value, json};

use super::client::{Answer, Client, encode, problem, show_warnings};
use super::failure::Failure;
use super::output::say;
use super::patience::Patience;
use super::submit_tasks::Draft;
use super::table::text;
use super::wait::Awaited;

/// Tasks of one request, at most.
const TASKS_MAX: usize = 1_000;
/// Bytes of one request, about: the server takes 8 MiB.
const BYTES_MAX: usize = 6 * 1024 * 1024;
/// How long the server may take to decide; it allows no more.
const DECISION_MS: u32 = 20_000;

/// What became of the tasks that were sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// As the server says; `unsure` is the outcome of those that were sent without an answer.
    pub(crate) tasks: Vec<Value>,
    /// Those that can be waited for.
    pub(crate) taken: Vec<Awaited>,
    /// The first request of which something was refused.
    pub(crate) refused: Option<Failure>,
    /// Why not everything was sent.
    pub(crate) broken: Option<Failure>,
}

impl Sent {
    /// How many had this outcome.
    pub(crate) fn count(&self, outcome: &str) -> usize {
        self.tasks.iter().filter(|task| text(task, "outcome") == outcome).count()
    }

    fn add_unsure(&mut self, batch: &[&Draft]) {
        let unsure = |draft: &&Draft| json!({"pool": draft.pool, "id": draft.id, "outcome": "unsure"});
        self.tasks.extend(batch.iter().map(unsure));
    }

    fn add(&mut self, batch: &[&Draft], answer: &Answer) {
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let tasks = body.get("tasks").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_answer = answer.status < 300 || tasks.iter().any(|task| text(task, "outcome") == "refused");
        if !is_answer {
            self.broken = Some(problem(answer));
            // What a server refuses is not sent; what it fails at may have been.
            if answer.status >= 500 {
                self.add_unsure(batch);
            }
            return;
        }
        show_warnings(&body);
        let position: Rc<str> = encode(&text(&body, "position")).into();
        if answer.status >= 300 && self.refused.is_none() {
            self.refused = Some(problem(answer));
        }
        let is_refused =
            |id: &str| tasks.iter().any(|task| text(task, "id") == id && text(task, "outcome") == "refused");
        let taken = batch.iter().filter(|draft| answer.status < 300 || !is_refused(&draft.id));
        self.taken.extend(taken.map(|draft| Awaited {
            pool: draft.pool.clone(),
            id: draft.id.clone(),
            position: Some(Rc::clone(&position)),
        }));
        self.tasks.extend(tasks);
    }
}

/// Sends all of them, or as many as can be; what was sent is told in any case.
pub(crate) fn send(client: &Client, drafts: &[Draft]) -> Sent {
    let mut sent = Sent::default();
    for batch in batches(drafts) {
        let Some(first) = batch.first() else {
            continue;
        };
        let path = format!("/v1/tasks?pool={}&wait=applied&wait_ms={DECISION_MS}", encode(&first.pool));
        let texts: Vec<&str> = batch.iter().map(|draft| draft.text.as_str()).collect();
        let body = format!("{{\"tasks\":[{}]}}", texts.join(","));
        match post(client, &path, &body) {
            Ok(answer) => sent.add(&batch, &answer),
            Err(failure) => {
                sent.add_unsure(&batch);
                sent.broken = Some(failure);
            }
        }
        if sent.broken.is_some() {
            break;
        }
    }
    let undecided = sent.count("undecided");
    if undecided > 0 {
        say(&format!("warning: {undecided} tasks lie safe at the broker, but were not decided in time"));
    }
    sent
}

/// The same body until it is answered: the ids in it make that harmless.
fn post(client: &Client, path: &str, body: &str) -> Result<Answer, Failure> {
    let mut patience = Patience::until(None);
    loop {
        if let Some(answer) = patience.weigh(client.raw_post(path, body))? {
            return Ok(answer);
        }
        patience.pause();
    }
}

/// Requests of one pool each, since only that pool's server can answer for it; tasks of a pool keep their order.
fn batches(drafts: &[Draft]) -> Vec<Vec<&Draft>> {
    let mut pools: Vec<&str> = Vec::new();
    for draft in drafts {
        if !pools.contains(&draft.pool.as_str()) {
            pools.push(&draft.pool);
        }
    }
    let mut batches = Vec::new();
    for pool in pools {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for draft in drafts.iter().filter(|draft| draft.pool == pool) {
            if batch.len() >= TASKS_MAX || (!batch.is_empty() && bytes + draft.text.len() > BYTES_MAX) {
                batches.push(std::mem::take(&mut batch));
                bytes = 0;
            }
            bytes += draft.text.len() + 1;
            batch.push(draft);
        }
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(pool: &str, id: &str, bytes: usize) -> Draft {
        Draft { pool: pool.to_owned(), id: id.to_owned(), text: "x".repeat(bytes) }
    }

    #[test]
    fn a_request_has_one_pool_and_fits() {
        let many: Vec<Draft> = (0..2_500).map(|n| draft("a", &n.to_string(), 10)).collect();
        assert_eq!(batches(&many).iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        let large: Vec<Draft> = (0..5).map(|n| draft("a", &n.to_string(), 2 * 1024 * 1024)).collect();
        assert_eq!(batches(&large).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(batches(&[draft("a", "1", 7 * 1024 * 1024)]).len(), 1, "for the server to refuse");
        let mixed = [draft("a", "1", 1), draft("b", "2", 1), draft("a", "3", 1)];
        let ids: Vec<Vec<&str>> =
            batches(&mixed).iter().map(|batch| batch.iter().map(|task| task.id.as_str()).collect()).collect();
        assert_eq!(ids, [vec!["1", "3"], vec!["2"]]);
    }
}
