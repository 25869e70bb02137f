//! One batch, in the one order that is right: take, decide, send, commit, store, release. Nothing else owns it.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use yardmaster_state::{Batch, BatchRecord, Checkpoint, NextOffset, Seal, StateError, Store, fail_point};
use yardmaster_topologies::driver::{BatchInput, Decided, Grid};
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::event::{Local, encode_local, encode_local_blanked};
use yardmaster_topologies::time::{Now, ProcessorMs, WallMs};
use yardmaster_topologies::topology::{STATUS, TASKS};
use yardmaster_topologies::wire::{BatchLog, Defaults, Event, InputRange};

use super::clock::Clock;
use super::deadletter::DeadLetter;
use super::early::{Early, decide_and_send};
use super::history;
use super::laps::Laps;
use super::mutants;
use super::partition::Partition;
use super::send;
use super::take::{Reading, Take, TakeLimits};
use crate::kafka::{Delivered, Forwarded, KafkaFailure, OutRecord, Source, Transactions};
use crate::metrics::Recorder;

/// The version of the deciding code, logged with each batch.
pub const CODE_VERSION: u32 = 1;

/// The longest wait for input: local events and timers are looked at this often.
const WAIT_MAX: Duration = Duration::from_millis(20);

/// From so many writes on, the store has a thread to itself: it is worth one.
const LARGE_WRITES: usize = 1_000;

/// Why a session of a processor ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaFailure),
    /// The store.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Everything that one session of a processor works with.
pub(super) struct Session<'p> {
    pub(super) partition: &'p Partition,
    pub(super) store: Arc<dyn Store>,
    pub(super) source: Source,
    pub(super) transactions: Transactions,
    pub(super) grid: Grid,
    pub(super) clock: Clock,
    pub(super) checkpoint: Checkpoint,
    pub(super) defaults: Defaults,
    /// When time alone changes something next.
    pub(super) due_at: Option<ProcessorMs>,
    /// When it was last known that what workers said is read, or nearly so.
    pub(super) heard_at: Instant,
    /// A limit left something that could go on at once.
    pub(super) more: bool,
    /// Events for the next batch.
    pub(super) local: Vec<Local>,
    /// What was taken while the last batch was being committed.
    pub(super) ahead: Take,
    /// Keys of torn rows, to be written again with the next batch.
    pub(super) rewrite: Vec<Vec<u8>>,
    /// What is counted.
    pub(super) recorder: Recorder,
}

impl Session<'_> {
    /// Makes one batch, if there is anything to do.
    pub(super) fn step(&mut self) -> Result<(), Broken> {
        // 1. Take: what has come in, until nothing more is there or the batch is full.
        let mut laps = Laps::start();
        let take = self.take()?;
        laps.end("take");
        self.show_lag(&take);
        self.local.extend(self.partition.take_local());
        let now = self.time(&take);
        let has_ticked = self.due_at.is_some_and(|at| at <= now.processor);
        let is_due = self.more || has_ticked;
        if take.records == 0 && self.local.is_empty() && self.rewrite.is_empty() && !is_due {
            return Ok(());
        }
        fail_point!("after_poll");
        // What is logged from here on says of which batch.
        let sequence = self.checkpoint.sequence + 1;
        let _span = tracing::info_span!("batch", partition = self.partition.number, sequence).entered();
        self.send_on(&take)?;

        // 2. Decide: pure, over an overlay; the store stays as it is. Of a large batch, sending begins here.
        let began = Instant::now();
        let Take { status, commands, dead, next, records, .. } = take;
        let asked = self.partition.registry.asked(&commands);
        // Both stay here until the commit: a session that breaks hands them to the next one.
        let (local, rewrite) = (self.local.clone(), self.rewrite.clone());
        let input = BatchInput { local: local.clone(), status, commands, now, rewrite };
        let (grid, store) = (&mut self.grid, self.store.as_ref());
        let decide = |early: &mut Early<'_>| grid.decide_early(store, input, early);
        let (decided, mut sent) = decide_and_send(self.partition, &mut self.transactions, decide)?;
        self.due_at = decided.due_at;
        self.more = decided.more;
        laps.end("decide");
        let is_idle = decided.batch.is_empty() && sent.is_empty() && decided.effects.is_empty();
        if records == 0 && is_idle && !local.iter().any(Local::is_audit) {
            self.local.clear();
            return Ok(());
        }
        fail_point!("after_decide");
        fail_point!("lease_tick_emit", has_ticked);

        // 3. Send: messages, events and dead letters as they were decided, then the rows, the batch record last.
        let seal = self.seal(next, now, &local);
        self.send(&decided, !sent.is_empty(), &dead, &seal)?;
        laps.end("send");

        // 4. Commit: from here on it has happened, whatever becomes of this process.
        mutants::store_early(self, &decided.batch, &seal)?;
        let mut delivered = self.commit()?;
        mutants::seal_late(self.partition, &decided.batch, &seal, &mut delivered)?;
        let [Some(batch_at), Some(event_at)] = delivered.watched else {
            let what = "the commit did not report the offsets of its batch record and its events";
            return Err(KafkaFailure::Doubt(what.to_owned()).into());
        };
        laps.end("commit");

        // 5. Store: the rows and the positions, in one write; meanwhile the next records are read.
        let checkpoint = checkpoint(&seal, NextOffset(batch_at + 1));
        let Decided { mut batch, effects, .. } = decided;
        sent.push(effects);
        batch.checkpoint = Some(checkpoint.clone());
        batch.writes.push(history::mark(event_at + 1));
        self.store(&batch)?;
        fail_point!("after_writebatch_before_publish");
        self.checkpoint = checkpoint;
        self.local.clear();
        self.rewrite.clear();
        laps.end("store");

        // 6. Release: readers see it, who waits is answered, topics are made.
        self.partition.committed(&self.checkpoint);
        self.partition.registry.answer(asked, sent.iter().flatten());
        self.recorder.effects(sent.iter().flatten(), dead.len());
        dead.iter().for_each(|letter| self.recorder.dead_letter(letter.reason));
        sent.into_iter().for_each(|effects| self.release(effects));
        laps.end("release");
        self.recorder.batch(records, &delivered, laps.all(), began.elapsed());
        tracing::debug!(records, took_ms = began.elapsed().as_millis(), "committed");
        fail_point!("after_publish_before_next_poll");
        Ok(())
    }

    /// Sends what a decision leaves, in its order; the transaction is begun already when some of it was sent early.
    fn send(
        &mut self,
        decided: &Decided,
        is_begun: bool,
        dead: &[DeadLetter],
        seal: &Seal,
    ) -> Result<(), KafkaFailure> {
        let (names, partition) = (&self.partition.names, self.partition.number);
        if !is_begun {
            self.transactions.begin()?;
        }
        for effect in &decided.effects {
            send::effect(&mut self.transactions, names, partition, effect)?;
        }
        for letter in dead {
            if !mutants::dead_letter_outside(self.partition, letter)? {
                send::dead_letter(&mut self.transactions, names, partition, letter)?;
            }
        }
        let record = decided.batch.sealed(seal.clone());
        let copy = batch_event(partition, &record, encode_local_blanked(&self.local));
        send::event_to(&mut self.transactions, &names.events(), Some(partition), &copy)?;
        self.send_rows(&decided.batch, &record)
    }

    fn take(&mut self) -> Result<Take, KafkaFailure> {
        let wait = self.wait();
        let ahead = std::mem::take(&mut self.ahead);
        let (reading, limits) = reading(self.partition, &self.defaults);
        ahead.fill(&reading, &mut self.source, wait, limits)
    }

    /// Commits; meanwhile the next records are read.
    fn commit(&mut self) -> Result<Delivered, KafkaFailure> {
        let (reading, limits) = reading(self.partition, &self.defaults);
        let (source, ahead) = (&mut self.source, &mut self.ahead);
        fail_point!("placement_lost_mid_batch", self.partition.is_stopping());
        let delivered = self.transactions.commit_while(&mut || ahead.ahead(&reading, source, limits))?;
        fail_point!("commit_ok_before_apply");
        Ok(delivered)
    }

    /// Writes the store. The records that are read beside a large write are decided after it.
    fn store(&mut self, batch: &Batch) -> Result<(), StateError> {
        if batch.writes.len() < LARGE_WRITES {
            return self.store.commit(batch);
        }
        let (reading, limits) = reading(self.partition, &self.defaults);
        let (store, source, ahead) = (&self.store, &mut self.source, &mut self.ahead);
        thread::scope(|scope| {
            let writing = scope.spawn(|| store.commit(batch));
            while !writing.is_finished() && ahead.ahead(&reading, source, limits) {}
            writing.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    fn show_lag(&self, take: &Take) {
        self.recorder.turn();
        for (input, position) in self.checkpoint.inputs.iter().enumerate() {
            self.recorder.lag(input, self.source.end(input), position.0);
            let age = if take.is_dry { Some(Duration::ZERO) } else { take.lag_of(input) };
            if let Some(age) = age {
                self.recorder.age(input, age);
            }
        }
    }

    fn wait(&mut self) -> Duration {
        if self.more || !self.local.is_empty() {
            return Duration::ZERO;
        }
        let now = self.clock.now().processor;
        let until_due = self.due_at.map_or(WAIT_MAX, |at| Duration::from_millis(at.0.saturating_sub(now.0)));
        until_due.min(WAIT_MAX)
    }

    /// The batch's time. It stands still while what workers said waits to be read: their heartbeats may be in there.
    fn time(&mut self, take: &Take) -> Now {
        let lag_max = self.partition.lease.as_duration() / 3;
        if take.is_dry || take.lag_of(STATUS).is_some_and(|lag| lag <= lag_max) {
            self.heard_at = Instant::now();
        } else if take.lag_of(STATUS).is_some() || self.heard_at.elapsed() > lag_max {
            self.clock.freeze(ProcessorMs(self.checkpoint.at_ms));
        }
        let mut now = self.clock.now();
        now.processor = now.processor.max(ProcessorMs(self.checkpoint.at_ms));
        now
    }

    /// Records of other partitions' pools are sent on and acknowledged before the batch passes them. Outside the
    /// transaction: an open transaction on an input would stall its reader, and every command and status may repeat.
    fn send_on(&self, take: &Take) -> Result<(), KafkaFailure> {
        for (input, topic) in self.partition.inputs.iter().enumerate() {
            let of_input = take.misrouted.iter().filter(|record| record.input == input);
            let records: Vec<Forwarded<'_>> = of_input
                .map(|record| Forwarded {
                    partition: record.partition,
                    key: record.pool.as_str().as_bytes(),
                    value: &record.value,
                    headers: &record.headers,
                })
                .collect();
            if !records.is_empty() {
                self.partition.submitter.send_all_blocking(topic, &records)?;
                self.partition.metrics.rerouted(records.len());
            }
        }
        Ok(())
    }

    fn seal(&self, next: [Option<NextOffset>; 2], now: Now, local: &[Local]) -> Seal {
        let from = |input: usize| self.checkpoint.inputs.get(input).copied().unwrap_or_default();
        let inputs =
            next.iter().enumerate().map(|(input, to)| (from(input), to.unwrap_or_else(|| from(input))));
        Seal {
            sequence: self.checkpoint.sequence + 1,
            inputs: inputs.collect(),
            at_ms: now.processor.0,
            wall_ms: now.wall.0,
            local: encode_local(local),
            owner_epoch: self.partition.epoch(),
            code_version: CODE_VERSION,
        }
    }

    fn send_rows(&mut self, batch: &Batch, record: &BatchRecord) -> Result<(), KafkaFailure> {
        let (topic, partition) = (self.partition.names.changelog(), Some(self.partition.number));
        for row in batch.logged() {
            let (key, value) = (row.key.as_ref(), row.value.as_deref());
            self.transactions.send(OutRecord { topic: &topic, partition, key, value, headers: &[] })?;
        }
        if mutants::is_sealed_late() {
            return Ok(());
        }
        let (key, value) = (record.key(), record.encode());
        self.transactions.send(OutRecord {
            topic: &topic,
            partition,
            key: &key,
            value: Some(&value),
            headers: &[],
        })?;
        fail_point!("after_batch_record_enqueued");
        Ok(())
    }

    fn release(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::EnsureChannel { pool, worker } => self.partition.ensure_channel(pool, worker),
                Effect::ForgetChannel { pool, worker } => self.partition.forget_channel(pool, worker),
                Effect::EnsureReply { topic } => self.partition.ensure_reply(topic),
                Effect::Send { .. }
                | Effect::Publish { .. }
                | Effect::Reply { .. }
                | Effect::Bury { .. }
                | Effect::Count { .. } => {}
            }
        }
    }
}

/// The copy of a batch record for `events`: the changelog keeps only the last ones.
pub(super) fn batch_event(partition: i32, record: &BatchRecord, blanked_local: Vec<u8>) -> Event {
    let range = |input: usize| {
        let (from, to) = record.inputs.get(input).copied().unwrap_or_default();
        InputRange { from: from.0, to: to.0 }
    };
    let log = BatchLog {
        clock: ProcessorMs(record.at_ms),
        rows: record.records,
        digest: record.digest,
        owner_epoch: record.owner_epoch,
        code_version: record.code_version,
        local: blanked_local,
    };
    Event::Batch {
        partition,
        sequence: record.sequence,
        tasks: range(TASKS),
        status: range(STATUS),
        at: WallMs(record.wall_ms),
        log: Some(Box::new(log)),
    }
}

fn reading<'a>(partition: &'a Partition, defaults: &'a Defaults) -> (Reading<'a>, TakeLimits) {
    let reading = Reading {
        partition: partition.number,
        partitions: partition.partitions,
        topics: &partition.inputs,
        defaults,
    };
    (reading, TakeLimits { records: partition.records_max, bytes: partition.bytes_max })
}

pub(super) fn checkpoint(seal: &Seal, changelog: NextOffset) -> Checkpoint {
    Checkpoint {
        changelog,
        inputs: seal.inputs.iter().map(|&(_, to)| to).collect(),
        sequence: seal.sequence,
        at_ms: seal.at_ms,
        wall_ms: seal.wall_ms,
        owner_epoch: seal.owner_epoch,
        code_version: seal.code_version,
    }
}
