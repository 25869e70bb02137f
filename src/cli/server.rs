//! `yardmaster server`: the processors of a namespace and their HTTP endpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::watch;

use super::failure::{Failure, Outcome};
use super::signals::EndOrders;
use crate::config::Config;
use crate::http;
use crate::logs;
use crate::runtime::{DataLoss, Server};
use crate::trace;

/// A graceful stop commits, hands over and ends what is open; all of it together must not hang its user.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

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

/// Until SIGTERM or Ctrl-C.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let mut config = arguments.config.load()?;
    config.accepted_losses.clone_from(&arguments.accept_data_loss);
    trace::start(&config.otel_endpoint, "server", &config.instance_id)?;
    let orders = EndOrders::listen()?;
    if arguments.follow_stdin {
        orders.follow_stdin()?;
    }
    let running = start(config)?;
    while !orders.came_within(Duration::from_millis(200)) && !running.has_ended() {}
    let stopped = running.stop();
    trace::finish();
    stopped
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

    /// Commits and releases the partitions while HTTP still says where they are, then stops HTTP.
    pub(crate) fn stop(self) -> Outcome {
        let deadline = Instant::now() + STOP_PATIENCE;
        let mut is_clean = self.server.stop(STOP_PATIENCE.saturating_sub(http::END_TIMEOUT));
        self.shutdown.send_replace(true);
        while !self.serving.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        // A thread that still runs then is left to the end of the process.
        if self.serving.is_finished() {
            match self.serving.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(Failure::Incomplete(error.to_string())),
                Err(_) => {
                    return Err(Failure::Incomplete("the HTTP thread panicked: see the log".to_owned()));
                }
            }
        } else {
            is_clean = false;
        }
        if !is_clean {
            tracing::warn!("not everything stopped in time: the next start recovers it");
        }
        Ok(())
    }
}
