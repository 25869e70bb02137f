//! The thread of one owned partition: opens its store, begins sessions, makes batches, and recovers from any doubt in the
//! one way there is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use yardmaster_state::{Checkpoint, DiskStore, StateError, Store, fail_point, set_aside};
use yardmaster_topologies::event::Local;
use yardmaster_topologies::settings::Settings;

use super::age::refuse_stale;
use super::channels::{LOOK_EVERY, ready_channels};
use super::clock::wall;
use super::halt::{Halt, HaltCause};
use super::opened::{Opened, StoreSettings, make_room};
use super::partition::{Partition, committed};
use super::registry::{Committed, OwnedPartition};
use super::session::begin;
use super::space::Reserve;
use super::standby::Standby;
use super::step::Broken;
use crate::kafka::{Connection, KafkaFailure};

/// Pauses between sessions that broke: short at first, so that a hiccup costs little.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A session that lasted so long was a good one: the next pause is short again.
const GOOD_SESSION: Duration = Duration::from_secs(30);

/// A store that has to be rebuilt more often, one soon after the other, is not what is damaged.
const REBUILDS_MAX: u32 = 3;
const REBUILDS_APART: Duration = Duration::from_secs(3_600);

/// How often a store is asked whether something failed behind its back.
const CHECK_EVERY: Duration = Duration::from_secs(1);

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
    let mut rebuilt = Rebuilt::default();
    while !partition.is_stopping() {
        let (served, began) = (Served(partition), Instant::now());
        let at_hand = opened.take().map_or_else(|| open(partition, stores), Ok);
        let ended = at_hand.and_then(|opened| with_store(partition, conn, opened, stores, settings));
        drop(served);
        let error = match ended {
            Ok(End::Stopped) => break,
            Ok(End::Fenced) => {
                tracing::warn!(
                    partition = partition.number,
                    "fenced: another server has claimed this partition and goes on with it. If this repeats, servers lose \
                     sight of each other: look at the broker, or raise instance.timeout"
                );
                break;
            }
            Ok(End::Halted(halt)) => {
                stand(partition, halt);
                continue;
            }
            Err(error) => error,
        };
        match reaction(&error, &mut rebuilt) {
            Some(halt) if halt.cause == HaltCause::NoSpace => {
                make_room(partition.number, stores);
                partition.hold(halt);
            }
            Some(halt) => {
                stand(partition, halt);
                continue;
            }
            None => {
                tracing::warn!(partition = partition.number, %error, "the store is opened anew");
            }
        }
        partition.metrics.recovered(partition.number, "store");
        if began.elapsed() > GOOD_SESSION {
            pause = PAUSE_MIN;
        }
        partition.pause(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
    partition.go_on();
    partition.metrics.forget(partition.number);
    tracing::info!(partition = partition.number, "released");
}

/// How often a store was rebuilt lately.
#[derive(Default)]
struct Rebuilt {
    count: u32,
    last: Option<Instant>,
}

impl Rebuilt {
    /// Notes one more; whether that was too often.
    fn is_too_often(&mut self) -> bool {
        if self.last.is_none_or(|last| last.elapsed() > REBUILDS_APART) {
            self.count = 0;
        }
        self.last = Some(Instant::now());
        self.count += 1;
        self.count > REBUILDS_MAX
    }
}

/// What an error of a store asks for: to stand still, or none to open it again.
fn reaction(error: &StateError, rebuilt: &mut Rebuilt) -> Option<Halt> {
    match error {
        StateError::Full { .. } => Some(Halt::new(HaltCause::NoSpace, error.to_string())),
        StateError::Foreign { .. } => Some(Halt::new(HaltCause::Directory, error.to_string())),
        StateError::TooNew { .. } => Some(Halt::new(HaltCause::TooNew, error.to_string())),
        StateError::Rebuild(why) if rebuilt.is_too_often() => {
            let text = format!(
                "its store was rebuilt from the changelog {REBUILDS_MAX} times and still can't be continued, so the changelog or \
                 the disk is damaged: {why}. `yardmaster verify` tells which; look at the disk, or bring the topic back from \
                 a backup, then restart this server"
            );
            Some(Halt::new(HaltCause::Damaged, text))
        }
        StateError::Rebuild(_)
        | StateError::Corrupted(_)
        | StateError::Locked { .. }
        | StateError::Io { .. } => None,
    }
}

/// Stands still, and says why, until the partition is released or the reason is gone.
fn stand(partition: &Partition, mut halt: Halt) {
    partition.hold(halt.clone());
    while !partition.is_stopping() {
        thread::sleep(Duration::from_millis(100));
        if halt.cause != HaltCause::Topics {
            continue;
        }
        match partition.identity.refusal() {
            None => break,
            // A topic that was gone may have been made again meanwhile.
            Some(text) if text != halt.text => {
                halt.text = text;
                partition.hold(halt.clone());
            }
            Some(_) => {}
        }
    }
    partition.go_on();
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
    Halted(Halt),
}

/// Opens the store when there is room to go on.
fn open(partition: &Partition, stores: &StoreSettings) -> Result<Opened, StateError> {
    Reserve::new(stores.state_dir.clone(), stores.free_bytes_min).check_to_begin()?;
    Opened::open(partition.number, partition.partitions, &partition.identity, stores)
}

/// Works with a store, and closes it. An error means that it has to be opened anew.
fn with_store(
    partition: &Partition,
    conn: &Connection,
    mut opened: Opened,
    stores: &StoreSettings,
    settings: &Settings,
) -> Result<End, StateError> {
    let mut reserve = Reserve::new(stores.state_dir.clone(), stores.free_bytes_min);
    partition.closing.store(false, Ordering::Relaxed);
    let torn = std::mem::take(&mut opened.torn);
    let ended = sessions(partition, conn, &opened.store, settings, (torn, &mut reserve));
    let is_sound = ended.is_ok();
    if is_sound && let Err(error) = opened.store.flush() {
        tracing::warn!(partition = partition.number, %error, "the store was not flushed: its log has everything");
    }
    fail_point!("shutdown_before_close");
    partition.registry.remove(partition.number);
    partition.closing.store(true, Ordering::Relaxed);
    let directory = opened.close(partition.number, &|| partition.is_stopping());
    if partition.is_stopping() {
        // Damage is found again by whoever opens it next.
        return ended.or(Ok(End::Stopped));
    }
    match ended {
        Err(StateError::Corrupted(why) | StateError::Rebuild(why)) => {
            let aside = set_aside(&directory.store_path())?;
            tracing::error!(partition = partition.number, why, aside = %aside.display(), "the store is set aside and \
                 rebuilt from the changelog");
            Err(StateError::Rebuild(why))
        }
        other => other,
    }
}

/// Session after session, until the partition is to be released. An error means that the store must be closed.
fn sessions(
    partition: &Partition,
    conn: &Connection,
    store: &Arc<DiskStore>,
    settings: &Settings,
    (torn, reserve): (Vec<Vec<u8>>, &mut Reserve),
) -> Result<End, StateError> {
    let mut pause = PAUSE_MIN;
    let mut pending = Pending { rewrite: torn, ..Pending::default() };
    while !partition.is_stopping() {
        let began = Instant::now();
        let broken = match session(partition, conn, store, settings, (&mut pending, reserve)) {
            Ok(end) => return Ok(end),
            Err(broken) => broken,
        };
        let broken = match broken {
            Broken::Kafka(KafkaFailure::Fenced) => return Ok(End::Fenced),
            Broken::State(error) => return Err(error),
            Broken::Kafka(_) => broken,
        };
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
    (pending, reserve): (&mut Pending, &mut Reserve),
) -> Result<End, Broken> {
    // Before anything is claimed: topics that are others than before must not even be read.
    partition.identity.look()?;
    if let Some(refusal) = partition.identity.refusal() {
        return Ok(End::Halted(Halt::new(HaltCause::Topics, refusal)));
    }
    let changelog = partition.names.changelog();
    refuse_stale(conn, (&changelog, partition.number), partition.identity.store_age_max(), store)?;
    let shared: Arc<dyn Store> = Arc::<DiskStore>::clone(store);
    let before = wall();
    let mut session = match begin(partition, conn, shared, settings) {
        Ok(session) => session,
        Err(broken) => return lost(partition, broken).map(End::Halted),
    };
    // What was committed before the claim is in the store now.
    store.note_current(before.0)?;
    session.local.append(&mut pending.local);
    session.rewrite.append(&mut pending.rewrite);
    partition.committed(&session.checkpoint);
    serve(partition, Arc::clone(store), &session.checkpoint);
    let (mut looked_at, mut checked_at) = (Instant::now(), Instant::now());
    while !partition.is_stopping() {
        if let Some(refusal) = partition.identity.refusal() {
            return Ok(End::Halted(Halt::new(HaltCause::Topics, refusal)));
        }
        reserve.check()?;
        if checked_at.elapsed() > CHECK_EVERY {
            checked_at = Instant::now();
            store.check()?;
        }
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
    Ok(End::Stopped)
}

/// A session that could not begin since records are gone that it needs stands still; any other failure is given back.
fn lost(partition: &Partition, broken: Broken) -> Result<Halt, Broken> {
    let Broken::Kafka(failure @ KafkaFailure::Lost { topic, .. }) = &broken else { return Err(broken) };
    // Of a topic that was made again no offset means anything.
    partition.identity.look_again()?;
    if let Some(refusal) = partition.identity.refusal() {
        return Ok(Halt::new(HaltCause::Topics, refusal));
    }
    if *topic == partition.names.changelog() {
        return Ok(Halt::changelog_lost(failure));
    }
    let halt = if partition.inputs.contains(topic) { Halt::input_lost(failure) } else { None };
    halt.ok_or(broken)
}

fn serve(partition: &Partition, store: Arc<DiskStore>, checkpoint: &Checkpoint) {
    let at: Committed = committed(checkpoint);
    tracing::info!(partition = partition.number, sequence = at.sequence, "processing");
    let receiver: watch::Receiver<Committed> = partition.position.subscribe();
    partition.registry.add(OwnedPartition::on_disk(partition.number, store, receiver));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(error: &StateError, rebuilt: &mut Rebuilt) -> Option<HaltCause> {
        reaction(error, rebuilt).map(|halt| halt.cause)
    }

    #[test]
    fn each_error_of_a_store_has_its_reaction() {
        let rebuilt = &mut Rebuilt::default();
        let io = StateError::Io { doing: "writing".into(), source: std::io::Error::from_raw_os_error(5) };
        assert_eq!(cause(&io, rebuilt), None, "a write that failed is never tried again on the same handle");
        assert_eq!(cause(&StateError::Full { doing: "writing".into() }, rebuilt), Some(HaltCause::NoSpace));
        let new = StateError::TooNew { what: "a state directory", found: 2, known: 1 };
        assert_eq!(cause(&new, rebuilt), Some(HaltCause::TooNew));
        let foreign = StateError::Foreign {
            path: "x".into(),
            found: "another's".into(),
            expected: "this one's".into(),
            remedy: "remove it",
        };
        assert_eq!(cause(&foreign, rebuilt), Some(HaltCause::Directory));
    }

    #[test]
    fn a_store_is_rebuilt_a_few_times_and_then_the_rest_is_what_is_damaged() {
        let rebuilt = &mut Rebuilt::default();
        let again = StateError::Rebuild("it was damaged".into());
        let causes: Vec<_> = (0..=REBUILDS_MAX).map(|_| cause(&again, rebuilt)).collect();
        assert_eq!(causes, [None, None, None, Some(HaltCause::Damaged)]);
    }
}
