//! Records as they lie on topics.

use std::collections::BTreeMap;

use serde_json::Value;

/// One record as it lies on a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Raw {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its value; a record without one is a deletion.
    pub value: Option<Vec<u8>>,
    /// Its headers as text.
    pub headers: BTreeMap<String, String>,
    /// When it was made or appended, as its topic is configured; in milliseconds since 1970.
    pub at_ms: Option<i64>,
}

impl Raw {
    /// The value as JSON; `None` for anything else.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.value.as_deref()?).ok()
    }

    /// Where it lies, for a person.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

/// All committed records of a namespace, each topic in the order of partition and offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topics {
    /// Commands.
    pub tasks: Vec<Raw>,
    /// What workers said.
    pub status: Vec<Raw>,
    /// What workers were told, of all channels.
    pub assign: Vec<Raw>,
    /// What happened.
    pub events: Vec<Raw>,
    /// What was put aside.
    pub dead_letter: Vec<Raw>,
    /// Rows and batch records.
    pub changelog: Vec<Raw>,
}

impl Topics {
    /// Each topic with its short name.
    pub(crate) fn all(&self) -> [(&'static str, &[Raw]); 6] {
        [
            ("tasks", &self.tasks),
            ("status", &self.status),
            ("assign", &self.assign),
            ("events", &self.events),
            ("dead-letter", &self.dead_letter),
            ("changelog", &self.changelog),
        ]
    }
}

/// A field that is a string; empty if it isn't.
#[must_use]
pub fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json.get(field).and_then(Value::as_str).unwrap_or_default()
}
