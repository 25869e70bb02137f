//! `yardmaster dev`: broker, server and one worker together, with data that is kept between starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use yardmaster_topologies::id::{Pool, WorkerName};

use super::failure::{Failure, Outcome};
use super::output::say;
use super::server::{self, ConfigArgs};
use super::signals::EndOrders;
use super::{kafka, wait};
use crate::embedded::Broker;
use crate::kafka::WorkerLink;
use crate::worker::{OnServerLost, RunProcess, Worker, WorkerOptions};

const EXAMPLES: &str = "\
Example: yardmaster dev --slots 8
         yardmaster submit --wait -- echo hello        (in another terminal)
Everything lies in --data; delete that directory to begin anew.";

/// `yardmaster dev`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Holds everything: the broker's data, the stores, the tasks' logs.
    #[arg(long, value_name = "DIR", default_value = "./yardmaster-dev")]
    data: PathBuf,
    /// Use this broker instead of an embedded one.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Where to serve HTTP.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9733")]
    http: String,
    /// The worker's pool.
    #[arg(long, default_value = "default")]
    pool: String,
    /// The worker's slots.
    #[arg(long, default_value_t = 4)]
    slots: u32,
}

/// Until Ctrl-C.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let pool = Pool::parse(&arguments.pool).map_err(|error| Failure::Usage(error.to_string()))?;
    let orders = EndOrders::listen()?;
    std::fs::create_dir_all(&arguments.data)?;
    let mut broker = match &arguments.kafka {
        Some(_) => None,
        None => Some(Broker::start(kafka::options(arguments.data.join("kafka")))?),
    };
    let bootstrap = broker.as_ref().map(Broker::bootstrap).or_else(|| arguments.kafka.clone());
    let config = ConfigArgs {
        kafka: bootstrap,
        state_dir: Some(arguments.data.join("state")),
        http: Some(arguments.http.clone()),
        ..ConfigArgs::default()
    };
    let running = server::start(config.load()?)?;
    let url = format!("http://{}", arguments.http);
    wait::until_ready(&url, || running.has_ended() || orders.came_within(Duration::ZERO))?;
    let worker = start_worker(arguments, &config, pool)?;
    say(&format!("ready: {url}/swagger\n  broker  {}", config.kafka.as_deref().unwrap_or_default()));
    say(&format!("  data    {}\n  try     yardmaster submit --wait -- echo hello", arguments.data.display()));
    let is_alive = |broker: &mut Option<Broker>| broker.as_mut().is_none_or(Broker::is_running);
    while is_alive(&mut broker) && !running.has_ended() && !orders.came_within(Duration::from_millis(200)) {}
    say("stopping; tasks that run are waited for, Ctrl-C again stops them");
    worker.orders().drain();
    let insist = worker.orders();
    std::thread::spawn(move || {
        orders.wait();
        insist.stop();
    });
    worker.join();
    let stopped = running.stop();
    if let Some(broker) = &mut broker {
        broker.stop();
    }
    stopped
}

fn start_worker(arguments: &Arguments, config: &ConfigArgs, pool: Pool) -> Result<Worker, Failure> {
    let config = config.load()?;
    let options = WorkerOptions {
        name: WorkerName::trusted("dev"),
        pools: vec![(pool, arguments.slots)],
        labels: std::collections::BTreeMap::new(),
        on_server_lost: OnServerLost::Stop,
    };
    let programs = RunProcess { log_dir: Some(arguments.data.join("logs")), ..RunProcess::default() };
    let handler = Arc::new(programs.guarded_by(&std::env::current_exe()?));
    let (connection, namespace) = (config.connection(), config.namespace);
    Ok(Worker::start(&options, handler, move |pool, name| {
        WorkerLink::new(&connection, &namespace, pool, name)
    })?)
}
