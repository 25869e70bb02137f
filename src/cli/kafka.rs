//! `yardmaster kafka`: only the embedded broker.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::failure::{Failure, Outcome};
use super::output::{line, say};
use super::signals::EndOrders;
use crate::embedded::{Broker, BrokerOptions};

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
}

/// Until Ctrl-C.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let orders = EndOrders::listen()?;
    let mut options = options(arguments.data.clone());
    (options.port, options.heap_mb) = (arguments.port, arguments.heap);
    let mut broker = Broker::start(options)?;
    line(&broker.bootstrap())?;
    while broker.is_running() {
        if orders.came_within(Duration::from_millis(200)) {
            say("stopping the broker");
            broker.stop();
            return Ok(());
        }
    }
    Err(Failure::Incomplete(format!("the broker ended by itself; see {}", broker.log_path().display())))
}

/// A broker on this directory that tells a person what it does.
pub(crate) fn options(data: PathBuf) -> BrokerOptions {
    let mut options = BrokerOptions::new(data);
    options.on_progress = Box::new(say);
    options
}
