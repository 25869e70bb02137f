//! What was done and what came back, a line of JSON each: `invoke`, then `ok`, `fail` or `info` (nobody knows), and what the
//! nemesis did. With the topics it is all that a checker needs.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// How an operation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Info => "info",
        }
    }
}

/// A file of one grid.
pub(crate) struct History {
    began: Instant,
    file: Mutex<File>,
}

impl History {
    pub(crate) fn create(dir: &Path, namespace: &str) -> Result<Self> {
        let path = dir.join(format!("history-{namespace}.jsonl"));
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Self {
            began: Instant::now(),
            file: Mutex::new(file.with_context(|| format!("writing {}", path.display()))?),
        })
    }

    /// One operation of `process`.
    pub(crate) fn log(&self, process: &str, kind: Kind, what: &str, value: &Value) {
        let at_ms = self.began.elapsed().as_millis();
        let at_ms = u64::try_from(at_ms).unwrap_or(u64::MAX);
        let line = json!({"at_ms":at_ms,"process":process,"type":kind.name(),"f":what,"value":value});
        let mut file = self.file.lock().expect("the history");
        // A history that can't be written must not pass for one in which nothing happened.
        writeln!(file, "{line}").expect("the history can be written");
    }
}
