//! One instance: sees that the topics are there, then follows the placement until it is told to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use yardmaster_state::StateDirectory;

use super::channels::{TopicWork, work};
use super::identity::Identity;
use super::names::Names;
use super::owner::Owner;
use super::registry::Registry;
use super::watchdog::watch;
use crate::config::Config;
use crate::kafka::{Connection, KafkaFailure, Submitter, Topics, check_broker};
use crate::metrics::Metrics;

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

    /// Whether it was told to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
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
