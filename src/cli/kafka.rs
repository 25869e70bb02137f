//! `yardmaster kafka`: only the embedded broker.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::JsonArg;
use super::failure::{Failure, Outcome};
use super::log_end::log_end;
use super::output::{json, line, say};
use super::signals::EndOrders;
use crate::embedded::{Broker, BrokerOptions};
use crate::kafka::{Connection, Topics};

const EXAMPLES: &str = "\
Example: yardmaster kafka --data ./kafka --port 9092
Prints the address on stdout when the broker is ready, and runs until Ctrl-C. The data stays.";

/// `yardmaster kafka`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Holds everything that the broker writes.
    #[arg(long, value_name = "DIR", default_value = "./yardmaster-kafka")]
    data: PathBuf,
    /// The port on 127.0.0.1; without it the last start's, or any free one.
    #[arg(long)]
    port: Option<u16>,
    /// The broker's heap in MiB.
    #[arg(long, default_value_t = 512, value_name = "MIB")]
    heap: u32,
    #[command(flatten)]
    json: JsonArg,
}

/// Until Ctrl-C.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let orders = EndOrders::listen()?;
    let mut options = options(arguments.data.clone());
    (options.port, options.heap_mb) = (arguments.port, arguments.heap);
    let Some(mut broker) = start(options, &orders)? else {
        say("stopped by a signal while the broker was starting");
        return Ok(());
    };
    if arguments.json.json {
        json(&json!({"bootstrap": broker.bootstrap(), "data": arguments.data.display().to_string()}))?;
    } else {
        line(&broker.bootstrap())?;
    }
    while broker.is_running() {
        if orders.came_within(Duration::from_millis(200)) {
            say("stopping the broker");
            broker.stop();
            return Ok(());
        }
    }
    Err(death(&broker))
}

/// Starts a broker; none when an order to end came first: what was started ends with this process.
pub(crate) fn start(options: BrokerOptions, orders: &EndOrders) -> Result<Option<Broker>, Failure> {
    let starting = std::thread::Builder::new().name("broker".to_owned()).spawn(|| Broker::start(options))?;
    while !starting.is_finished() {
        if orders.came_within(Duration::from_millis(50)) {
            return Ok(None);
        }
    }
    let started =
        starting.join().map_err(|_| Failure::Incomplete("starting the broker panicked".to_owned()))?;
    Ok(Some(started?))
}

/// A broker that ended without an order.
pub(crate) fn death(broker: &Broker) -> Failure {
    Failure::Incomplete(format!("the broker ended by itself; {}", log_end(&broker.log_path())))
}

/// A name for what belongs to the broker at this address: its cluster's id, so that another broker behind the same
/// address gets another one.
pub(crate) fn cluster_name(bootstrap: &str) -> Result<String, Failure> {
    let id = Topics::new(&Connection::new(bootstrap.to_owned()))?.cluster_id()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    Ok(id.chars().map(|c| if is_plain(c) { c } else { '-' }).collect())
}

/// A broker on this directory that tells a person what it does.
pub(crate) fn options(data: PathBuf) -> BrokerOptions {
    let mut options = BrokerOptions::new(data);
    options.on_progress = Box::new(say);
    options
}
