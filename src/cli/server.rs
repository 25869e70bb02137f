//! `yardmaster server`: the processors of a namespace and their HTTP endpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::watch;

use super::exit;
use super::failure::{Failure, Outcome};
use super::restore_bar::RestoreBar;
use super::signals::EndOrders;
use crate::config::Config;
use crate::http;
use crate::kafka::open_calls;
use crate::logs;
use crate::runtime::{DataLoss, Server};
use crate::trace;

/// A graceful stop ends what is open, commits and hands over; all of it together must not take longer than 10 s, whatever
/// hangs. What does not end by itself is given up here.
const STOP_PATIENCE: Duration = Duration::from_millis(9_500);
/// What is left of it, when all else was waited for, to say so.
const LAST_WORDS: Duration = Duration::from_millis(500);
const PANICKED: &str = "a thread panicked: see the log";
/// How often orders are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Examples:
  yardmaster server --kafka broker-1:9092 --state-dir /var/lib/yardmaster
  yardmaster server --http 0.0.0.0:9733 --token-file /etc/yardmaster/tokens --set http.advertise=http://grid-1:9733
  YARDMASTER_HTTP_LISTEN=127.0.0.1:9744 yardmaster server --config yardmaster.toml
`yardmaster config show` lists every key; each can be set in the file, as YARDMASTER_<KEY>, or with --set.";

/// Flags that stand over the environment and the file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigArgs {
    /// A TOML file.
    #[arg(long, value_name = "FILE", env = "YARDMASTER_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Brokers to begin with, HOST:PORT[,HOST:PORT].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) kafka: Option<String>,
    /// Where the stores lie.
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Prefix of all topics.
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Where to serve HTTP, IP:PORT.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) http: Option<String>,
    /// A file of bearer tokens, one a line: who has none of them is not let in.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Serve other addresses than loopback without tokens.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Any key of the configuration: KEY=VALUE.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// `yardmaster server`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigArgs,
    /// Go on behind input records that are gone, TOPIC:PARTITION:FROM-TO exactly as the halted server printed it: once.
    #[arg(long, value_name = "TOPIC:PARTITION:FROM-TO")]
    accept_data_loss: Vec<DataLoss>,
    /// End when stdin ends.
    #[arg(long, hide = true)]
    follow_stdin: bool,
}

impl ConfigArgs {
    /// The effective configuration.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        let mut overrides = Vec::new();
        for pair in &self.set {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(Failure::Usage(format!("--set {pair}: must be KEY=VALUE")));
            };
            overrides.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        let state_dir = self.state_dir.as_ref().map(|path| path.display().to_string());
        let flags = [
            ("kafka.bootstrap", self.kafka.clone()),
            ("state_dir", state_dir),
            ("namespace", self.namespace.clone()),
            ("http.listen", self.http.clone()),
            ("http.token_file", self.token_file.as_ref().map(|path| path.display().to_string())),
            ("http.insecure", self.insecure.then(|| "true".to_owned())),
        ];
        overrides.extend(flags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        let config = Config::load(self.config.as_deref(), &overrides)?;
        logs::use_format(config.log_format);
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(config)
    }
}

/// Until SIGTERM or Ctrl-C; a second one insists.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let mut config = arguments.config.load()?;
    config.accepted_losses.clone_from(&arguments.accept_data_loss);
    trace::start(&config.otel_endpoint, "server", &config.instance_id)?;
    let orders = EndOrders::listen()?;
    if arguments.follow_stdin {
        orders.follow_stdin()?;
    }
    let Some(running) = start_unless(config, &orders)? else {
        // Whoever asks for Kafka at this moment can't be interrupted, and has begun nothing that has to be ended.
        tracing::info!("stopped before it was up");
        exit::at_once(0)
    };
    let mut bar = RestoreBar::default();
    while !orders.came_within(LOOK_EVERY) && !running.has_ended() {
        bar.show(&running.server.registry.restores().all());
    }
    drop(bar);
    stop_in_time(running, &orders)
}

/// Starts in a thread, since that waits for Kafka; none when the order to end comes first.
fn start_unless(config: Config, orders: &EndOrders) -> Result<Option<Running>, Failure> {
    let started = in_thread("start", move || start(config))?;
    loop {
        match started.recv_timeout(LOOK_EVERY) {
            Ok(running) => return running.map(Some),
            Err(RecvTimeoutError::Timeout) if orders.came_within(Duration::ZERO) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::Incomplete(PANICKED.to_owned())),
        }
    }
}

/// Stops; what hangs is given up when its time is over, or when the order comes again.
fn stop_in_time(running: Running, orders: &EndOrders) -> Outcome {
    let deadline = Instant::now() + STOP_PATIENCE;
    tracing::info!("stopping");
    let stopped = in_thread("stop", move || running.stop_by(deadline))?;
    loop {
        match stopped.recv_timeout(LOOK_EVERY) {
            Ok(Ok(Stop::Whole)) => {
                trace::finish();
                tracing::info!("stopped");
                return Ok(());
            }
            Ok(Ok(Stop::GivenUp)) => give_up(),
            Ok(Err(failure)) => return Err(failure),
            Err(RecvTimeoutError::Timeout)
                if Instant::now() < deadline && !orders.came_within(Duration::ZERO) => {}
            Err(RecvTimeoutError::Timeout) => give_up(),
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::Incomplete(PANICKED.to_owned())),
        }
    }
}

/// Not a failure: the next start, here or elsewhere, fences what is left behind and recovers.
fn give_up() -> ! {
    let calls: Vec<String> = open_calls().iter().map(ToString::to_string).collect();
    let what = if calls.is_empty() { "the partitions' threads".to_owned() } else { calls.join(", ") };
    tracing::warn!("gave up waiting for {what}: nothing is lost, the next start recovers it");
    exit::at_once(0)
}

fn in_thread<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<Receiver<T>, Failure> {
    let (sender, receiver) = channel();
    // Nobody listens any more only when the process is ending.
    std::thread::Builder::new().name(name.to_owned()).spawn(move || sender.send(body()).ok())?;
    Ok(receiver)
}

/// A server in this process.
pub(crate) struct Running {
    server: Arc<Server>,
    shutdown: watch::Sender<bool>,
    serving: std::thread::JoinHandle<Result<(), http::HttpError>>,
}

/// Starts the processors and HTTP; returns when the address is bound.
pub(crate) fn start(config: Config) -> Result<Running, Failure> {
    // First of all: a server that must not be served must not touch the cluster either.
    config.check_listener()?;
    let access = http::Access {
        token_file: config.http_token_file.clone(),
        insecure: config.http_insecure,
        advertise: config.http_advertise.clone(),
        peers: config.http_peers.clone(),
    };
    let listen = config.http_listen;
    http::admit(&access, listen).map_err(|error| Failure::Usage(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = runtime
        .block_on(http::bind(listen))
        .map_err(|error| Failure::Incomplete(format!("http.listen = {listen}: {error}")))?;
    let server = Server::start(config)?;
    let figures = Arc::clone(&server);
    let sink: Arc<dyn http::CommandSink> = Arc::clone(&server.submitter) as Arc<dyn http::CommandSink>;
    let feed = http::KafkaFeed {
        connection: server.connection.clone(),
        topic: server.names.events(),
        partitions: server.config.partitions,
    };
    let parts = http::Parts {
        registry: Arc::clone(&server.registry),
        sink,
        feed: Arc::new(feed),
        metrics: Arc::new(move || figures.render_metrics()),
        requests: server.metrics.requests(),
        settings: server.config.settings.clone(),
        instance_timeout: server.config.instance_timeout,
        access,
    };
    let (shutdown, told) = watch::channel(false);
    let serving = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        let served = runtime.block_on(http::serve(parts, listener, told));
        // Reads that are still going on are not waited for.
        runtime.shutdown_background();
        served
    })?;
    tracing::info!(url = %server.config.http_advertise, namespace = server.config.namespace, "serving");
    Ok(Running { server, shutdown, serving })
}

impl Running {
    /// Whether HTTP gave up, which it does only at its start.
    pub(crate) fn has_ended(&self) -> bool {
        self.serving.is_finished()
    }

    /// Stops everything, within the time that a stop may take. What does not end is left to the end of the process.
    pub(crate) fn stop(self) -> Outcome {
        if let Stop::GivenUp = self.stop_by(Instant::now() + STOP_PATIENCE)? {
            tracing::warn!("not everything stopped in time: the next start recovers it");
        }
        Ok(())
    }

    /// Ends HTTP first, whose open requests may wait for what a partition decides; then commits and releases the
    /// partitions, which dispatch until then.
    fn stop_by(self, deadline: Instant) -> Result<Stop, Failure> {
        self.shutdown.send_replace(true);
        let served_until = deadline.min(Instant::now() + http::END_TIMEOUT + LAST_WORDS);
        while !self.serving.is_finished() && Instant::now() < served_until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let has_ended = self.serving.is_finished();
        let served = if has_ended { ended(self.serving) } else { Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(LAST_WORDS);
        let is_released = self.server.stop(left);
        served.map(|()| if has_ended && is_released { Stop::Whole } else { Stop::GivenUp })
    }
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Everything has ended.
    Whole,
    /// Something did not end in time.
    GivenUp,
}

fn ended(serving: std::thread::JoinHandle<Result<(), http::HttpError>>) -> Result<(), Failure> {
    match serving.join() {
        Ok(served) => served.map_err(|error| Failure::Incomplete(error.to_string())),
        Err(_) => Err(Failure::Incomplete(PANICKED.to_owned())),
    }
}
