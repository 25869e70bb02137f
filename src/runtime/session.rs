//! Begins a session of a processor: fence, roll the store forward to the changelog's end, read the inputs from where the
//! last batch stopped. It is also the one way out of any doubt.

use std::sync::Arc;
use std::time::Instant;

use yardmaster_state::{Checkpoint, KeyWriter, NextOffset, Store, fail_point, prefix_end, scan_rows};
use yardmaster_topologies::driver::Grid;
use yardmaster_topologies::event::Local;
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::tables::{WorkerTable, byte};
use yardmaster_topologies::time::ProcessorMs;
use yardmaster_topologies::topology::{STATUS, TASKS};
use yardmaster_topologies::wire::Defaults;
use yardmaster_topologies::worker::WorkerState;

use super::clock::Clock;
use super::history;
use super::mutants;
use super::partition::Partition;
use super::restore::restore;
use super::step::{Broken, Session};
use super::take::Take;
use crate::kafka::{Connection, KafkaFailure, Source, Transactions, high_watermark};
use crate::metrics::Recorder;

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
    let mut positions = padded(&checkpoint);
    let (source, mut local) = inputs(partition, conn, checkpoint.sequence == 0, &mut positions)?;
    let known = Grid::settings(store.as_ref())?;
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
        checkpoint: Checkpoint { inputs: positions, ..checkpoint },
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

/// Reads both inputs from their positions on. A position whose records are gone is moved only if a person has accepted that;
/// the event that records it is returned.
fn inputs(
    partition: &Partition,
    conn: &Connection,
    is_fresh: bool,
    positions: &mut [NextOffset],
) -> Result<(Source, Vec<Local>), Broken> {
    let mut next = [0_i64; 2];
    let mut accepted = Vec::new();
    for ((topic, position), slot) in partition.inputs.iter().zip(positions).zip(&mut next) {
        let (first, end) = high_watermark(conn, topic, partition.number)?;
        let mut wanted = if is_fresh { first } else { position.0 };
        if wanted < first || wanted > end {
            let (topic, partition_number) = (topic.clone(), partition.number);
            let lost = KafkaFailure::Lost { topic, partition: partition_number, wanted, first, last: end };
            let Some((event, behind)) = partition.identity.accept(&lost) else {
                return Err(lost.into());
            };
            accepted.push(event);
            wanted = behind;
            *position = NextOffset(behind);
        }
        *slot = wanted;
    }
    let listener = partition.metrics.inputs_listener(partition.number);
    let source = Source::open(conn, partition.inputs.clone(), partition.number, next, listener)?;
    Ok((source, accepted))
}
