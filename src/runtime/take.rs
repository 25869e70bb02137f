//! Takes what has come in: decodes records, and sets aside those that can't be decided here.

use std::time::Duration;

use yardmaster_state::NextOffset;
use yardmaster_state::chaos::Mutant;
use yardmaster_topologies::driver::CommandInput;
use yardmaster_topologies::event::Status;
use yardmaster_topologies::id::Pool;
use yardmaster_topologies::topology::TASKS;
use yardmaster_topologies::wire::{BadReason, Defaults, Undecodable, decode_command, decode_status};

use super::clock::wall;
use super::deadletter::{DeadLetter, HOP};
use crate::kafka::{KafkaFailure, Source, Taken, partition_of};
use crate::trace;

/// A record for another partition.
#[derive(Debug)]
pub(super) struct Misrouted {
    /// Which input.
    pub(super) input: usize,
    /// Where its pool belongs.
    pub(super) partition: i32,
    /// The pool: the key that it gets.
    pub(super) pool: Pool,
    /// As it was.
    pub(super) value: Vec<u8>,
    /// Its trace, and the mark of having been sent on.
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

/// What one batch takes.
#[derive(Debug, Default)]
pub(super) struct Take {
    pub(super) status: Vec<Status>,
    pub(super) commands: Vec<CommandInput>,
    pub(super) dead: Vec<DeadLetter>,
    pub(super) misrouted: Vec<Misrouted>,
    /// Records taken from both inputs.
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// The next offset of each input, where something was taken.
    pub(super) next: [Option<NextOffset>; 2],
    /// How old the newest record of each input was when it was taken, where something was taken.
    pub(super) lag: [Option<Duration>; 2],
    /// Nothing more was there.
    pub(super) is_dry: bool,
    /// What went wrong while it was taken ahead, for whoever takes next.
    failure: Option<KafkaFailure>,
}

/// Records that are taken ahead between two looks at the commit.
const AHEAD_STEP: usize = 64;

/// How much one batch may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct TakeLimits {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

/// What is needed to read records.
pub(super) struct Reading<'a> {
    pub(super) partition: i32,
    pub(super) partitions: i32,
    pub(super) topics: &'a [String; 2],
    pub(super) defaults: &'a Defaults,
}

impl Take {
    /// Takes what is there, up to the limits, with what was taken ahead. Waits for the first record at most `wait`.
    pub(super) fn fill(
        mut self,
        reading: &Reading<'_>,
        source: &mut Source,
        wait: Duration,
        limits: TakeLimits,
    ) -> Result<Self, KafkaFailure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut wait = if self.records > 0 { Duration::ZERO } else { wait };
        while self.has_room(limits) {
            let Some(record) = source.poll(wait)? else {
                self.is_dry = true;
                break;
            };
            wait = Duration::ZERO;
            self.add(reading, record);
        }
        Ok(self)
    }

    /// Takes a few records for the next batch while the last one is on its way to the broker: nothing of them is decided
    /// before that is committed. Returns whether there were any.
    pub(super) fn ahead(&mut self, reading: &Reading<'_>, source: &mut Source, limits: TakeLimits) -> bool {
        let before = self.records;
        while self.failure.is_none() && self.has_room(limits) && self.records < before + AHEAD_STEP {
            match source.poll(Duration::ZERO) {
                Ok(Some(record)) => self.add(reading, record),
                Ok(None) => break,
                Err(failure) => self.failure = Some(failure),
            }
        }
        self.records > before
    }

    /// How old the newest record of an input was when it was taken, if one was.
    pub(super) fn lag_of(&self, input: usize) -> Option<Duration> {
        self.lag.get(input).copied().flatten()
    }

    fn has_room(&self, limits: TakeLimits) -> bool {
        self.records < limits.records && self.bytes < limits.bytes
    }

    pub(super) fn add(&mut self, reading: &Reading<'_>, record: Taken) {
        self.records += 1;
        self.bytes += record.value.as_ref().map_or(0, Vec::len);
        if let Some(next) = self.next.get_mut(record.input) {
            let after = i64::from(!Mutant::LastForNext.is_on());
            *next = Some(NextOffset(record.offset + after));
        }
        if let Some(lag) = self.lag.get_mut(record.input) {
            let age = record
                .timestamp_ms
                .and_then(|at| u64::try_from(at).ok())
                .map(|at| wall().0.saturating_sub(at));
            *lag = age.map(Duration::from_millis);
        }
        let Some(value) = record.value.as_deref() else {
            let detail = "a record without a value asks for nothing".to_owned();
            return self.bury(reading, &record, BadReason::NullValue, detail);
        };
        let read = if record.input == TASKS {
            decode_command(value, reading.defaults).map(|mut command| {
                trace::take_up(&mut command, &record.headers);
                let pool = command.pool.clone();
                (pool, Decoded::Command(CommandInput::Command(command)))
            })
        } else {
            decode_status(value, reading.defaults).and_then(|statuses| match statuses.first() {
                Some(first) => Ok((first.pool.clone(), Decoded::Status(statuses))),
                None => Err(Undecodable::Bad {
                    reason: BadReason::BadField,
                    detail: "events: is empty".to_owned(),
                }),
            })
        };
        match read {
            Ok((pool, decoded)) => self.route(reading, record, pool, decoded),
            Err(Undecodable::Refused { pool, request_id, refusal }) => {
                let refused = CommandInput::Refused { pool: pool.clone(), request_id, refusal: *refusal };
                self.route(reading, record, pool, Decoded::Command(refused));
            }
            Err(Undecodable::Bad { reason, detail }) => self.bury(reading, &record, reason, detail),
        }
    }

    /// A pool has one partition; a record that came to another one is sent on once.
    fn route(&mut self, reading: &Reading<'_>, record: Taken, pool: Pool, decoded: Decoded) {
        let partition = partition_of(&pool, reading.partitions);
        if partition == reading.partition {
            match decoded {
                Decoded::Command(command) => self.commands.push(command),
                Decoded::Status(statuses) => self.status.extend(statuses),
            }
            return;
        }
        if record.headers.iter().any(|(name, _)| name == HOP) {
            let detail =
                format!("pool {pool} belongs to partition {partition}, and it was sent on once already");
            return self.bury(reading, &record, BadReason::Misrouted, detail);
        }
        let (value, mut headers) = (record.value.unwrap_or_default(), trace::kept(record.headers));
        headers.push((HOP.to_owned(), b"1".to_vec()));
        self.misrouted.push(Misrouted { input: record.input, partition, pool, value, headers });
    }

    fn bury(&mut self, reading: &Reading<'_>, record: &Taken, reason: BadReason, detail: String) {
        let topic = reading.topics.get(record.input).map_or("", String::as_str);
        self.dead.push(DeadLetter::of(topic, reading.partition, record, reason, detail));
    }
}

enum Decoded {
    Command(CommandInput),
    Status(Vec<Status>),
}
