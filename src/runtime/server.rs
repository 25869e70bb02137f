//! One instance: sees that the topics are there, follows the placement, and runs a processor for each partition that it
//! owns.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use yardmaster_state::{BlockCache, NextOffset, StateDirectory, fail_point};

use super::channels::{TopicWork, work};
use super::fences::{self, Fences};
use super::identity::Identity;
use super::membership::{ANNOUNCE_EVERY, Announcement, Membership};
use super::names::Names;
use super::partition::Partition;
use super::processor::{Processor, StoreSettings};
use super::registry::{Committed, Registry};
use super::watchdog::watch;
use crate::config::Config;
use crate::kafka::{Connection, KafkaFailure, Submitter, Topics, check_broker};
use crate::metrics::Metrics;

/// A processor that was fenced is started again at most this often, while the placement names this instance.
const CLAIM_AGAIN: Duration = Duration::from_secs(1);

/// How often the placement is looked at.
const TURN_EVERY: Duration = Duration::from_millis(100);

/// How long a claim waits for the old owner to finish its batch.
const HANDOVER: Duration = Duration::from_secs(2);

/// What HTTP, metrics and the CLI need of a running instance.
pub struct Server {
    /// Its configuration.
    pub config: Config,
    /// The topics' names.
    pub names: Names,
    /// How to reach Kafka.
    pub connection: Connection,
    /// What it owns.
    pub registry: Arc<Registry>,
    /// Sends commands.
    pub submitter: Arc<Submitter>,
    /// Its figures.
    pub metrics: Arc<Metrics>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Checks the topics and starts to follow the placement. Blocks while Kafka is asked; partitions are claimed in the
    /// background.
    ///
    /// # Errors
    /// When Kafka can't be reached, or a topic is not as it must be: the message says what to do.
    pub fn start(config: Config) -> Result<Arc<Self>, KafkaFailure> {
        StateDirectory::probe(&config.state_dir).map_err(|error| {
            KafkaFailure::Fatal(format!(
                "state_dir can't hold state: {error}. It must be a directory on a disk that this user may write on"
            ))
        })?;
        let connection = config.connection();
        let names = Names::new(&config.namespace);
        check_broker(&connection)?.iter().for_each(|warning| tracing::warn!("{warning}"));
        let topics = Topics::new(&connection)?;
        for found in topics.ensure(&names.wanted(config.partitions, config.replication))? {
            if found.created {
                tracing::info!(topic = found.name, "created");
            }
        }
        let identity = Identity::open(&connection, &names, &config)?;
        let submitter = Arc::new(Submitter::new(&connection, &names.tasks(), config.partitions)?);
        let server = Arc::new(Self {
            registry: Arc::new(Registry::new(config.partitions)),
            metrics: Arc::new(Metrics::new()),
            stop: Arc::new(AtomicBool::new(false)),
            thread: Mutex::new(None),
            config,
            names,
            connection,
            submitter,
        });
        let (sender, queue) = channel::<TopicWork>();
        let names = server.names.clone();
        let stop = Arc::clone(&server.stop);
        spawn("watchdog", move || watch(&stop))?;
        spawn("topics", move || work(&topics, &names, &queue))?;
        let (watched, stop) = (Arc::clone(&identity), Arc::clone(&server.stop));
        spawn("identity", move || watched.watch(&stop))?;
        let shared = Arc::clone(&server);
        let thread = spawn("placement", move || Owner::new(shared, sender, identity).follow())?;
        *server.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(thread);
        Ok(server)
    }

    /// Asks everything to stop and waits, at most `patience`. Returns whether all of it has stopped.
    pub fn stop(&self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(thread) = thread else { return true };
        let deadline = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        thread.is_finished() && thread.join().is_ok()
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, KafkaFailure> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(body);
    thread.map_err(|error| KafkaFailure::Fatal(format!("starting a thread: {error}")))
}

/// Follows the placement with processors.
struct Owner {
    server: Arc<Server>,
    topics: Sender<TopicWork>,
    identity: Arc<Identity>,
    stores: StoreSettings,
    running: BTreeMap<i32, (Processor, Instant)>,
    waiting: BTreeMap<i32, Instant>,
    fences: Fences,
    incarnation: String,
    announced_at: Option<Instant>,
}

impl Owner {
    fn new(server: Arc<Server>, topics: Sender<TopicWork>, identity: Arc<Identity>) -> Self {
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
            announced_at: None,
        }
    }

    fn follow(mut self) {
        let mut membership = None;
        while !self.server.stop.load(Ordering::Relaxed) {
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
        self.leave(membership.as_ref());
    }

    fn turn(&mut self, membership: &mut Option<Membership>) -> Result<(), KafkaFailure> {
        let config = &self.server.config;
        let membership = match membership {
            Some(membership) => membership,
            None => {
                let server = &self.server;
                let who = (config.instance_id.as_str(), self.incarnation.as_str());
                let rules = (config.partitions, config.instance_timeout);
                let submitter = Arc::clone(&server.submitter);
                membership.insert(Membership::open(&server.connection, &server.names, submitter, who, rules)?)
            }
        };
        if self.announced_at.is_none_or(|at| at.elapsed() >= ANNOUNCE_EVERY) {
            membership.announce(&self.announcement(false))?;
            self.announced_at = Some(Instant::now());
        }
        membership.observe()?;
        self.server.registry.place_elsewhere(membership.elsewhere());
        self.claim(membership);
        Ok(())
    }

    fn announcement(&self, leaving: bool) -> Announcement {
        Announcement {
            v: 1,
            instance: self.server.config.instance_id.clone(),
            incarnation: self.incarnation.clone(),
            url: self.server.config.http_advertise.clone(),
            // Not those that are still restored: nobody could ask for them here.
            partitions: self.server.registry.owned().iter().map(|owned| owned.partition).collect(),
            leaving,
        }
    }

    /// Starts and stops processors until they match the placement.
    fn claim(&mut self, membership: &Membership) {
        let own = membership.own();
        for (partition, (processor, _)) in &self.running {
            if !own.contains(partition) {
                processor.ask_to_stop();
            }
        }
        // Only those that have ended: to wait for the others would silence this instance.
        let is_over =
            |(processor, began): &(Processor, Instant)| processor.is_over() && began.elapsed() > CLAIM_AGAIN;
        let over: Vec<i32> =
            self.running.iter().filter(|(_, it)| is_over(it)).map(|(partition, _)| *partition).collect();
        for partition in over {
            if let Some((processor, _)) = self.running.remove(&partition) {
                let was_fenced = processor.was_fenced() && own.contains(&partition);
                processor.join();
                if was_fenced {
                    self.meet_fence(partition, membership);
                }
            }
        }
        self.fences.placed(&own);
        self.waiting.retain(|partition, _| own.contains(partition));
        for partition in own {
            if self.running.contains_key(&partition) || self.fences.is_left(partition) {
                continue;
            }
            let since = *self.waiting.entry(partition).or_insert_with(Instant::now);
            if membership.is_served_elsewhere(partition) && since.elapsed() < HANDOVER {
                continue;
            }
            self.waiting.remove(&partition);
            self.start(partition, membership.epoch());
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

    fn start(&mut self, number: i32, epoch: u64) {
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
        match Processor::start(partition, server.connection.clone(), self.stores.clone(), settings) {
            Ok(processor) => {
                self.running.insert(number, (processor, Instant::now()));
            }
            Err(error) => tracing::error!(partition = number, %error, "no thread for the processor"),
        }
    }

    /// Stops every processor after its batch, then says goodbye, so that others take over at once.
    fn leave(mut self, membership: Option<&Membership>) {
        for (processor, _) in self.running.values() {
            processor.ask_to_stop();
        }
        for (processor, _) in std::mem::take(&mut self.running).into_values() {
            processor.join();
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
    }
}
