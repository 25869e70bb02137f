//! `yardmaster dev`: broker, server and one worker together, with data that is kept between starts.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use yardmaster_topologies::id::{Pool, WorkerName};

use super::client::DEFAULT_URL;
use super::failure::{Failure, Outcome};
use super::output::say;
use super::server::{self, ConfigArgs, Running};
use super::signals::EndOrders;
use super::{kafka, wait};
use crate::embedded::Broker;
use crate::kafka::WorkerLink;
use crate::worker::{OnServerLost, RunProcess, Worker, WorkerOptions};

/// The namespace on a broker that is already there: what others keep under `yardmaster` is left alone.
const NAMESPACE_ELSEWHERE: &str = "yardmaster-dev";

const EXAMPLES: &str = "\
Examples:
  yardmaster dev --slots 8
  yardmaster submit --wait -- echo hello        in another terminal
  yardmaster dev --kafka localhost:9092         on a broker that is already there
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
    /// Prefix of all topics; yardmaster-dev with --kafka, else yardmaster.
    #[arg(long, value_name = "NAME", env = "YARDMASTER_NAMESPACE")]
    namespace: Option<String>,
    /// Where to serve HTTP: the configured http.listen when left out, which is 127.0.0.1:9733.
    #[arg(long, value_name = "IP:PORT")]
    http: Option<String>,
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
    let mut broker = None;
    let config = match &arguments.kafka {
        Some(bootstrap) => elsewhere(arguments, bootstrap)?,
        None => {
            let Some(started) = kafka::start(kafka::options(arguments.data.join("kafka")), &orders)? else {
                return stopped_early();
            };
            let bootstrap = broker.insert(started).bootstrap();
            config(arguments, bootstrap, arguments.data.join("state"), arguments.namespace.clone())
        }
    };
    let running = server::start(config.load()?)?;
    let url = local_url(config.load()?.http_listen);
    let is_ordered = Cell::new(false);
    let hindrance = || {
        is_ordered.set(is_ordered.get() || orders.came_within(Duration::ZERO));
        let has_ended = is_ordered.get() || running.has_ended();
        has_ended.then(|| Failure::Incomplete("the server ended before it was ready".to_owned()))
    };
    if let Err(failure) = wait::until_ready_or(&url, hindrance) {
        let stopped = running.stop();
        return if is_ordered.get() { stopped_early() } else { stopped.and(Err(failure)) };
    }
    let worker = start_worker(arguments, &config, pool)?;
    say(&format!("ready: {url}/swagger\n  broker  {}", config.kafka.as_deref().unwrap_or_default()));
    say(&format!("  data    {}\n  try     {}", arguments.data.display(), first_try(&url)));
    let death = await_end(&orders, &mut broker, &running);
    say("stopping; tasks that run are waited for, Ctrl-C again stops them");
    worker.orders().drain();
    let insist = worker.orders();
    std::thread::spawn(move || {
        orders.wait();
        insist.stop();
    });
    if death.is_some() {
        // Without a broker nothing that runs can be reported.
        worker.orders().stop();
    }
    worker.join();
    let stopped = running.stop();
    if let Some(broker) = &mut broker {
        broker.stop();
    }
    death.map_or(stopped, Err)
}

/// Until there is an order to end, or one of the parts has ended by itself.
fn await_end(orders: &EndOrders, broker: &mut Option<Broker>, running: &Running) -> Option<Failure> {
    while !orders.came_within(Duration::from_millis(200)) && !running.has_ended() {
        if let Some(broker) = broker.as_mut()
            && !broker.is_running()
        {
            return Some(kafka::death(broker));
        }
    }
    None
}

fn stopped_early() -> Outcome {
    say("stopped by a signal before everything was up");
    Ok(())
}

fn config(
    arguments: &Arguments,
    bootstrap: String,
    state_dir: PathBuf,
    namespace: Option<String>,
) -> ConfigArgs {
    let http = arguments.http.clone();
    ConfigArgs {
        kafka: Some(bootstrap),
        state_dir: Some(state_dir),
        namespace,
        http,
        ..ConfigArgs::default()
    }
}

/// On a broker of somebody else's: a state directory of its own, and not the namespace that others would use.
fn elsewhere(arguments: &Arguments, bootstrap: &str) -> Result<ConfigArgs, Failure> {
    let state = arguments.data.join(format!("state-{}", kafka::cluster_name(bootstrap)?));
    let namespace = arguments.namespace.clone().unwrap_or_else(|| NAMESPACE_ELSEWHERE.to_owned());
    Ok(config(arguments, bootstrap.to_owned(), state, Some(namespace)))
}

/// How a program on this machine reaches it.
fn local_url(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

fn first_try(url: &str) -> String {
    let words = "yardmaster submit --wait -- echo hello";
    if url == DEFAULT_URL { words.to_owned() } else { format!("YARDMASTER_URL={url} {words}") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_an_address_that_can_be_asked() {
        let url = |listen: &str| local_url(listen.parse().unwrap());
        assert_eq!(url("0.0.0.0:9744"), "http://127.0.0.1:9744");
        assert_eq!(url("[::]:1"), "http://[::1]:1");
        assert_eq!(first_try(&url("127.0.0.1:9733")), "yardmaster submit --wait -- echo hello");
        assert!(first_try(&url("127.0.0.1:9744")).starts_with("YARDMASTER_URL=http://127.0.0.1:9744 "));
    }
}
