//! Requests that wait for what is decided about their commands: each is told by its own bounded channel, after the
//! commit, so that nothing of another request can push its answer out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{self, Receiver, Sender};
use yardmaster_topologies::driver::CommandInput;
use yardmaster_topologies::effect::Effect;
use yardmaster_topologies::id::{Pool, RequestId};
use yardmaster_topologies::wire::Event;

/// Decisions that a request may get beyond one for each of its commands: a record that arrived twice is decided twice.
const SPARE: usize = 4;

/// What one committed batch decided about the commands of one request in one pool.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The pool.
    pub pool: Pool,
    /// How many of its commands were in the batch.
    pub commands: usize,
    /// `Accepted` and `Refused`, in their order. No refusal in here means that the commands are applied.
    pub events: Vec<Event>,
}

/// The commands of a batch that somebody waits for.
#[derive(Debug, Default)]
pub struct Asked(BTreeMap<(RequestId, Pool), usize>);

type Senders = Arc<Mutex<BTreeMap<RequestId, Sender<Decision>>>>;

/// Who waits.
#[derive(Debug, Default)]
pub(super) struct Waiters(Senders);

/// The waiting end of a request; nobody waits any more once it is dropped.
#[derive(Debug)]
pub struct Waiter {
    id: RequestId,
    receiver: Receiver<Decision>,
    senders: Senders,
}

impl Waiters {
    /// Waits for the decisions about so many commands. To be called before the first of them is sent.
    pub(super) fn wait_for(&self, id: RequestId, commands: usize) -> Waiter {
        let (sender, receiver) = mpsc::channel(commands + SPARE);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), sender);
        Waiter { id, receiver, senders: Arc::clone(&self.0) }
    }

    /// Those of a batch's commands that somebody waits for.
    pub(super) fn asked(&self, commands: &[CommandInput]) -> Asked {
        let senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked = BTreeMap::new();
        if senders.is_empty() {
            return Asked(asked);
        }
        for command in commands {
            let (pool, id) = match command {
                CommandInput::Command(command) => (&command.pool, command.request_id.as_ref()),
                CommandInput::Refused { pool, request_id, .. } => (pool, request_id.as_ref()),
            };
            if let Some(id) = id.filter(|id| senders.contains_key(*id)) {
                *asked.entry((id.clone(), pool.clone())).or_default() += 1;
            }
        }
        Asked(asked)
    }

    /// Tells who waits what the batch decided. To be called after its commit, and only then.
    pub(super) fn answer<'e>(&self, asked: Asked, effects: impl IntoIterator<Item = &'e Effect>) {
        if asked.0.is_empty() {
            return;
        }
        let requests: BTreeSet<&RequestId> = asked.0.keys().map(|(id, _)| id).collect();
        let mut events: BTreeMap<(RequestId, Pool), Vec<Event>> = BTreeMap::new();
        for effect in effects {
            if let Effect::Publish { event } = effect
                && let Some(id) = request_of(event).filter(|id| requests.contains(id))
                && let Some(pool) = event.pool()
            {
                events.entry((id.clone(), pool.clone())).or_default().push(event.clone());
            }
        }
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, commands) in asked.0 {
            let events = events.remove(&key).unwrap_or_default();
            let (id, pool) = key;
            let decision = Decision { pool, commands, events };
            // A channel that is full is closed: its request is undecided at once instead of waiting in vain.
            if senders.get(&id).is_some_and(|sender| sender.try_send(decision).is_err()) {
                senders.remove(&id);
            }
        }
    }

    /// How many requests wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Waiter {
    /// The next decision; none when there will be no more.
    pub async fn next(&mut self) -> Option<Decision> {
        self.receiver.recv().await
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

fn request_of(event: &Event) -> Option<&RequestId> {
    match event {
        Event::Accepted { request_id, .. } | Event::Refused { request_id, .. } => request_id.as_ref(),
        Event::Assigned { .. }
        | Event::Started { .. }
        | Event::Progress { .. }
        | Event::AttemptClosed { .. }
        | Event::Ended { .. }
        | Event::State { .. }
        | Event::WorkerJoined(_)
        | Event::WorkerLost(_)
        | Event::WorkerLeft(_)
        | Event::WorkerDrained(_)
        | Event::WorkerUndrained(_)
        | Event::Batch { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use yardmaster_topologies::event::{Action, Command};
    use yardmaster_topologies::id::WorkerName;

    use super::*;

    fn drain(request: &str, pool: &str) -> CommandInput {
        let worker = WorkerName::parse("w").unwrap();
        let request_id = Some(RequestId::trusted(request));
        let action = Action::Drain { worker };
        CommandInput::Command(Command { pool: Pool::parse(pool).unwrap(), request_id, action })
    }

    #[tokio::test]
    async fn only_who_asked_is_told_and_by_pool() {
        let waiters = Waiters::default();
        let mut waiter = waiters.wait_for(RequestId::trusted("r-1"), 3);
        let asked =
            waiters.asked(&[drain("r-1", "a"), drain("r-2", "a"), drain("r-1", "b"), drain("r-1", "a")]);
        waiters.answer(asked, &[]);
        let told = [waiter.next().await.unwrap(), waiter.next().await.unwrap()];
        let told: Vec<_> = told.iter().map(|told| (told.pool.as_str(), told.commands)).collect();
        assert_eq!(told, [("a", 2), ("b", 1)]);
        drop(waiter);
        assert_eq!(waiters.len(), 0);
        assert!(waiters.asked(&[drain("r-1", "a")]).0.is_empty());
    }

    #[tokio::test]
    async fn whoever_is_told_more_than_fits_is_let_go() {
        let waiters = Waiters::default();
        let mut waiter = waiters.wait_for(RequestId::trusted("r-1"), 1);
        for _ in 0..=1 + SPARE {
            waiters.answer(waiters.asked(&[drain("r-1", "a")]), &[]);
        }
        let mut told = 0;
        while waiter.next().await.is_some() {
            told += 1;
        }
        assert_eq!(told, 1 + SPARE);
    }
}
