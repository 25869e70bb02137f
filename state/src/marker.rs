//! The file that says whose state a directory holds: lines of text with a checksum behind them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_64;

use crate::StateError;

/// Whose state a directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The namespace of the topics.
    pub namespace: String,
    /// The partition.
    pub partition: u32,
    /// How many partitions the inputs had when the state was begun.
    pub partitions: u32,
    /// The id of each topic that the state was computed from, by name: a topic that was created again has another id.
    pub topics: BTreeMap<String, String>,
}

const FORMAT: u32 = 1;
const HEAD: &str = "yardmaster-state";
const SUM: &str = "xxh3 ";

impl Marker {
    pub(crate) fn render(&self) -> String {
        let words = self.topics.iter().flat_map(|(name, id)| [name, id]).chain([&self.namespace]);
        for word in words {
            let is_word = !word.is_empty() && !word.contains(char::is_whitespace);
            assert!(is_word, "`{word}` is no name of a namespace, a topic or a topic's id");
        }
        let Self { namespace, partition, partitions, .. } = self;
        let mut text = format!(
            "{HEAD} {FORMAT}\nnamespace {namespace}\npartition {partition}\npartitions {partitions}\n"
        );
        for (name, id) in &self.topics {
            writeln!(text, "topic {name} {id}").expect("text takes text");
        }
        let sum = xxh3_64(text.as_bytes());
        writeln!(text, "{SUM}{sum:016x}").expect("text takes text");
        text
    }

    pub(crate) fn parse(text: &str) -> Result<Self, StateError> {
        let (body, sum) = text.rsplit_once(SUM).ok_or_else(|| damaged("has no checksum"))?;
        if sum != format!("{:016x}\n", xxh3_64(body.as_bytes())) {
            return Err(damaged("has the wrong checksum"));
        }
        let mut lines = body.lines();
        let format: u32 = number(lines.next(), HEAD)?;
        if format > FORMAT {
            return Err(StateError::TooNew { what: "a state directory", found: format, known: FORMAT });
        }
        let namespace = field(lines.next(), "namespace")?.to_owned();
        let partition = number(lines.next(), "partition")?;
        let partitions = number(lines.next(), "partitions")?;
        let topics = lines
            .map(|line| {
                let (name, id) = field(Some(line), "topic")?
                    .split_once(' ')
                    .ok_or_else(|| damaged("lacks a topic's id"))?;
                Ok((name.to_owned(), id.to_owned()))
            })
            .collect::<Result<_, StateError>>()?;
        Ok(Self { namespace, partition, partitions, topics })
    }
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the state of partition {} of {} of namespace {}",
            self.partition, self.partitions, self.namespace
        )?;
        for (name, id) in &self.topics {
            write!(f, ", topic {name} with id {id}")?;
        }
        Ok(())
    }
}

fn field<'a>(line: Option<&'a str>, name: &str) -> Result<&'a str, StateError> {
    line.and_then(|line| line.strip_prefix(name)?.strip_prefix(' ')).ok_or_else(|| damaged("lacks a line"))
}

fn number(line: Option<&str>, name: &str) -> Result<u32, StateError> {
    field(line, name)?.parse().map_err(|_| damaged("has a number that is none"))
}

fn damaged(why: &str) -> StateError {
    StateError::corrupted(format!("the marker of the state directory {why}"))
}
