//! One batch: local events, then what workers said, then commands, then what time does, then work is given out. All at
//! one time, over one overlay.

use yardmaster_state::{Batch, StateError, StoreRead, Txn};

use crate::ctx::Ctx;
use crate::dispatch;
use crate::effect::{Effect, Effects};
use crate::event::{Command, Local, Status};
use crate::id::{Pool, RequestId};
use crate::memory::{DueTimes, Memory};
use crate::settings::Settings;
use crate::tables::{HistoryKey, SequencesTable, SettingsTable};
use crate::time::{Now, ProcessorMs, WallMs};
use crate::track::tally::Tally;
use crate::track::windows::{self, Windows};
use crate::wire::Refusal;

/// A command, or one that was refused while it was read.
#[derive(Debug, Clone)]
pub enum CommandInput {
    /// To be carried out.
    Command(Command),
    /// To be answered.
    Refused {
        /// Its pool.
        pool: Pool,
        /// The request that asked.
        request_id: Option<RequestId>,
        /// Why.
        refusal: Refusal,
    },
}

/// What was taken together.
#[derive(Debug, Clone, Default)]
pub struct BatchInput {
    /// The processor's own events; logged in the batch record.
    pub local: Vec<Local>,
    /// In the order of the topic.
    pub status: Vec<Status>,
    /// In the order of the topic.
    pub commands: Vec<CommandInput>,
    /// The one time of all decisions.
    pub now: Now,
    /// Keys whose rows have to be written again as they are: the changelog holds a torn value of them.
    pub rewrite: Vec<Vec<u8>>,
}

/// What was decided.
#[derive(Debug)]
pub struct Decided {
    /// Rows, for the changelog and the store.
    pub batch: Batch,
    /// Everything that leaves the processor and was not handed out early.
    pub effects: Vec<Effect>,
    /// When time alone may change something next; never too late, maybe too early.
    pub due_at: Option<ProcessorMs>,
    /// A limit left something that could go on at once.
    pub more: bool,
}

/// The topology on one partition.
#[derive(Debug, Default)]
pub struct Grid {
    memory: Memory,
}

impl Grid {
    /// Starts over an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts over a store, whatever is in it.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn resume(store: &dyn StoreRead) -> Result<Self, StateError> {
        Ok(Self { memory: Memory::rebuild(store)? })
    }

    /// The settings that decisions depend on; none in a partition that never had a batch: then the first batch has to
    /// bring them as [`Local::Configured`].
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn settings(store: &dyn StoreRead) -> Result<Option<Settings>, StateError> {
        yardmaster_state::read_row::<SettingsTable>(store, &())
    }

    /// When time alone changes something next, before there was a batch.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn due_at(store: &dyn StoreRead) -> Result<Option<ProcessorMs>, StateError> {
        let Some(settings) = Self::settings(store)? else {
            return Ok(None);
        };
        dispatch::next_due(&Txn::new(store), &mut DueTimes::default(), settings.channel_kept)
    }

    /// Decides one batch. The store stays as it is: the caller commits [`Decided::batch`] to it before the next call, or
    /// throws this grid away.
    ///
    /// # Errors
    /// Whatever the store says.
    ///
    /// # Panics
    /// When the partition has no settings and the batch brings none, or an invariant is broken.
    pub fn decide(&mut self, store: &dyn StoreRead, input: BatchInput) -> Result<Decided, StateError> {
        let mut all = Vec::new();
        let mut decided = self.decide_early(store, input, &mut |mut effects| all.append(&mut effects))?;
        all.append(&mut decided.effects);
        decided.effects = all;
        Ok(decided)
    }

    /// As [`Grid::decide`], but effects of a large batch are handed to `early` while the rest is still being decided;
    /// [`Decided::effects`] follow them. Nobody may see any before the commit.
    ///
    /// # Errors
    /// As [`Grid::decide`]; then what was handed out already must not happen.
    ///
    /// # Panics
    /// As [`Grid::decide`].
    pub fn decide_early(
        &mut self,
        store: &dyn StoreRead,
        input: BatchInput,
        early: &mut dyn FnMut(Vec<Effect>),
    ) -> Result<Decided, StateError> {
        let mut txn = Txn::with_hot(store, std::mem::take(&mut self.memory.hot));
        let settings = configured(&mut txn, &input.local)?;
        let before = txn.get::<SequencesTable>(&())?.unwrap_or_default();
        let mut sequences = before;
        let mut ctx = Ctx {
            txn: &mut txn,
            now: input.now,
            settings: &settings,
            memory: &mut self.memory,
            sequences: &mut sequences,
            is_new_hour: is_new_hour(store, input.now)?,
            losses: 0,
            tally: Tally::default(),
            windows: Windows::default(),
            effects: Effects::new(early),
        };
        for key in &input.rewrite {
            ctx.txn.rewrite(key)?;
        }
        let more = run(&mut ctx, input)?;
        let effects = ctx.effects.rest();
        if sequences != before {
            txn.put::<SequencesTable>(&(), &sequences)?;
        }
        let due_at = dispatch::next_due(&txn, &mut self.memory.due, settings.channel_kept)?;
        let (batch, hot) = txn.finish_hot();
        self.memory.hot = hot;
        Ok(Decided { batch, effects, due_at, more })
    }
}

/// The settings of this batch: the newest that it brings, else the partition's.
fn configured(txn: &mut Txn<'_>, local: &[Local]) -> Result<Settings, StateError> {
    let brought = local.iter().rev().find_map(|event| match event {
        Local::Configured(settings) => Some(settings.as_ref().clone()),
        Local::ChannelReady { .. }
        | Local::ChannelLost { .. }
        | Local::ReplyReady { .. }
        | Local::ReplyLost { .. }
        | Local::DataLossAccepted { .. } => None,
    });
    match brought {
        Some(settings) => Ok(settings),
        None => {
            Ok(txn.get::<SettingsTable>(&())?.expect("the first batch of a partition brings its settings"))
        }
    }
}

/// Whether the store's last batch was decided in another hour than this one.
fn is_new_hour(store: &dyn StoreRead, now: Now) -> Result<bool, StateError> {
    let last = store.checkpoint()?.map(|last| HistoryKey::hour_of(WallMs(last.wall_ms)));
    Ok(last != Some(HistoryKey::hour_of(now.wall)))
}

fn run(ctx: &mut Ctx<'_, '_>, input: BatchInput) -> Result<bool, StateError> {
    for local in &input.local {
        dispatch::local(ctx, local)?;
    }
    for status in input.status {
        dispatch::status(ctx, status)?;
    }
    for command in input.commands {
        match command {
            CommandInput::Command(command) => dispatch::command(ctx, command)?,
            CommandInput::Refused { pool, request_id, refusal } => {
                ctx.publish(refusal.into_event(pool, request_id, ctx.now.wall));
            }
        }
    }
    let is_due_left = dispatch::tick(ctx)?;
    let is_work_left = dispatch::give_out(ctx)?;
    ctx.tally.write(ctx.txn)?;
    windows::fold(ctx)?;
    Ok(is_due_left || is_work_left)
}
