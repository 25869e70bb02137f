//! `yardmaster demo`: everything at once, on real processes, with a result that is checked.

mod check;
mod summary;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::children::{Children, Place, free_address};
use super::client::{Client, parse, show_warnings};
use super::failure::{Failure, Outcome};
use super::output::say;
use super::signals::EndOrders;
use super::{kafka, wait};
use crate::embedded::Broker;

/// Paths of one task: some milliseconds of work.
const PATHS: u32 = 20_000;
const POOL: &str = "default";
const CHUNK: usize = 1_000;

const EXAMPLES: &str = "\
Examples:
  yardmaster demo
  yardmaster demo --tasks 200 --exit
  yardmaster demo --kafka localhost:9092
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
    /// Prefix of all topics.
    #[arg(long, default_value = "yardmaster")]
    namespace: String,
}

/// Starts everything, runs the job, checks it, and ends everything.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let orders = EndOrders::listen()?;
    let data = std::path::absolute(arguments.data.clone().unwrap_or_else(default_data))?;
    std::fs::create_dir_all(&data)?;
    say(&format!("all data lies in {}", data.display()));
    let mut broker = match &arguments.kafka {
        Some(_) => None,
        None => Some(Broker::start(kafka::options(data.join("kafka")))?),
    };
    let bootstrap =
        broker.as_ref().map(Broker::bootstrap).or_else(|| arguments.kafka.clone()).unwrap_or_default();
    let place = Place { data, bootstrap, namespace: arguments.namespace.clone(), http: free_address()? };
    let mut children = start(&place)?;
    let outcome = show(arguments, &place, &children, &orders);
    say("stopping");
    children.stop();
    if let Some(broker) = &mut broker {
        broker.stop();
    }
    outcome
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

fn show(arguments: &Arguments, place: &Place, children: &Children, orders: &EndOrders) -> Outcome {
    let url = place.url();
    let is_over = || orders.came_within(Duration::ZERO) || children.has_ended();
    wait::until_ready(&url, is_over).map_err(|failure| children.explain(failure))?;
    say(&format!("server ready: {url}"));
    let client = Client::at(&url);
    let job = format!("portfolio-{}", ulid::Ulid::generate().to_string().to_lowercase());
    await_workers(&client, &is_over).map_err(|failure| children.explain(failure))?;
    let began = Instant::now();
    submit(&client, &job, arguments.tasks)?;
    await_job(&client, &job, arguments.tasks, &is_over).map_err(|failure| children.explain(failure))?;
    let spent = began.elapsed();
    let is_right = summary::show(&client, POOL, &job, arguments.tasks, spent)?;
    summary::hints(place, &url, &job);
    if !arguments.exit {
        say("up until Ctrl-C");
        while !orders.came_within(Duration::from_millis(200)) && !children.has_ended() {}
    }
    if is_right { Ok(()) } else { Err(Failure::Incomplete("the result is not as it must be".to_owned())) }
}

/// Until both take work, so that the figures are those of the work.
fn await_workers(client: &Client, is_over: &dyn Fn() -> bool) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(60);
    let path = format!("/v1/pools/{POOL}/workers?state=ACTIVE");
    while client.list(&path, "workers", 100).map_or(0, |workers| workers.len()) < 2 {
        if is_over() {
            return Err(Failure::Incomplete("stopped before the workers had joined".to_owned()));
        }
        if Instant::now() >= deadline {
            return Err(Failure::TimedOut("the workers have not joined within a minute".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    say("two workers ready, 4 slots each");
    Ok(())
}

fn submit(client: &Client, job: &str, count: u32) -> Outcome {
    let program = std::env::current_exe()?.display().to_string();
    let task = |seed: u32| {
        let command =
            [&program, "price-portfolio", "--seed", &seed.to_string(), "--paths", &PATHS.to_string()];
        json!({"id": format!("{job}/{seed}"), "job": job, "command": command, "tags": {"kind": "demo"}})
    };
    let tasks: Vec<Value> = (0..count).map(task).collect();
    for chunk in tasks.chunks(CHUNK) {
        let path = format!("/v1/tasks?pool={POOL}");
        let answer = parse(&client.raw_post(&path, &json!({ "tasks": chunk }))?)?;
        show_warnings(&answer);
    }
    say(&format!("submitted {count} tasks as job {job}"));
    Ok(())
}

fn await_job(client: &Client, job: &str, count: u32, is_over: &dyn Fn() -> bool) -> Outcome {
    let mut progress = wait::Progress::new(u64::from(count));
    let path = format!("/v1/pools/{POOL}/jobs/{job}");
    loop {
        let answer = client.raw_get(&path)?;
        if answer.status == 200 {
            let row = parse(&answer)?;
            let number = |field: &str| row.get(field).and_then(Value::as_u64).unwrap_or(0);
            progress.show(number("ended"), u64::from(count), &super::table::text(&row, "counts"));
            if number("ended") >= u64::from(count) {
                progress.finish();
                return Ok(());
            }
        } else if answer.status != 404 {
            parse(&answer)?;
        }
        if is_over() {
            progress.finish();
            return Err(Failure::Incomplete("stopped before the job was done".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// In the user's cache, so that the next demo starts faster.
fn default_data() -> PathBuf {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home).unwrap_or_else(std::env::temp_dir);
    cache.join("yardmaster/demo")
}
