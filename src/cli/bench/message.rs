//! The records of a simulated worker, read and written with as little work as can be: what the fleet costs is taken from
//! the program that is measured.

use serde::Deserialize;

/// What a simulated worker needs of a message; ids and tokens need no escapes.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) seq: u64,
    pub(super) worker: &'a str,
    pub(super) incarnation: &'a str,
    pub(super) task: Option<&'a str>,
    #[serde(default)]
    pub(super) attempt: u32,
    pub(super) token: Option<&'a str>,
}

/// Who speaks.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) pool: &'static str,
    pub(super) worker: String,
    pub(super) incarnation: String,
}

impl Speaker {
    fn say(&self, kind: &str, rest: &str) -> String {
        let Self { pool, worker, incarnation } = self;
        format!(
            r#"{{"v":1,"type":"{kind}","pool":"{pool}","worker":"{worker}","incarnation":"{incarnation}",{rest}}}"#
        )
    }

    /// Registers, with so many slots.
    pub(super) fn hello(&self, slots: u32) -> String {
        self.say("hello", &format!(r#""protocols":[1],"slots":{slots},"labels":{{}},"running":[]"#))
    }

    /// Nothing ever runs: an attempt is reported as soon as it is read.
    pub(super) fn heartbeat(&self, read_seq: u64, slots: u32) -> String {
        self.say(
            "heartbeat",
            &format!(r#""read_seq":{read_seq},"free_slots":{slots},"draining":false,"running":[]"#),
        )
    }

    /// Both reports of an attempt, each a record of its own.
    pub(super) fn reports(&self, task: &str, attempt: u32, token: &str) -> [String; 2] {
        let attempt = format!(r#""task":"{task}","attempt":{attempt},"token":"{token}""#);
        [self.say("started", &attempt), self.say("completed", &format!(r#"{attempt},"exit_code":0"#))]
    }
}

/// A task of the bench: 200 bytes of payload.
pub(super) fn submit(pool: &str, id: &str) -> String {
    format!(
        r#"{{"v":1,"type":"submit","task":{{"id":"{id}","pool":"{pool}","command":["true"],"payload":"{:0>200}"}}}}"#,
        id
    )
}

#[cfg(test)]
mod tests {
    use yardmaster_topologies::wire::{Defaults, decode_command, decode_status};

    use super::*;

    #[test]
    fn the_program_understands_every_record() {
        let speaker = Speaker { pool: "p", worker: "w".to_owned(), incarnation: "i".to_owned() };
        let [started, completed] = speaker.reports("t", 1, "abc");
        for record in [speaker.hello(4), speaker.heartbeat(7, 4), started, completed] {
            assert!(decode_status(record.as_bytes(), &Defaults::default()).is_ok(), "{record}");
        }
        assert!(decode_command(submit("p", "t").as_bytes(), &Defaults::default()).is_ok());
    }

    #[test]
    fn a_message_is_read_by_the_fields_that_matter() {
        let text = r#"{"v":1,"type":"assign","seq":3,"worker":"w","incarnation":"i","task":"t","attempt":2,
            "token":"abc","command":["true"],"env":{}}"#;
        let message: Message<'_> = serde_json::from_str(text).unwrap();
        assert_eq!((message.kind, message.seq, message.task, message.attempt), ("assign", 3, Some("t"), 2));
    }
}
