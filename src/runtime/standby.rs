//! The thread of one copy: follows the changelog, and the history in `events`, of a partition that another instance owns,
//! so that this one could take over in no time. It only reads Kafka: the owner does not know of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use yardmaster_state::{DiskStore, NextOffset, Restore, StateError, Store};
use yardmaster_topologies::tables::GridSchema;
use yardmaster_topologies::time::WallMs;

use super::age::refuse_stale;
use super::announcement::Progress;
use super::clock::wall;
use super::history::{Events, Followed};
use super::identity::Identity;
use super::names::Names;
use super::opened::{Opened, StoreSettings};
use super::registry::Registry;
use super::standbys::{Behind, StandbyPartition};
use super::step::Broken;
use crate::kafka::{Connection, KafkaFailure, Source, high_watermark};
use crate::metrics::Metrics;

/// The longest wait for a record: a copy that is to take over stops within it.
const WAIT_MAX: Duration = Duration::from_millis(20);
/// What comes without a pause is written at least so often.
const WRITE_EVERY: Duration = Duration::from_millis(100);
/// Pauses after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A copy that has to be rebuilt more often is given up: what is damaged lies elsewhere.
const REBUILDS_MAX: u32 = 3;
/// How often it is noted that the copy is current.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// Keys of torn rows that are remembered.
const TORN_MAX: usize = 10_000;
/// The inputs of a copy, in the order in which they are read.
const CHANGELOG: usize = 0;

/// What a copy is made of.
pub(super) struct Copied {
    pub(super) number: i32,
    pub(super) partitions: i32,
    pub(super) names: Names,
    pub(super) conn: Connection,
    pub(super) stores: StoreSettings,
    pub(super) registry: Arc<Registry>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) identity: Arc<Identity>,
}

/// A copy that is followed.
pub(super) struct Standby {
    stop: Arc<AtomicBool>,
    progress: Arc<Mutex<Option<Progress>>>,
    thread: Option<JoinHandle<Option<Opened>>>,
}

impl Standby {
    /// Starts to follow.
    pub(super) fn start(copied: Copied) -> std::io::Result<Self> {
        let (stop, progress) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Option<Progress>>>::default());
        let copy = Copy { copied, stop: Arc::clone(&stop), progress: Arc::clone(&progress) };
        let name = format!("standby-{}", copy.copied.number);
        let thread = thread::Builder::new().name(name).spawn(move || copy.run())?;
        Ok(Self { stop, progress, thread: Some(thread) })
    }

    /// How far it is; none while that is not known.
    pub(super) fn progress(&self) -> Option<Progress> {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the thread to stop at a batch's border.
    pub(super) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    pub(super) fn is_told(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether the thread has ended.
    pub(super) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops it and takes what it has opened, to go on with. Waits for the thread.
    pub(super) fn hand_over(mut self) -> Option<Opened> {
        self.ask_to_stop();
        self.thread.take().and_then(|thread| thread.join().ok()).flatten()
    }
}

impl Drop for Standby {
    /// A copy that nobody holds any more closes what it has opened by itself.
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

/// The thread's own.
struct Copy {
    copied: Copied,
    stop: Arc<AtomicBool>,
    progress: Arc<Mutex<Option<Progress>>>,
}

impl Copy {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn run(self) -> Option<Opened> {
        let (partition, mut pause, mut rebuilds) = (self.copied.number, PAUSE_MIN, 0);
        let (mut opened, own_pid): (Option<Opened>, String) = (None, std::process::id().to_string());
        while !self.is_stopping() {
            let at_hand = opened.take().map_or_else(|| self.open(), Ok);
            let followed = match at_hand {
                Ok(mut at_hand) => {
                    let followed = self.follow(&mut at_hand);
                    self.forget();
                    opened = Some(at_hand);
                    followed
                }
                Err(error) => Err(error.into()),
            };
            match followed {
                Ok(()) => return opened,
                // The processor that was here before has not closed it yet.
                Err(Broken::State(StateError::Locked { pid, .. })) if pid == own_pid => {
                    thread::sleep(PAUSE_MIN);
                    continue;
                }
                Err(broken) if needs_rebuild(&broken) => {
                    rebuilds += 1;
                    let aside = opened.take().map(|opened| {
                        opened.set_aside(partition, &broken.to_string(), &|| self.is_stopping())
                    });
                    if let Some(Err(error)) = aside {
                        tracing::warn!(partition, %error, "the copy can't be set aside");
                    }
                    if rebuilds > REBUILDS_MAX {
                        tracing::error!(
                            partition,
                            "the copy is given up: it was rebuilt from the changelog and still can't be \
                             continued, so the changelog itself is damaged. Its owner goes on"
                        );
                        return None;
                    }
                }
                Err(broken) => {
                    tracing::warn!(partition, error = %broken, "the copy can't be followed, trying again; its owner is not \
                         concerned");
                    if matches!(broken, Broken::State(_)) {
                        // After a failed write the store must be opened again.
                        opened = None;
                    }
                }
            }
            self.pause(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
        opened
    }

    fn open(&self) -> Result<Opened, StateError> {
        let Copied { number, partitions, identity, stores, .. } = &self.copied;
        Opened::open(*number, *partitions, identity, stores)
    }

    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.is_stopping() {
            thread::sleep(WAIT_MAX);
        }
    }

    fn forget(&self) {
        self.copied.registry.standbys().remove(self.copied.number);
        self.copied.metrics.forget(self.copied.number);
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Follows until it is told to stop.
    fn follow(&self, opened: &mut Opened) -> Result<(), Broken> {
        let store: Arc<dyn Store> = Arc::<DiskStore>::clone(&opened.store);
        let (copied, topic) = (&self.copied, self.copied.names.changelog());
        refuse_stale(&copied.conn, (&topic, copied.number), copied.identity.store_age_max(), &opened.store)?;
        let asked_at = wall();
        let (first, end) = high_watermark(&copied.conn, &topic, copied.number)?;
        let known = store.checkpoint()?;
        let next = known.as_ref().map_or(0, |checkpoint| checkpoint.changelog.0);
        if next > end || next < first {
            // The log was cut, at its end or at its beginning. What is here may be all that is left of it, and a copy that begins
            // anew would lack the rows that are gone: a person has to know.
            let (partition, wanted, last) = (copied.number, next, end);
            return Err(KafkaFailure::Lost { topic, partition, wanted, first, last }.into());
        }
        let (sequence, wall_ms) =
            known.as_ref().map_or((0, 0), |checkpoint| (checkpoint.sequence, checkpoint.wall_ms));
        let behind = Behind { next: NextOffset(next), end: NextOffset(end), sequence, wall_ms };
        let restore = Restore::new(&GridSchema, store.as_ref(), known, NextOffset(end))?;
        let (conn, metrics) = (copied.conn.clone(), Arc::clone(&copied.metrics));
        let (events_topic, ends) = (copied.names.events(), [Arc::clone(&self.stop), Arc::clone(&self.stop)]);
        let events = Events { conn, topic: events_topic, partition: copied.number, ends, metrics };
        let history = Followed::begin(&events, &store)?;
        let topics = [topic, events.topic.clone()];
        let from = [next.max(first), history.next().0];
        let source = Source::open(&copied.conn, topics, copied.number, from, Arc::new(|_| {}))?;
        tracing::info!(partition = copied.number, next, end, "following as a standby");
        let (behind, _) = watch::channel(behind);
        let mut following = Following {
            copy: self,
            store: &opened.store,
            restore,
            history,
            source,
            behind,
            end,
            goal: Goal { end, asked_at },
            noted_at: WallMs(0),
            looked_at: Instant::now(),
            is_shown: false,
        };
        following.run()?;
        let report = following.restore.leave()?;
        let known = report.torn.into_iter().map(|row| row.key);
        opened.torn.extend(known);
        opened.torn.truncate(TORN_MAX);
        Ok(())
    }
}

/// Where the changelog ended at some time.
struct Goal {
    end: i64,
    asked_at: WallMs,
}

/// Whether a store can't be continued.
fn needs_rebuild(broken: &Broken) -> bool {
    matches!(broken, Broken::State(StateError::Rebuild(_) | StateError::Corrupted(_)))
}

/// A copy while it is being followed.
struct Following<'c> {
    copy: &'c Copy,
    store: &'c Arc<DiskStore>,
    restore: Restore<'c>,
    history: Followed<'c>,
    source: Source,
    behind: watch::Sender<Behind>,
    /// Where the changelog ended when this began.
    end: i64,
    /// When it gets there, it was current then.
    goal: Goal,
    noted_at: WallMs,
    looked_at: Instant,
    /// Readers may have it: it has everything that there was at its beginning.
    is_shown: bool,
}

impl Following<'_> {
    fn run(&mut self) -> Result<(), Broken> {
        let mut written_at = Instant::now();
        self.show()?;
        while !self.copy.is_stopping() {
            let taken = match self.source.poll(WAIT_MAX) {
                // The client looks for the broker by itself; until then the copy is what it is.
                Err(KafkaFailure::Unreachable(_)) => None,
                polled => polled?,
            };
            let is_dry = taken.is_none();
            if let Some(taken) = taken {
                let value = taken.value.as_deref();
                if taken.input == CHANGELOG {
                    self.restore.feed(taken.offset, taken.key.as_deref().unwrap_or_default(), value)?;
                } else {
                    self.history.take(taken.offset, value)?;
                }
            }
            if is_dry || written_at.elapsed() >= WRITE_EVERY {
                self.restore.position(self.position())?;
                self.history.write()?;
                self.show()?;
                self.note_current()?;
                written_at = Instant::now();
            }
        }
        self.history.write()?;
        Ok(())
    }

    /// The next offset of the changelog.
    fn position(&self) -> NextOffset {
        NextOffset(self.source.position(CHANGELOG).unwrap_or_default())
    }

    /// Notes how old what is here may be at most: by that it is judged when it is opened again.
    fn note_current(&mut self) -> Result<(), Broken> {
        if self.position().0 < self.goal.end {
            return Ok(());
        }
        if self.goal.asked_at > self.noted_at {
            self.store.note_current(self.goal.asked_at.0)?;
            self.noted_at = self.goal.asked_at;
        }
        if self.looked_at.elapsed() < NOTE_EVERY {
            return Ok(());
        }
        self.looked_at = Instant::now();
        let (asked_at, copied) = (wall(), &self.copy.copied);
        match high_watermark(&copied.conn, &copied.names.changelog(), copied.number) {
            Ok((_, end)) => self.goal = Goal { end, asked_at },
            Err(KafkaFailure::Unreachable(_)) => {}
            Err(other) => return Err(other.into()),
        }
        Ok(())
    }

    /// Says how far it is.
    fn show(&mut self) -> Result<(), Broken> {
        let next = self.position();
        let end = NextOffset(self.source.end(CHANGELOG).unwrap_or(self.end).max(next.0).max(self.end));
        let progress = Progress { next, end };
        *self.copy.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        let last = self.restore.report().last.as_ref();
        let before = *self.behind.borrow();
        let (sequence, wall_ms) =
            last.map_or((before.sequence, before.wall_ms), |batch| (batch.sequence, batch.wall_ms));
        let now = Behind { next, end, sequence, wall_ms };
        if now != before {
            self.behind.send_replace(now);
        }
        if !self.is_shown && next.0 >= self.end {
            self.is_shown = true;
            self.restore.check_whole()?;
            self.add();
        }
        Ok(())
    }

    /// From now on readers find it.
    fn add(&self) {
        let copied = &self.copy.copied;
        let store: Arc<dyn Store> = Arc::<DiskStore>::clone(self.store);
        let behind = self.behind.subscribe();
        copied.registry.standbys().add(StandbyPartition { partition: copied.number, store, behind });
        let records = self.restore.report().records_read;
        tracing::info!(partition = copied.number, records, "the copy has caught up");
    }
}
