//! A worker of your own: it squares the number that each task has as its payload.
//!
//! ```sh
//! yardmaster dev                                             # prints the broker's address
//! cargo run --release --example handler -- 127.0.0.1:PORT
//! yardmaster submit --pool squares --payload 7 --wait --json
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use yardmaster::kafka::{Connection, WorkerLink};
use yardmaster::topologies::id::{Pool, WorkerName};
use yardmaster::topologies::task::Json;
use yardmaster::worker::{Assignment, Control, Finish, OnServerLost, Worker, WorkerOptions};

fn square(task: Assignment, _control: &Control) -> Finish {
    let number = task.payload.and_then(|payload| serde_json::from_str::<i64>(&payload.0).ok());
    match number.and_then(|number| number.checked_mul(number)) {
        Some(square) => Finish::completed(Some(Json(square.to_string().into()))),
        None => Finish::failed("payload", "the payload must be a whole number below three billion"),
    }
}

/// Two at once, until it is drained or stopped.
pub(crate) fn start(kafka: String, namespace: &str) -> Result<Worker, Box<dyn Error>> {
    let connection = Connection::new(kafka);
    let options = WorkerOptions {
        name: WorkerName::parse("squarer")?,
        pools: vec![(Pool::parse("squares")?, 2)],
        labels: BTreeMap::new(),
        on_server_lost: OnServerLost::Stop,
    };
    let link = |pool: &Pool, name: &WorkerName| WorkerLink::new(&connection, namespace, pool, name);
    Ok(Worker::start(&options, Arc::new(square), link)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let kafka = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    start(kafka, "yardmaster")?.join();
    Ok(())
}
