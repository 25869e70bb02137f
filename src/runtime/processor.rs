//! The thread of one owned partition: opens its store, begins sessions, makes batches, and recovers from any doubt in the
//! one way there is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use yardmaster_state::{BlockCache, Checkpoint, DiskStore, StateError, Store, fail_point, set_aside};
use yardmaster_topologies::event::Local;
use yardmaster_topologies::settings::Settings;

use super::channels::{LOOK_EVERY, ready_channels};
use super::opened::Opened;
use super::partition::{Partition, committed};
use super::registry::{Committed, OwnedPartition};
use super::session::{begin, needs_rebuild};
use super::standby::Standby;
use super::step::Broken;
use crate::kafka::{Connection, KafkaFailure};

/// Pauses between sessions that broke: short at first, so that a hiccup costs little.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A session that lasted so long was a good one: the next pause is short again.
const GOOD_SESSION: Duration = Duration::from_secs(30);

/// A store that has to be rebuilt more often is not what is damaged.
const REBUILDS_MAX: u32 = 3;

/// Where and how stores lie.
#[derive(Clone)]
pub(super) struct StoreSettings {
    pub(super) state_dir: std::path::PathBuf,
    pub(super) namespace: String,
    /// The ids of the topics that a store follows from, by name: one that was made again has another id.
    pub(super) topics: BTreeMap<String, String>,
    pub(super) cache: BlockCache,
}

/// A running processor.
pub(super) struct Processor {
    partition: Arc<Partition>,
    thread: Option<JoinHandle<()>>,
}

impl Processor {
    /// Starts the thread; it claims the partition by itself, with what a copy has opened if there is one.
    pub(super) fn start(
        partition: Arc<Partition>,
        conn: Connection,
        stores: StoreSettings,
        settings: Settings,
        standby: Option<Standby>,
    ) -> std::io::Result<Self> {
        let shared = Arc::clone(&partition);
        let thread =
            thread::Builder::new().name(format!("processor-{}", partition.number)).spawn(move || {
                let opened = standby.and_then(Standby::hand_over);
                fail_point!("standby_promote", opened.is_some());
                run(&shared, &conn, &stores, &settings, opened);
            })?;
        Ok(Self { partition, thread: Some(thread) })
    }

    /// Whether the thread has ended by itself: it was fenced.
    pub(super) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Whether it was: nobody asked it to end.
    pub(super) fn was_fenced(&self) -> bool {
        self.is_over() && !self.partition.is_stopping()
    }

    /// Asks the thread to stop after its batch; [`Processor::join`] waits for it.
    pub(super) fn ask_to_stop(&self) {
        self.partition.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the thread.
    pub(super) fn join(mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(partition = self.partition.number, "the processor's thread panicked");
        }
    }
}

fn run(
    partition: &Partition,
    conn: &Connection,
    stores: &StoreSettings,
    settings: &Settings,
    mut opened: Option<Opened>,
) {
    let mut pause = PAUSE_MIN;
    let mut rebuilds = 0;
    while !partition.is_stopping() {
        let served = Served(partition);
        let at_hand =
            opened.take().map_or_else(|| Opened::open(partition.number, partition.partitions, stores), Ok);
        let ended = at_hand.and_then(|opened| with_store(partition, conn, opened, settings));
        drop(served);
        match ended {
            Ok(End::Stopped) => break,
            Ok(End::Fenced) => {
                tracing::warn!(
                    partition = partition.number,
                    "fenced: another server has claimed this partition and goes on with it. If this repeats, servers lose \
                     sight of each other: look at the broker, or raise instance.timeout"
                );
                break;
            }
            Ok(End::Halted) => wait_for_stop(partition),
            Err(StateError::Rebuild(why)) if rebuilds >= REBUILDS_MAX => {
                tracing::error!(
                    partition = partition.number,
                    why,
                    "this partition is halted: its store was rebuilt from \
                     the changelog and still can't be continued, so the changelog itself is damaged"
                );
                wait_for_stop(partition);
            }
            Err(error @ StateError::Foreign { .. }) => {
                tracing::error!(partition = partition.number, %error, "this partition is halted");
                wait_for_stop(partition);
            }
            Err(error) => {
                tracing::warn!(partition = partition.number, %error, "the store can't be opened, trying again");
                rebuilds += u32::from(matches!(error, StateError::Rebuild(_)));
                partition.metrics.recovered(partition.number, "store");
                partition.pause(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
    partition.metrics.forget(partition.number);
    tracing::info!(partition = partition.number, "released");
}

/// What a broken session leaves to the next one.
#[derive(Default)]
struct Pending {
    local: Vec<Local>,
    rewrite: Vec<Vec<u8>>,
}

/// Takes the partition from the registry when its thread ends, also by a panic: or its store would stay open.
struct Served<'p>(&'p Partition);

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.0.registry.remove(self.0.number);
    }
}

enum End {
    Stopped,
    Fenced,
    /// A person has to act.
    Halted,
}

fn with_store(
    partition: &Partition,
    conn: &Connection,
    opened: Opened,
    settings: &Settings,
) -> Result<End, StateError> {
    let Opened { store, directory, torn } = opened;
    let end = sessions(partition, conn, &store, settings, torn);
    partition.registry.remove(partition.number);
    if let Err(error) = store.flush() {
        tracing::warn!(partition = partition.number, %error, "the store was not flushed: its log has everything");
    }
    fail_point!("shutdown_before_close");
    drop(store);
    match end {
        Ok(end) => Ok(end),
        Err(why) => {
            let aside = set_aside(&directory.store_path())?;
            tracing::error!(partition = partition.number, why, aside = %aside.display(), "the store is set aside and \
                 rebuilt from the changelog");
            Err(StateError::Rebuild(why))
        }
    }
}

/// Session after session, until the partition is to be released. An error means that the store must be rebuilt.
fn sessions(
    partition: &Partition,
    conn: &Connection,
    store: &Arc<DiskStore>,
    settings: &Settings,
    torn: Vec<Vec<u8>>,
) -> Result<End, String> {
    let mut pause = PAUSE_MIN;
    let mut pending = Pending { rewrite: torn, ..Pending::default() };
    while !partition.is_stopping() {
        let began = Instant::now();
        let broken = match session(partition, conn, store, settings, &mut pending) {
            Ok(()) => return Ok(End::Stopped),
            Err(broken) => broken,
        };
        match &broken {
            Broken::Kafka(KafkaFailure::Fenced) => return Ok(End::Fenced),
            Broken::Kafka(lost @ KafkaFailure::Lost { .. }) => {
                halt(partition, lost);
                return Ok(End::Halted);
            }
            other if needs_rebuild(other) => return Err(other.to_string()),
            Broken::State(StateError::TooNew { .. }) => {
                tracing::error!(partition = partition.number, error = %broken, "this program is too old for the state: \
                     start the newer version");
                return Ok(End::Halted);
            }
            Broken::Kafka(_) | Broken::State(_) => {}
        }
        tracing::warn!(partition = partition.number, error = %broken, "recovering: a new producer, and the store rolled \
             forward from the changelog. Nothing is lost, clients wait meanwhile; if this repeats, look at the broker");
        partition.metrics.recovered(partition.number, "session");
        fail_point!("producer_recreate_mid");
        if began.elapsed() > GOOD_SESSION {
            pause = PAUSE_MIN;
        }
        partition.pause(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
    Ok(End::Stopped)
}

fn session(
    partition: &Partition,
    conn: &Connection,
    store: &Arc<DiskStore>,
    settings: &Settings,
    pending: &mut Pending,
) -> Result<(), Broken> {
    let shared: Arc<dyn Store> = Arc::<DiskStore>::clone(store);
    let mut session = begin(partition, conn, shared, settings)?;
    session.local.append(&mut pending.local);
    session.rewrite.append(&mut pending.rewrite);
    partition.committed(&session.checkpoint);
    serve(partition, Arc::clone(store), &session.checkpoint);
    let mut looked_at = Instant::now();
    while !partition.is_stopping() {
        if looked_at.elapsed() > LOOK_EVERY {
            looked_at = Instant::now();
            partition.look_for_channels(ready_channels(store.as_ref())?);
        }
        if let Err(broken) = session.step() {
            // The next session brings its own settings; the rest would be forgotten.
            pending.local = std::mem::take(&mut session.local);
            pending.local.retain(|event| !matches!(event, Local::Configured(_)));
            pending.rewrite = std::mem::take(&mut session.rewrite);
            // A topic that is gone, or takes no such record, must be known before the batch is made again, or it would
            // fail for ever.
            pending.local.extend(session.transactions.closed_topics().iter().filter_map(|topic| {
                match partition.names.channel_of(topic) {
                    Some((pool, worker)) => Some(Local::ChannelLost { pool, worker }),
                    None if partition.is_own(topic) => None,
                    None => Some(Local::ReplyLost { topic: topic.clone() }),
                }
            }));
            return Err(broken);
        }
    }
    Ok(())
}

fn serve(partition: &Partition, store: Arc<DiskStore>, checkpoint: &Checkpoint) {
    let at: Committed = committed(checkpoint);
    tracing::info!(partition = partition.number, sequence = at.sequence, "processing");
    let receiver: watch::Receiver<Committed> = partition.position.subscribe();
    partition.registry.add(OwnedPartition::on_disk(partition.number, store, receiver));
}

fn halt(partition: &Partition, lost: &KafkaFailure) {
    tracing::error!(
        partition = partition.number,
        %lost,
        "this partition is halted: records that it needs are gone (retention was too short, or the topic was cut or made \
         again). Nothing is skipped by itself: restore the topic, or remove the namespace's topics and state"
    );
}

fn wait_for_stop(partition: &Partition) {
    while !partition.is_stopping() {
        thread::sleep(Duration::from_millis(100));
    }
}
