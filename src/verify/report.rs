//! What an audit found, for a person and as JSON.

use std::fmt;

use serde::Serialize;

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} at offset {}", self.topic, self.partition, self.offset)
    }
}

/// Something that is not as it must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind of thing: `row`, `changelog`, `batch`, `message`, `event`, `reply` or `dead_letter`.
    pub what: &'static str,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// The batch in which it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The record at fault; of a row the one that wrote it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The row's table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<&'static str>,
    /// The row's or record's key, decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What must be there; none when nothing must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What is there; none when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.detail)?;
        if let Some(sequence) = self.sequence {
            write!(f, "\n    batch     {sequence}")?;
        }
        if let Some(place) = &self.place {
            write!(f, "\n    record    {place}")?;
        }
        if let Some(table) = self.table {
            write!(f, "\n    table     {table}")?;
        }
        if let Some(key) = &self.key {
            write!(f, "\n    key       {key}")?;
        }
        if self.expected.is_some() || self.found.is_some() {
            let nothing = || "nothing".to_owned();
            write!(f, "\n    expected  {}", self.expected.clone().unwrap_or_else(nothing))?;
            write!(f, "\n    found     {}", self.found.clone().unwrap_or_else(nothing))?;
        }
        Ok(())
    }
}

/// How much was compared and found right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Changelog records that were folded.
    pub changelog_records: u64,
    /// Batch records whose order, inputs and claims are right.
    pub batches: u64,
    /// Batches that still have all of their rows, with the right digest.
    pub digests: u64,
    /// Rows of a torn commit that were written again.
    pub torn_repaired: u64,
    /// Rows of the store, index rows included, that are what the changelog says, byte by byte.
    pub store_rows: u64,
    /// Batches that were decided again.
    pub replayed_batches: u64,
    /// Input records that were decided again.
    pub input_records: u64,
    /// Rows that these batches wrote, and that are in the log with the same bytes or the same digest.
    pub replayed_rows: u64,
    /// Rows of the replay's end that are those of the store, or of the fold without one.
    pub replayed_state_rows: u64,
    /// Tasks given to workers by these batches.
    pub assignments: u64,
    /// Messages on workers' channels.
    pub messages: u64,
    /// Records on `events`.
    pub events: u64,
    /// Replies.
    pub replies: u64,
    /// Records on `dead-letter`.
    pub dead_letters: u64,
}

/// What was found out about a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// Which.
    pub partition: i32,
    /// What is not right; an audit ends with the first.
    pub difference: Option<Difference>,
    /// What was compared.
    pub compared: Compared,
    /// The last batch in the log that was read.
    pub sequence: u64,
    /// The changelog was read up to this offset.
    pub changelog_end: i64,
    /// The batch at which the store stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_sequence: Option<u64>,
    /// The first batch that was decided again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed_from: Option<u64>,
    /// Behind the last record of each input that was decided again: `tasks`, `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<[i64; 2]>,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
}

impl PartitionReport {
    /// Whether nothing wrong was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.difference.is_none()
    }
}
