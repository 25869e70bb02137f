//! One simulated worker: the protocol's rules, and ways to break them on purpose.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fleet::Manners;
use crate::rng::Rng;

/// Old attempts that a liar remembers.
const OLD_MAX: usize = 32;

#[derive(Debug, Clone)]
struct Attempt {
    number: i64,
    token: String,
    ends: Instant,
}

/// A name in a pool, over its incarnations.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pool: String,
    pub(super) name: String,
    pub(super) incarnation: String,
    lives: u64,
    said_hello: Instant,
    pub(super) is_welcome: bool,
    beats_at: Instant,
    beats_every: Duration,
    read_seq: i64,
    running: BTreeMap<String, Attempt>,
    seen: BTreeMap<String, i64>,
    old: Vec<(String, i64, String)>,
    /// Dead until then.
    dead_until: Option<Instant>,
    pub(super) out: Vec<Value>,
    rng: Rng,
}

impl Worker {
    pub(super) fn new(pool: &str, name: &str, rng: Rng) -> Self {
        let now = Instant::now();
        Self {
            pool: pool.to_owned(),
            name: name.to_owned(),
            incarnation: String::new(),
            lives: 0,
            said_hello: now,
            is_welcome: false,
            beats_at: now,
            beats_every: Duration::from_secs(2),
            read_seq: 0,
            running: BTreeMap::new(),
            seen: BTreeMap::new(),
            old: Vec::new(),
            dead_until: None,
            out: Vec::new(),
            rng,
        }
    }

    /// A new incarnation with nothing running.
    pub(super) fn begin_life(&mut self, slots: usize) {
        self.lives += 1;
        self.incarnation = format!("{}.{}.{:x}", self.name, self.lives, self.rng.next() >> 32);
        (self.is_welcome, self.read_seq, self.dead_until) = (false, 0, None);
        self.running.clear();
        // What was not sent yet speaks for the old life.
        self.out.clear();
        self.hello(slots);
    }

    fn hello(&mut self, slots: usize) {
        self.said_hello = Instant::now();
        let running = self.list();
        self.out.push(json!({"type":"hello","protocols":[1],"slots":slots,"labels":{},"running":running}));
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead_until.is_some()
    }

    /// A message on its channel; whether it was a new assignment.
    pub(super) fn take(&mut self, message: &Value, manners: &Manners, slots: usize) -> bool {
        if self.is_dead() || text(message, "incarnation") != self.incarnation {
            return false;
        }
        let kind = text(message, "type");
        match kind.as_str() {
            "rehello" | "replaced" => {
                self.begin_life(slots);
                return false;
            }
            "welcome" => self.welcome(message),
            _ => {}
        }
        if !self.is_welcome {
            return false;
        }
        self.read_seq = self.read_seq.max(message.get("seq").and_then(Value::as_i64).unwrap_or(0));
        match kind.as_str() {
            "assign" => self.assign(message, manners),
            "cancel" => {
                self.cancel(message);
                false
            }
            _ => false,
        }
    }

    fn welcome(&mut self, message: &Value) {
        self.is_welcome = true;
        let every = message.get("heartbeat_ms").and_then(Value::as_u64).unwrap_or(2_000);
        self.beats_every = Duration::from_millis(every);
        self.beats_at = Instant::now() + self.beats_every;
    }

    fn assign(&mut self, message: &Value, manners: &Manners) -> bool {
        let (task, number) = (text(message, "task"), attempt_of(message));
        let seen = self.seen.entry(task.clone()).or_default();
        // The protocol says so: a duplicate is dropped.
        if number <= *seen {
            return false;
        }
        *seen = number;
        let token = text(message, "token");
        self.out.push(json!({"type":"started","task":task,"attempt":number,"token":token}));
        let ends = Instant::now() + self.rng.millis(0, manners.runs_ms_max.max(1));
        self.running.insert(task, Attempt { number, token, ends });
        true
    }

    fn cancel(&mut self, message: &Value) {
        let task = text(message, "task");
        let number = attempt_of(message);
        if self.running.get(&task).is_none_or(|attempt| attempt.number != number) {
            return;
        }
        if let Some(attempt) = self.running.remove(&task) {
            self.out.push(json!({"type":"cancelled","task":task,"attempt":attempt.number,
                "token":attempt.token,"signal":15}));
        }
    }

    /// Ends what is due, says hello and beats, and now and then dies or lies.
    pub(super) fn turn(&mut self, manners: &Manners, slots: usize, lease: Duration) {
        let now = Instant::now();
        match self.dead_until {
            Some(until) if now < until => return,
            Some(_) => self.begin_life(slots),
            None => {}
        }
        if !self.is_welcome {
            if now.duration_since(self.said_hello) > Duration::from_secs(10) {
                self.hello(slots);
            }
            return;
        }
        let due: Vec<String> =
            self.running.iter().filter(|(_, it)| it.ends <= now).map(|(task, _)| task.clone()).collect();
        for task in &due {
            self.finish(task, manners);
        }
        if now >= self.beats_at {
            self.beats_at = now + self.beats_every;
            self.lie(manners);
            if self.rng.percent(manners.deaths) {
                let longer = self.rng.millis(500, 3_000);
                self.die(now + lease + longer);
                return;
            }
            self.heartbeat(slots);
        }
    }

    fn finish(&mut self, task: &str, manners: &Manners) {
        let Some(Attempt { number, token, .. }) = self.running.remove(task) else {
            return;
        };
        let said = if self.rng.percent(manners.failures) {
            json!({"type":"failed","task":task,"attempt":number,"token":token,"exit_code":3,
                "error":{"kind":"exit","message":"as told","retryable":true}})
        } else {
            json!({"type":"completed","task":task,"attempt":number,"token":token,"exit_code":0,
                "result":{"of":task}})
        };
        if self.rng.percent(manners.lies) {
            self.out.push(said.clone());
        }
        self.out.push(said);
        if self.old.len() < OLD_MAX {
            self.old.push((task.to_owned(), number, token));
        }
    }

    /// A completion of an old attempt, and one of a running attempt with a token that nobody gave out.
    fn lie(&mut self, manners: &Manners) {
        if !self.rng.percent(manners.lies.saturating_mul(5).min(100)) {
            return;
        }
        if let Some((task, number, token)) = self.old.pop() {
            self.out.push(forged(&task, number, &token));
        }
        if let Some((task, attempt)) = self.running.iter().next() {
            self.out.push(forged(task, attempt.number, "0000forged0000"));
        }
    }

    /// Silent from now on, with all that it ran.
    fn die(&mut self, until: Instant) {
        self.dead_until = Some(until);
        self.is_welcome = false;
        self.running.clear();
        self.out.clear();
    }

    fn heartbeat(&mut self, slots: usize) {
        let free = slots.saturating_sub(self.running.len());
        let running = self.list();
        self.out.push(json!({"type":"heartbeat","read_seq":self.read_seq,"free_slots":free,
            "draining":false,"running":running}));
    }

    fn list(&self) -> Vec<Value> {
        let one = |(task, attempt): (&String, &Attempt)| json!({"task":task,"attempt":attempt.number,"token":attempt.token});
        self.running.iter().map(one).collect()
    }
}

/// If this ever ends a task the token was not looked at, or the end came twice.
fn forged(task: &str, number: i64, token: &str) -> Value {
    json!({"type":"completed","task":task,"attempt":number,"token":token,"exit_code":0,"result":"forged"})
}

fn text(message: &Value, field: &str) -> String {
    message.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn attempt_of(message: &Value) -> i64 {
    message.get("attempt").and_then(Value::as_i64).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assign(worker: &Worker, attempt: i64) -> Value {
        json!({"type":"assign","seq":2,"incarnation":worker.incarnation,"task":"t","attempt":attempt,"token":"x"})
    }

    #[test]
    fn a_worker_takes_nothing_before_its_welcome_and_nothing_twice() {
        let manners = Manners::good();
        let mut worker = Worker::new("p", "w", Rng::new(1));
        worker.begin_life(4);
        assert!(!worker.take(&assign(&worker, 1), &manners, 4));
        let welcome = json!({"type":"welcome","seq":1,"incarnation":worker.incarnation,"heartbeat_ms":2000});
        worker.take(&welcome, &manners, 4);
        assert!(worker.take(&assign(&worker, 1), &manners, 4));
        assert!(!worker.take(&assign(&worker, 1), &manners, 4));
        assert!(worker.take(&assign(&worker, 2), &manners, 4));
        assert_eq!(worker.running.len(), 1);
    }
}
