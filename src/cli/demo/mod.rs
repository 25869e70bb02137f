//! `yardmaster demo`: everything at once, on real processes, with a result that is checked.

mod check;
mod summary;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::children::{Children, Place, free_address};
use super::client::{Client, parse};
use super::failure::{Failure, Outcome};
use super::output::say;
use super::patience::Patience;
use super::progress::Progress;
use super::signals::EndOrders;
use super::submit_send::send;
use super::submit_tasks::Draft;
use super::{JsonArg, kafka, wait};
use crate::embedded::Broker;

/// Paths of one task: some milliseconds of work.
const PATHS: u32 = 20_000;
const POOL: &str = "default";
/// The namespace on a broker that is already there: what others keep under `yardmaster` is left alone.
const NAMESPACE_ELSEWHERE: &str = "yardmaster-demo";

const EXAMPLES: &str = "\
Examples:
  yardmaster demo
  yardmaster demo --tasks 200 --exit
  yardmaster demo --kafka localhost:9092            on a broker that is already there
  yardmaster demo --exit --json > figures.json
Starts a broker, a server and two workers with 4 slots each, runs one job, checks its result, and stays up until Ctrl-C.";

/// `yardmaster demo`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// End after the job.
    #[arg(long)]
    exit: bool,
    /// How many tasks.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tasks: u32,
    /// Use this broker instead of starting one.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Holds everything that the demo writes.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Prefix of all topics; yardmaster-demo with --kafka, else yardmaster.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    json: JsonArg,
}

/// What runs, and who may end it.
struct Stage<'a> {
    arguments: &'a Arguments,
    place: &'a Place,
    children: &'a Children,
    broker: Mutex<Option<Broker>>,
    orders: &'a EndOrders,
}

/// Starts everything, runs the job, checks it, and ends everything.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let orders = EndOrders::listen()?;
    let data = std::path::absolute(arguments.data.clone().unwrap_or_else(default_data))?;
    std::fs::create_dir_all(&data)?;
    say(&format!("all data lies in {}", data.display()));
    let mut broker = None;
    let (data, bootstrap, namespace) = match &arguments.kafka {
        // Its stores are of no use with another broker, and the namespace there may be somebody's.
        Some(bootstrap) => {
            let data = data.join(format!("broker-{}", kafka::cluster_name(bootstrap)?));
            (data, bootstrap.clone(), NAMESPACE_ELSEWHERE)
        }
        None => {
            let Some(started) = kafka::start(kafka::options(data.join("kafka")), &orders)? else {
                return Err(stopped("while the broker was starting"));
            };
            let bootstrap = broker.insert(started).bootstrap();
            (data, bootstrap, "yardmaster")
        }
    };
    std::fs::create_dir_all(&data)?;
    let namespace = arguments.namespace.clone().unwrap_or_else(|| namespace.to_owned());
    let place = Place { data, bootstrap, namespace, http: free_address()? };
    let mut children = start(&place)?;
    let stage =
        Stage { arguments, place: &place, children: &children, broker: Mutex::new(broker), orders: &orders };
    let outcome = stage.show();
    say("stopping");
    let broker = stage.broker.into_inner().unwrap_or_else(PoisonError::into_inner);
    children.stop();
    if let Some(mut broker) = broker {
        broker.stop();
    }
    outcome
}

fn stopped(when: &str) -> Failure {
    Failure::Incomplete(format!("stopped by a signal {when}"))
}

/// One server, two workers with 4 slots.
fn start(place: &Place) -> Result<Children, Failure> {
    let children = Children::default();
    children.add_server(place, &[])?;
    for name in ["worker-1", "worker-2"] {
        let logs = place.data.join("task-logs").display().to_string();
        let arguments = ["worker", "--pool", POOL, "--slots", "4", "--name", name, "--log-dir", &logs];
        children.add(place, name, &arguments)?;
    }
    Ok(children)
}

impl Stage<'_> {
    fn show(&self) -> Outcome {
        let url = self.place.url();
        wait::until_ready_or(&url, || self.hindrance("before the server was ready"))?;
        say(&format!("server ready: {url}"));
        let client = Client::at(&url);
        let job = format!("portfolio-{}", ulid::Ulid::generate().to_string().to_lowercase());
        self.await_workers(&client)?;
        let began = Instant::now();
        submit(&client, &job, self.arguments.tasks)?;
        self.await_job(&client, &job)?;
        let spent = began.elapsed();
        let summary = summary::Summary::gather(&client, POOL, &job, self.arguments.tasks, spent)?;
        summary.show(self.place, self.arguments.json.json)?;
        summary::hints(self.place, &url, &job);
        if !self.arguments.exit {
            say("up until Ctrl-C");
            while !self.orders.came_within(Duration::from_millis(200)) {
                if let Some(death) = self.death() {
                    return Err(death);
                }
            }
        }
        let wrong = || Failure::Incomplete("the result is not as it must be".to_owned());
        if summary.is_right() { Ok(()) } else { Err(wrong()) }
    }

    /// Why it can't go on.
    fn hindrance(&self, when: &str) -> Option<Failure> {
        if self.orders.came_within(Duration::ZERO) { Some(stopped(when)) } else { self.death() }
    }

    /// A part that ended by itself, and what it wrote last.
    fn death(&self) -> Option<Failure> {
        let mut broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = broker.as_mut()
            && !broker.is_running()
        {
            return Some(kafka::death(broker));
        }
        self.children.death()
    }

    /// Until both take work, so that the figures are those of the work.
    fn await_workers(&self, client: &Client) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(60);
        let path = format!("/v1/pools/{POOL}/workers?state=ACTIVE");
        while client.list(&path, "workers", 100).map_or(0, |workers| workers.len()) < 2 {
            if let Some(failure) = self.hindrance("before the workers had joined") {
                return Err(failure);
            }
            if Instant::now() >= deadline {
                return Err(Failure::TimedOut("the workers have not joined within a minute".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        say("two workers ready, 4 slots each");
        Ok(())
    }

    fn await_job(&self, client: &Client, job: &str) -> Outcome {
        let count = u64::from(self.arguments.tasks);
        let (mut progress, mut patience) = (Progress::new(count), Patience::until(None));
        let path = format!("/v1/pools/{POOL}/jobs/{job}");
        loop {
            if let Some(failure) = self.hindrance("before the job was done") {
                return Err(failure);
            }
            let answer = patience.weigh(client.raw_get(&path))?;
            // Not everything may be applied yet.
            if let Some(answer) = answer.filter(|answer| answer.status != 404) {
                let row = parse(&answer)?;
                let number = |field: &str| row.get(field).and_then(Value::as_u64).unwrap_or(0);
                progress.show(number("ended"), count, &super::table::text(&row, "counts"));
                if number("ended") >= count {
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn submit(client: &Client, job: &str, count: u32) -> Outcome {
    let program = std::env::current_exe()?.display().to_string();
    let task = |seed: u32| {
        let command =
            [&program, "price-portfolio", "--seed", &seed.to_string(), "--paths", &PATHS.to_string()];
        let id = format!("{job}/{seed}");
        let text = json!({"id": id, "job": job, "command": command, "tags": {"kind": "demo"}}).to_string();
        Draft { pool: POOL.to_owned(), id, text }
    };
    let sent = send(client, &(0..count).map(task).collect::<Vec<_>>());
    if let Some(failure) = sent.broken.or(sent.refused) {
        return Err(failure);
    }
    say(&format!("submitted {count} tasks as job {job}"));
    Ok(())
}

/// In the user's cache, so that the next demo starts faster.
fn default_data() -> PathBuf {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home).unwrap_or_else(std::env::temp_dir);
    cache.join("yardmaster/demo")
}
