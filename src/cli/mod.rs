//! The command line: one file per group of commands. Data goes to stdout, everything else to stderr.
//!
//! **Invariant:** only `output` prints, and nothing here knows how a task is decided.

mod bench;
mod children;
mod client;
mod cluster;
mod config_show;
mod demo;
mod dev;
mod events;
mod exit;
mod failure;
mod fleet;
mod health;
mod job;
mod json_text;
mod kafka;
mod log_end;
mod output;
mod patience;
mod pool_stats;
mod price;
mod progress;
mod restore_bar;
mod server;
mod signals;
mod submit;
mod submit_send;
mod submit_tasks;
mod table;
mod task;
mod top;
mod topology;
mod verify;
mod wait;
mod worker;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::chaos;
use crate::logs;
use crate::worker::{GUARD_COMMAND, guard_groups};
use failure::{Failure, Outcome};

const AFTER: &str = "\
Exit codes: 0 all well (for waits: all completed), 1 some did not complete, 2 usage, 3 unreachable, 4 wait timed out.

Examples:
  yardmaster demo --tasks 500                     see it work, on a Kafka of its own
  yardmaster dev                                  broker, server and one worker, data kept
  yardmaster submit -- ./price --book 7           one task
  yardmaster submit --job night --each-line books.txt --wait -- ./price --book {}
  yardmaster task list --state RUNNING            what runs
  yardmaster top                                  the same and more, live
  yardmaster job results night --jsonl            what came out";

/// Hands the tasks of a compute grid to workers and tracks every one of them, exactly once, on Apache Kafka.
#[derive(Debug, Parser)]
#[command(name = "yardmaster", version, after_help = AFTER, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server.
    Server(server::Arguments),
    /// Run a broker, a server and one worker together; data is kept between starts.
    Dev(dev::Arguments),
    /// Run only the embedded Apache Kafka.
    Kafka(kafka::Arguments),
    /// Run a worker, or look at workers.
    Worker(Box<worker::Arguments>),
    /// Submit tasks.
    Submit(Box<submit::Arguments>),
    /// Look at tasks, cancel, requeue or await them.
    Task(task::Arguments),
    /// Look at jobs, cancel or await them, fetch their results.
    Job(job::Arguments),
    /// Look at queues.
    Queue(fleet::QueueArguments),
    /// Look at pools.
    Pool(fleet::PoolArguments),
    /// Look at the servers and what each owns; empty one, balance.
    Cluster(cluster::Arguments),
    /// Watch the grid live in a terminal: pools, queues, jobs, workers, tasks.
    Top(top::Arguments),
    /// What happens, as it happens.
    Events(events::Arguments),
    /// Whether a server is ready, as an exit code.
    Health(health::Arguments),
    /// The declared topology: topics and stores.
    Topology(topology::Arguments),
    /// Check or create the topics of a namespace.
    Topics(topology::TopicsArguments),
    /// Audit the state: is it what the changelog says, and is that what the inputs come to?
    Verify(verify::Arguments),
    /// The configuration.
    Config(config_show::Arguments),
    /// See it work: broker, server, two workers and a real job.
    Demo(demo::Arguments),
    /// Measure tasks per second and dispatch latency beside the raw figures of the broker.
    Bench(bench::Arguments),
    /// Price a small portfolio: what the demo's tasks do.
    #[command(hide = true)]
    PricePortfolio(price::Arguments),
    /// Kill the process groups that stdin names, at its end: a worker's guard.
    #[command(hide = true, name = GUARD_COMMAND)]
    GuardTasks,
}

/// The pool that a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct PoolArg {
    /// The pool.
    #[arg(long, env = "YARDMASTER_POOL", default_value = "default")]
    pub(crate) pool: String,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct JsonArg {
    /// Print JSON instead of words and tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `KEY=VALUE`, each given with this flag.
pub(crate) fn pairs(flag: &str, list: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| {
        let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Failure::Usage(format!("{flag} {text}: must be KEY=VALUE")))
    };
    list.iter().map(pair).collect()
}

/// The whole program: reads its arguments, says where logs go, and runs what was asked for.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logs::start();
    abort_on_panic();
    if let Err(error) = chaos::start() {
        output::say(&format!("yardmaster: {error}"));
        return ExitCode::from(2);
    }
    run(cli)
}

/// A thread that panicked leaves the process half dead; the others go on where it would be wrong. Recovery is a restart.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

fn run(cli: Cli) -> ExitCode {
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match failure.message() {
                "" => {}
                message if logs::is_json() => tracing::error!("{message}"),
                message => output::say(&format!("yardmaster: {message}")),
            }
            failure.exit_code()
        }
    }
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Server(arguments) => server::run(&arguments),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Kafka(arguments) => kafka::run(&arguments),
        Command::Worker(arguments) => worker::run(*arguments),
        Command::Submit(arguments) => submit::run(&arguments),
        Command::Task(arguments) => task::run(&arguments),
        Command::Job(arguments) => job::run(&arguments),
        Command::Queue(arguments) => fleet::run_queue(&arguments),
        Command::Pool(arguments) => fleet::run_pool(&arguments),
        Command::Cluster(arguments) => cluster::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Health(arguments) => health::run(&arguments),
        Command::Topology(arguments) => topology::run(&arguments),
        Command::Topics(arguments) => topology::run_topics(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Config(arguments) => config_show::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::PricePortfolio(arguments) => price::run(&arguments),
        Command::GuardTasks => Ok(guard_groups(std::io::stdin().lock(), std::io::stdout().lock())?),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command that a person can find, by its words.
    fn commands(command: &clap::Command, words: &str, out: &mut Vec<(String, clap::Command)>) {
        let words = format!("{words} {}", command.get_name()).trim().to_owned();
        out.push((words.clone(), command.clone()));
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            commands(inner, &words, out);
        }
    }

    #[test]
    fn every_help_has_an_example() {
        let mut all = Vec::new();
        commands(&Cli::command(), "", &mut all);
        assert!(all.len() > 25, "{}", all.len());
        for (words, mut command) in all {
            let help = command.render_long_help().to_string();
            let has_example = help.lines().any(|line| line.starts_with("Example") && line.contains(':'));
            assert!(has_example, "`{words} --help` has no example");
            assert!(help.contains("yardmaster "), "the example of `{words}` is a whole command");
        }
    }

    #[test]
    fn arguments_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_pair_has_an_equals_sign() {
        let list = ["a=b=c".to_owned()];
        assert_eq!(pairs("--tag", &list).unwrap(), [("a".to_owned(), "b=c".to_owned())]);
        assert!(matches!(pairs("--tag", &["a".to_owned()]), Err(Failure::Usage(_))));
    }
}
