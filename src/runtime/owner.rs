//! Follows the placement: a processor for each partition that is owned here, a copy of each that is to be kept warm. Its
//! turns never wait for another thread, or this instance would fall silent and lose everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use yardmaster_state::{BlockCache, NextOffset, fail_point};

use super::announcement::Announcement;
use super::channels::TopicWork;
use super::clock::wall;
use super::fences::{self, Fences};
use super::identity::Identity;
use super::membership::{Membership, Rules};
use super::opened::StoreSettings;
use super::partition::Partition;
use super::processor::Processor;
use super::registry::Committed;
use super::server::Server;
use super::standby::{Copied, Standby};
use crate::kafka::KafkaFailure;

/// How often an instance says that it is there, at least.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(500);

/// A processor that was fenced is started again at most this often, while the placement names this instance.
const CLAIM_AGAIN: Duration = Duration::from_secs(1);

/// How often the placement is looked at.
const TURN_EVERY: Duration = Duration::from_millis(50);

/// How long a claim waits for the old owner to finish its batch.
const HANDOVER: Duration = Duration::from_secs(2);

/// How long an instance that stops goes on until others have taken over.
const PASS_ON_MAX: Duration = Duration::from_secs(4);

/// How long its processors have to stop before it says goodbye all the same.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// What is done here about one partition.
enum Role {
    /// It is processed, since then.
    Active(Processor, Instant),
    /// It is copied.
    Standby(Standby),
}

/// What this instance said of itself last, and when.
struct Said {
    at: Instant,
    partitions: Vec<i32>,
    stopping: bool,
}

/// Follows the placement.
pub(super) struct Owner {
    server: Arc<Server>,
    topics: Sender<TopicWork>,
    identity: Arc<Identity>,
    stores: StoreSettings,
    running: BTreeMap<i32, Role>,
    waiting: BTreeMap<i32, Instant>,
    fences: Fences,
    incarnation: String,
    since_ms: u64,
    said: Option<Said>,
    is_stopping: bool,
}

impl Owner {
    pub(super) fn new(server: Arc<Server>, topics: Sender<TopicWork>, identity: Arc<Identity>) -> Self {
        let stores = StoreSettings {
            state_dir: server.config.state_dir.clone(),
            namespace: server.config.namespace.clone(),
            free_bytes_min: server.config.free_bytes_min,
            cache: BlockCache::new(server.config.store_cache_bytes),
        };
        Self {
            server,
            topics,
            identity,
            stores,
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            fences: Fences::default(),
            incarnation: ulid::Ulid::generate().to_string(),
            since_ms: wall().0,
            said: None,
            is_stopping: false,
        }
    }

    /// Until the server is told to stop.
    pub(super) fn follow(mut self) {
        let mut membership = None;
        while !self.server.is_stopping() {
            if let Err(error) = self.turn(&mut membership) {
                tracing::warn!(%error, "the placement can't be followed: what is owned goes on, but no partition moves until the \
                     broker answers; trying again");
                // What is out of reach for a while may be read on later; anything else begins anew.
                if !matches!(error, KafkaFailure::Unreachable(_)) {
                    membership = None;
                }
            }
            thread::sleep(TURN_EVERY);
        }
        self.pass_on(&mut membership);
        self.leave(membership.as_ref());
    }

    fn turn(&mut self, membership: &mut Option<Membership>) -> Result<(), KafkaFailure> {
        let membership = match membership {
            Some(membership) => membership,
            None => membership.insert(self.open()?),
        };
        self.announce(membership)?;
        for (wish, asker) in self.server.registry.cluster().take_wishes() {
            let outcome = membership.wish(&wish).map_err(|error| error.to_string());
            // Whoever asked may have given up.
            drop(asker.send(outcome));
        }
        membership.observe()?;
        let registry = &self.server.registry;
        registry.place_elsewhere(membership.elsewhere());
        registry.standbys().place_elsewhere(membership.kept_elsewhere());
        registry.cluster().show(membership.view());
        self.act(membership)
    }

    fn open(&self) -> Result<Membership, KafkaFailure> {
        let (server, config) = (&self.server, &self.server.config);
        let rules = Rules {
            id: config.instance_id.clone(),
            incarnation: self.incarnation.clone(),
            partitions: config.partitions,
            replicas: config.standby_replicas,
            timeout: config.instance_timeout,
        };
        Membership::open(&server.connection, &server.names, Arc::clone(&server.submitter), rules)
    }

    /// Says that this instance is there, now and then, and at once when it serves something else: others wait for that.
    fn announce(&mut self, membership: &Membership) -> Result<(), KafkaFailure> {
        let announcement = self.announcement(false);
        let is_due = self.said.as_ref().is_none_or(|said| {
            said.at.elapsed() >= ANNOUNCE_EVERY
                || said.partitions != announcement.partitions
                || said.stopping != announcement.stopping
        });
        if is_due {
            membership.announce(&announcement)?;
            let Announcement { partitions, stopping, .. } = announcement;
            self.said = Some(Said { at: Instant::now(), partitions, stopping });
        }
        Ok(())
    }

    fn announcement(&self, leaving: bool) -> Announcement {
        let config = &self.server.config;
        let copy = |(partition, role): (&i32, &Role)| match role {
            Role::Standby(standby) => Some((*partition, standby.progress()?)),
            Role::Active(..) => None,
        };
        Announcement {
            v: 1,
            instance: config.instance_id.clone(),
            incarnation: self.incarnation.clone(),
            url: config.http_advertise.clone(),
            rack: config.instance_rack.clone(),
            since_ms: self.since_ms,
            // Not those that are still restored: nobody could ask for them here.
            partitions: self.server.registry.owned().iter().map(|owned| owned.partition).collect(),
            standbys: self.running.iter().filter_map(copy).collect(),
            stopping: self.is_stopping,
            leaving,
        }
    }

    /// Starts and stops processors and copies until they match the placement.
    fn act(&mut self, membership: &mut Membership) -> Result<(), KafkaFailure> {
        let (own, kept) = (membership.own(), membership.kept());
        self.release(&own, &kept);
        if self.has_lost(&own) {
            // Who was fenced may be behind: only what the end of the placement says counts.
            membership.read_to_end()?;
        }
        let own = membership.own();
        self.bury(&own, membership);
        self.fences.placed(&own);
        self.waiting.retain(|partition, _| own.contains(partition));
        for partition in &own {
            self.claim(*partition, membership);
        }
        for partition in kept.difference(&own) {
            // Who is about to stop begins nothing any more.
            if !self.is_stopping && !self.running.contains_key(partition) {
                self.copy(*partition);
            }
        }
        Ok(())
    }

    /// Asks to stop whatever the placement does not name any more.
    fn release(&self, own: &BTreeSet<i32>, kept: &BTreeSet<i32>) {
        for (partition, role) in &self.running {
            match role {
                Role::Active(processor, _) if !own.contains(partition) => processor.ask_to_stop(),
                Role::Standby(standby) if !own.contains(partition) && !kept.contains(partition) => {
                    standby.ask_to_stop();
                }
                Role::Active(..) | Role::Standby(_) => {}
            }
        }
    }

    fn has_lost(&self, own: &BTreeSet<i32>) -> bool {
        self.running.iter().any(|(partition, role)| own.contains(partition) && has_fallen(role))
    }

    /// Takes away what has ended. Only that: to wait for the others would silence this instance.
    fn bury(&mut self, own: &BTreeSet<i32>, membership: &Membership) {
        let is_over = |(partition, role): &(&i32, &Role)| match role {
            Role::Active(processor, _) if !own.contains(partition) => processor.is_over(),
            Role::Active(..) => has_fallen(role),
            // A copy that has given up by itself stays: it would only fail again.
            Role::Standby(standby) => standby.is_over() && standby.is_told(),
        };
        let over: Vec<i32> = self.running.iter().filter(is_over).map(|(partition, _)| *partition).collect();
        for partition in over {
            match self.running.remove(&partition) {
                Some(Role::Active(processor, _)) => {
                    let was_fenced = processor.was_fenced() && own.contains(&partition);
                    processor.join();
                    if was_fenced {
                        self.meet_fence(partition, membership);
                    }
                }
                Some(Role::Standby(standby)) => close(standby),
                None => {}
            }
        }
    }

    /// Two living processes must not take a partition from each other for ever.
    fn meet_fence(&mut self, partition: i32, membership: &Membership) {
        if !self.fences.met(partition, Instant::now()) {
            let id = self.server.names.transactional_id(partition);
            let claimant = membership.claimant(partition);
            tracing::error!(partition, "{}", fences::words(&id, membership.epoch(), claimant.as_deref()));
        }
    }

    /// Claims a partition, once nobody else serves it; until then its copy is followed on.
    fn claim(&mut self, partition: i32, membership: &Membership) {
        if matches!(self.running.get(&partition), Some(Role::Active(..))) || self.fences.is_left(partition) {
            return;
        }
        let since = *self.waiting.entry(partition).or_insert_with(Instant::now);
        if membership.is_served_elsewhere(partition) && since.elapsed() < HANDOVER {
            return;
        }
        self.waiting.remove(&partition);
        let standby = match self.running.remove(&partition) {
            Some(Role::Standby(standby)) => Some(standby),
            Some(Role::Active(..)) | None => None,
        };
        self.start(partition, membership.epoch(), standby);
    }

    fn start(&mut self, number: i32, epoch: u64, standby: Option<Standby>) {
        let server = &self.server;
        let (local_sender, local) = channel();
        let zero = NextOffset(0);
        let (position, _) = watch::channel(Committed { tasks: zero, status: zero, sequence: 0, at_ms: 0 });
        let partition = Arc::new(Partition {
            number,
            partitions: server.config.partitions,
            inputs: [server.names.tasks(), server.names.status()],
            names: server.names.clone(),
            records_max: server.config.batch_records_max,
            bytes_max: server.config.batch_bytes_max,
            lease: server.config.settings.lease,
            registry: Arc::clone(&server.registry),
            metrics: Arc::clone(&server.metrics),
            submitter: Arc::clone(&server.submitter),
            topics: self.topics.clone(),
            local_sender,
            local: Mutex::new(local),
            position,
            epoch: AtomicU64::new(epoch),
            stop: Arc::new(AtomicBool::new(false)),
            closing: Arc::new(AtomicBool::new(false)),
            identity: Arc::clone(&self.identity),
        });
        let settings = server.config.settings.clone();
        let conn = server.connection.clone();
        match Processor::start(partition, conn, self.stores.clone(), settings, standby) {
            Ok(processor) => {
                self.running.insert(number, Role::Active(processor, Instant::now()));
            }
            Err(error) => tracing::error!(partition = number, %error, "no thread for the processor"),
        }
    }

    fn copy(&mut self, number: i32) {
        let server = &self.server;
        let copied = Copied {
            number,
            partitions: server.config.partitions,
            names: server.names.clone(),
            conn: server.connection.clone(),
            stores: self.stores.clone(),
            registry: Arc::clone(&server.registry),
            metrics: Arc::clone(&server.metrics),
            identity: Arc::clone(&self.identity),
        };
        match Standby::start(copied) {
            Ok(standby) => {
                self.running.insert(number, Role::Standby(standby));
            }
            Err(error) => tracing::error!(partition = number, %error, "no thread for the copy"),
        }
    }

    fn is_active(&self) -> bool {
        self.running.values().any(|role| matches!(role, Role::Active(processor, _) if !processor.is_over()))
    }

    /// Asks others to take over and serves until they have, for a while.
    fn pass_on(&mut self, membership: &mut Option<Membership>) {
        let deadline = Instant::now() + PASS_ON_MAX;
        self.is_stopping = true;
        while Instant::now() < deadline
            && self.is_active()
            && membership.as_ref().is_some_and(Membership::has_heirs)
        {
            if let Err(error) = self.turn(membership) {
                tracing::warn!(%error, "nobody can be asked to take over");
                return;
            }
            thread::sleep(TURN_EVERY);
        }
    }

    /// Stops every processor after its batch, then says goodbye, so that others take over at once what is left.
    fn leave(mut self, membership: Option<&Membership>) {
        for role in self.running.values() {
            match role {
                Role::Active(processor, _) => processor.ask_to_stop(),
                Role::Standby(standby) => standby.ask_to_stop(),
            }
        }
        let deadline = Instant::now() + LEAVE_MAX;
        while self.is_active() && Instant::now() < deadline {
            thread::sleep(TURN_EVERY);
        }
        match membership.map(|membership| membership.announce(&self.announcement(true))) {
            Some(Ok(())) => {
                fail_point!("after_release_announced");
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "could not say goodbye: others take over after instance.timeout");
            }
            None => {}
        }
        for role in std::mem::take(&mut self.running).into_values() {
            match role {
                Role::Active(processor, _) => processor.join(),
                Role::Standby(standby) => drop(standby.hand_over()),
            }
        }
    }
}

/// Whether a processor has ended by itself, long enough ago to be started again.
fn has_fallen(role: &Role) -> bool {
    matches!(role, Role::Active(processor, began) if processor.is_over() && began.elapsed() > CLAIM_AGAIN)
}

/// Closing a store may take a while.
fn close(standby: Standby) {
    let closing = thread::Builder::new().name("store-close".to_owned()).spawn(|| drop(standby.hand_over()));
    if let Err(error) = closing {
        tracing::warn!(%error, "a copy's store was closed in place");
    }
}
