//! The topology as it is declared: what is read, remembered and written. `yardmaster topology` prints it.

use crate::tables::{TABLES, TableCard};

/// An input: a topic, partitioned by pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// The topic behind the namespace.
    pub topic: &'static str,
    /// What it brings.
    pub meaning: &'static str,
}

/// An output of the deciding transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// The topic behind the namespace.
    pub topic: &'static str,
    /// What it gets.
    pub meaning: &'static str,
}

/// The inputs, in the order in which positions are kept.
pub const INPUTS: [Input; 2] = [
    Input { topic: "tasks", meaning: "commands of submitters and operators" },
    Input { topic: "status", meaning: "what workers say about themselves and their attempts" },
];

/// The place of `tasks` in the positions.
pub const TASKS: usize = 0;
/// The place of `status` in the positions.
pub const STATUS: usize = 1;

/// The outputs.
pub const OUTPUTS: [Output; 4] = [
    Output { topic: "assign.<pool>.<worker>", meaning: "messages to one worker" },
    Output { topic: "events", meaning: "what happened, attempts opened and closed included" },
    Output { topic: "dead-letter", meaning: "records that can't be read, and tasks that FAILED" },
    Output { topic: "changelog", meaning: "logged rows, and a batch record behind those of each commit" },
];

/// The tables of the store.
#[must_use]
pub fn tables() -> &'static [TableCard] {
    &TABLES
}
