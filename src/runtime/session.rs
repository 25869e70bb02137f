//! Begins a session of a processor: fence, roll the store forward to the changelog's end, read the inputs from where the
//! last batch stopped. It is also the one way out of any doubt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use yardmaster_state::{
    Checkpoint, KeyWriter, NextOffset, Restore, RestoreReport, StateError, Store, fail_point, prefix_end,
    scan_rows,
};
use yardmaster_topologies::driver::Grid;
use yardmaster_topologies::event::Local;
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::tables::{GridSchema, WorkerTable, byte};
use yardmaster_topologies::time::ProcessorMs;
use yardmaster_topologies::topology::{STATUS, TASKS};
use yardmaster_topologies::wire::Defaults;
use yardmaster_topologies::worker::WorkerState;

use super::clock::Clock;
use super::history;
use super::mutants;
use super::partition::Partition;
use super::step::{Broken, Session};
use super::take::Take;
use crate::kafka::{ChangelogReader, Connection, KafkaFailure, Source, Transactions, high_watermark};
use crate::metrics::Recorder;

/// A restore that reads nothing for so long is stuck.
const STALL: Duration = Duration::from_secs(60);

/// Claims the partition and brings its store to the end of the changelog.
pub(super) fn begin<'p>(
    partition: &'p Partition,
    conn: &Connection,
    store: Arc<dyn Store>,
    settings: &Settings,
) -> Result<Session<'p>, Broken> {
    // Fence first: only then the high watermark proves that nothing of the owner before is still to come.
    let (id, listener) = (
        partition.names.transactional_id(partition.number),
        partition.metrics.transactions_listener(partition.number),
    );
    let early = mutants::watermark_before_fence(partition, conn)?;
    let old = store.checkpoint()?;
    fail_point!("claimed_before_init_txn");
    let mut transactions = Transactions::claim_heard(conn, &id, listener)?;
    fail_point!("after_init_txn_before_restore");
    transactions.watch([partition.names.changelog(), partition.names.events()]);
    let report = restore(partition, conn, store.as_ref(), early)?;
    let rewrite = report.torn.into_iter().map(|torn| torn.key).collect();
    let checkpoint = mutants::position_of(old, store.checkpoint()?.unwrap_or_default());
    history::catch_up(partition, conn, &store)?;
    ask_again(partition, store.as_ref())?;
    fail_point!("restore_done_before_resume");
    let source = inputs(partition, conn, &checkpoint)?;
    let known = Grid::settings(store.as_ref())?;
    let mut local = Vec::new();
    let wanted = with_secret(settings, known.as_ref());
    if known.as_ref() != Some(&wanted) {
        local.push(Local::Configured(Box::new(wanted.clone())));
    }
    Ok(Session {
        partition,
        grid: Grid::resume(store.as_ref())?,
        due_at: Grid::due_at(store.as_ref())?,
        clock: Clock::resume(ProcessorMs(checkpoint.at_ms)),
        defaults: Defaults::from(&wanted),
        source,
        transactions,
        checkpoint: Checkpoint { inputs: padded(&checkpoint), ..checkpoint },
        store,
        more: true,
        heard_at: Instant::now(),
        ahead: Take::default(),
        local,
        rewrite,
        recorder: Recorder::new(&partition.metrics, partition.number),
    })
}

/// Workers that wait for their channel: whoever was asked to make it may have been killed before it did.
fn ask_again(partition: &Partition, store: &dyn Store) -> Result<(), Broken> {
    let all = KeyWriter::new(byte::WORKER).finish();
    for ((pool, worker), row) in scan_rows::<WorkerTable>(store, &all, &prefix_end(&all), usize::MAX)? {
        let waits = matches!(row.state, WorkerState::Joining | WorkerState::Lost);
        if waits && !row.channel_ready {
            partition.ensure_channel(pool, worker);
        }
    }
    Ok(())
}

/// Both inputs have a position, also before the first batch.
fn padded(checkpoint: &Checkpoint) -> Vec<NextOffset> {
    [TASKS, STATUS].iter().map(|input| checkpoint.inputs.get(*input).copied().unwrap_or_default()).collect()
}

/// The partition's secret is made once and kept.
fn with_secret(settings: &Settings, known: Option<&Settings>) -> Settings {
    let secret = known.map_or_else(fresh_secret, |known| known.secret);
    Settings { secret, ..settings.clone() }
}

fn fresh_secret() -> [u8; 32] {
    let mut secret = [0; 32];
    let (first, second) = secret.split_at_mut(16);
    first.copy_from_slice(&ulid::Ulid::generate().to_bytes());
    second.copy_from_slice(&ulid::Ulid::generate().to_bytes());
    secret
}

fn inputs(partition: &Partition, conn: &Connection, checkpoint: &Checkpoint) -> Result<Source, Broken> {
    let mut next = [0_i64; 2];
    for (input, position) in padded(checkpoint).iter().enumerate() {
        let Some(topic) = partition.inputs.get(input) else {
            continue;
        };
        let (first, end) = high_watermark(conn, topic, partition.number)?;
        let is_fresh = checkpoint.sequence == 0;
        let wanted = if is_fresh { first } else { position.0 };
        if wanted < first || wanted > end {
            return Err(KafkaFailure::Lost {
                topic: topic.clone(),
                partition: partition.number,
                wanted,
                first,
                last: end,
            }
            .into());
        }
        if let Some(slot) = next.get_mut(input) {
            *slot = wanted;
        }
    }
    let listener = partition.metrics.inputs_listener(partition.number);
    Ok(Source::open(conn, partition.inputs.clone(), partition.number, next, listener)?)
}

/// Reads the changelog from the store's position to the high watermark.
fn restore(
    partition: &Partition,
    conn: &Connection,
    store: &dyn Store,
    early: Option<(i64, i64)>,
) -> Result<RestoreReport, Broken> {
    let topic = partition.names.changelog();
    let (first, end) = match early {
        Some(watermarks) => watermarks,
        None => high_watermark(conn, &topic, partition.number)?,
    };
    let end = NextOffset(end);
    let known = store.checkpoint()?;
    if let Some(ahead) = known.as_ref().filter(|checkpoint| checkpoint.changelog > end) {
        // The log was cut or made again. To start over would decide again what was decided: a person has to know.
        return Err(KafkaFailure::Lost {
            topic,
            partition: partition.number,
            wanted: ahead.changelog.0,
            first,
            last: end.0,
        }
        .into());
    }
    let mut restore = Restore::new(&GridSchema, store, known, end)?;
    let shown = partition.metrics.restoring(partition.number, end.0 - restore.start().0);
    if !restore.is_done(None, end) {
        let mut reader = ChangelogReader::open(conn, &topic, partition.number, restore.start().0)?;
        let mut progress = Instant::now();
        while !restore.is_done(reader.position().map(NextOffset), end) {
            match reader.poll(Duration::from_millis(50))? {
                Some((offset, key, value)) => {
                    restore.feed(offset, &key, value.as_deref())?;
                    progress = Instant::now();
                    shown.at(restore.report().records_read, end.0 - offset - 1);
                }
                None if progress.elapsed() > STALL => {
                    return Err(stalled(&topic, partition.number, end).into());
                }
                None => {}
            }
            if partition.is_stopping() {
                return Err(KafkaFailure::Unreachable("the restore was stopped".to_owned()).into());
            }
        }
    }
    let report = restore.finish()?;
    tracing::info!(
        partition = partition.number,
        records = report.records_read,
        batches = report.batches,
        torn = report.torn.len(),
        took_ms = shown.end(report.records_read).as_millis(),
        "restored to the changelog's end at {end}"
    );
    Ok(report)
}

fn stalled(topic: &str, partition: i32, end: NextOffset) -> KafkaFailure {
    KafkaFailure::Unreachable(format!(
        "the restore from {topic}-{partition} stands still before its end at {end}: either the log was cut, or a \
         foreign producer holds a transaction open in it"
    ))
}

/// Whether the store must be set aside and rebuilt from the changelog.
pub(super) fn needs_rebuild(error: &Broken) -> bool {
    match error {
        Broken::State(StateError::Rebuild(_) | StateError::Corrupted(_)) => true,
        Broken::State(_) | Broken::Kafka(_) => false,
    }
}
