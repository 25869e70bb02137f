//! Batches decided once more, from the records that they took and from what their batch records say, by the code that
//! decided them. Nothing is produced: what would be sent goes to whoever compares it.

use yardmaster_state::{Batch, BatchRecord, StateError, StoreRead};
use yardmaster_topologies::driver::{BatchInput, Grid};
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::event::{Local, decode_local, encode_local_blanked};
use yardmaster_topologies::time::{Now, ProcessorMs, WallMs};
use yardmaster_topologies::wire::Defaults;

use super::names::Names;
use super::send::{self, Outlet};
use super::step::batch_event;
use super::take::{Reading, Take};
use crate::kafka::{KafkaFailure, Taken};

/// What a batch record says of how its batch was decided.
#[derive(Debug, Clone)]
pub struct LoggedBatch {
    /// The batch record.
    pub record: BatchRecord,
    /// The processor's own events, the secret in them included.
    pub local: Vec<Local>,
}

impl LoggedBatch {
    /// What a record of the changelog says.
    ///
    /// # Errors
    /// When its local events can't be read.
    pub fn of(record: BatchRecord) -> Result<Self, StateError> {
        Ok(Self { local: decode_local(&record.local)?, record })
    }
}

/// What came out.
#[derive(Debug)]
pub struct Replayed {
    /// The rows.
    pub batch: Batch,
    /// The topics that the batch knows to be gone, or lets go: what lay in them can't be looked for.
    pub closed: Vec<String>,
    /// Tasks that were given to a worker.
    pub assigned: u64,
}

/// The processor of one partition, without a clock and without a broker.
pub struct Replay {
    partition: i32,
    partitions: i32,
    names: Names,
    inputs: [String; 2],
    defaults: Defaults,
    grid: Grid,
    take: Take,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Replay").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl Replay {
    /// Goes on behind what a store holds.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn resume(
        names: &Names,
        (partition, partitions): (i32, i32),
        store: &dyn StoreRead,
    ) -> Result<Self, StateError> {
        let settings = Grid::settings(store)?;
        Ok(Self {
            partition,
            partitions,
            names: names.clone(),
            inputs: [names.tasks(), names.status()],
            defaults: settings.as_ref().map(Defaults::from).unwrap_or_default(),
            grid: Grid::resume(store)?,
            take: Take::default(),
        })
    }

    /// Begins a batch: new settings hold for the reading of its records, too.
    pub fn begin(&mut self, logged: &LoggedBatch) {
        self.take = Take::default();
        for event in &logged.local {
            if let Local::Configured(settings) = event {
                self.defaults = Defaults::from(settings.as_ref());
            }
        }
    }

    /// Takes a record, in the order of its topic.
    pub fn take(&mut self, record: Taken) {
        let reading = Reading {
            partition: self.partition,
            partitions: self.partitions,
            topics: &self.inputs,
            defaults: &self.defaults,
        };
        self.take.add(&reading, record);
    }

    /// Decides what was taken. Messages and events go to `outlet` in their order, the copy of the batch record last; then
    /// bad records to `letters`, whose order between the two inputs nobody wrote down.
    ///
    /// # Errors
    /// Whatever the store and the outlets say.
    pub fn decide<E: From<StateError> + From<KafkaFailure>>(
        &mut self,
        store: &dyn StoreRead,
        logged: &LoggedBatch,
        outlet: &mut impl Outlet,
        letters: &mut impl Outlet,
    ) -> Result<Replayed, E> {
        let Take { status, commands, dead, .. } = std::mem::take(&mut self.take);
        let record = &logged.record;
        let now = Now { processor: ProcessorMs(record.at_ms), wall: WallMs(record.wall_ms) };
        // Rows that were written again to mend torn ones say what the store says: they are looked for by who compares.
        let input = BatchInput { local: logged.local.clone(), status, commands, now, rewrite: Vec::new() };
        let decided = self.grid.decide(store, input)?;
        let mut closed: Vec<String> = logged.local.iter().filter_map(|event| self.lost(event)).collect();
        let mut assigned = 0;
        for effect in &decided.effects {
            send::effect(outlet, &self.names, self.partition, effect)?;
            if let Effect::ForgetChannel { pool, worker } = effect {
                closed.push(self.names.channel(pool, worker));
            }
            assigned += u64::from(is_assignment(effect));
        }
        for letter in &dead {
            send::dead_letter(letters, &self.names, self.partition, letter)?;
        }
        let copy = batch_event(self.partition, record, encode_local_blanked(&logged.local));
        send::event_to(outlet, &self.names.events(), Some(self.partition), &copy)?;
        Ok(Replayed { batch: decided.batch, closed, assigned })
    }

    fn lost(&self, event: &Local) -> Option<String> {
        match event {
            Local::ChannelLost { pool, worker } => Some(self.names.channel(pool, worker)),
            Local::ReplyLost { topic } => Some(topic.clone()),
            Local::Configured(_)
            | Local::ChannelReady { .. }
            | Local::ReplyReady { .. }
            | Local::DataLossAccepted { .. } => None,
        }
    }
}

fn is_assignment(effect: &Effect) -> bool {
    matches!(effect, Effect::Send { message: yardmaster_topologies::wire::ToWorker::Assign { .. }, .. })
}
