//! `yardmaster topology` and `yardmaster topics`: what is declared, and whether the broker has it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use yardmaster_topologies::topology::{INPUTS, OUTPUTS, tables};

use super::JsonArg;
use super::failure::{Failure, Outcome};
use super::output::{json, line};
use super::server::ConfigArgs;
use super::table::{Column, lines, text};
use crate::config::Config;
use crate::kafka::{KafkaFailure, TopicWanted, Topics};
use crate::runtime::Names;

const EXAMPLES: &str = "\
Examples:
  yardmaster topology
  yardmaster topology --json | jq -r '.topics[].topic'";

const TOPICS_EXAMPLES: &str = "\
Examples:
  yardmaster topics create --kafka broker-1:9092     what is missing
  yardmaster topics check --kafka broker-1:9092      exit code 1: something is missing or wrong";

/// `yardmaster topology`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    json: JsonArg,
}

/// `yardmaster topics`.
#[derive(Debug, Args)]
#[command(after_help = TOPICS_EXAMPLES)]
pub(crate) struct TopicsArguments {
    #[command(subcommand)]
    command: TopicsCommand,
}

#[derive(Debug, Subcommand)]
enum TopicsCommand {
    /// Whether all topics are there and as they must be; changes nothing.
    #[command(after_help = TOPICS_EXAMPLES)]
    Check(Arguments),
    /// Creates what is missing, and checks the rest.
    #[command(after_help = TOPICS_EXAMPLES)]
    Create(Arguments),
}

/// Prints what is declared. Asks nobody.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let config = arguments.config.load()?;
    let side = |topic: &str, meaning: &str| json!({"topic": format!("{}.{topic}", config.namespace), "meaning": meaning});
    let inputs: Vec<Value> = INPUTS.iter().map(|input| side(input.topic, input.meaning)).collect();
    let outputs: Vec<Value> = OUTPUTS.iter().map(|output| side(output.topic, output.meaning)).collect();
    let stores: Vec<Value> = tables()
        .iter()
        .map(
            |card| json!({"table": card.name, "class": format!("{:?}", card.class), "version": card.version}),
        )
        .collect();
    let topics: Vec<Value> = wanted(&config).iter().map(|topic| topic_json(topic, "")).collect();
    if arguments.json.json {
        return json(&json!({"inputs": inputs, "outputs": outputs, "tables": stores, "topics": topics}));
    }
    let sides = [
        Column { head: "TOPIC", cell: |row| text(row, "topic") },
        Column { head: "MEANING", cell: |row| text(row, "meaning") },
    ];
    let stored = [
        Column { head: "TABLE", cell: |row| text(row, "table") },
        Column { head: "CLASS", cell: |row| text(row, "class") },
        Column { head: "VERSION", cell: |row| text(row, "version") },
    ];
    for (head, columns, rows) in [
        ("reads", &sides[..], &inputs),
        ("writes", &sides[..], &outputs),
        ("remembers", &stored[..], &stores),
    ] {
        line(&format!("{head}:"))?;
        lines(columns, rows).iter().try_for_each(|text| line(&format!("  {text}")))?;
    }
    line("topics:")?;
    show_topics(&topics, "  ")
}

/// Asks the broker.
pub(crate) fn run_topics(arguments: &TopicsArguments) -> Outcome {
    let (arguments, is_create) = match &arguments.command {
        TopicsCommand::Check(arguments) => (arguments, false),
        TopicsCommand::Create(arguments) => (arguments, true),
    };
    let config = arguments.config.load()?;
    let topics = Topics::new(&config.connection())?;
    let mut rows = Vec::new();
    for topic in wanted(&config) {
        let state = if is_create { create(&topics, &topic) } else { check(&topics, &topic) };
        rows.push(topic_json(&topic, &state?));
    }
    if arguments.json.json {
        json(&json!({ "topics": rows }))?;
    } else {
        show_topics(&rows, "")?;
    }
    let bad = |head: &str| rows.iter().filter(|row| text(row, "state").starts_with(head)).count();
    match (bad("missing"), bad("wrong")) {
        (0, 0) => Ok(()),
        (missing, 0) => Err(Failure::Incomplete(format!(
            "{missing} topics are missing: `yardmaster topics create` makes them"
        ))),
        (missing, wrong) => {
            Err(Failure::Incomplete(format!("{wrong} topics are not as they must be, {missing} are missing")))
        }
    }
}

/// In a word; a topic that is wrong is no reason not to look at the others.
fn check(topics: &Topics, topic: &TopicWanted) -> Result<String, Failure> {
    judged(topics.check(topic).map(|is_there| if is_there { "ok" } else { "missing" }))
}

fn create(topics: &Topics, topic: &TopicWanted) -> Result<String, Failure> {
    let found = topics.ensure(std::slice::from_ref(topic));
    judged(found.map(|found| if found.iter().any(|found| found.created) { "created" } else { "ok" }))
}

fn judged(state: Result<&'static str, KafkaFailure>) -> Result<String, Failure> {
    match state {
        Ok(state) => Ok(state.to_owned()),
        Err(KafkaFailure::Fatal(why)) => Ok(format!("wrong: {why}")),
        Err(other) => Err(other.into()),
    }
}

fn wanted(config: &Config) -> Vec<TopicWanted> {
    Names::new(&config.namespace).wanted(config.partitions, config.replication)
}

fn topic_json(topic: &TopicWanted, state: &str) -> Value {
    let config: serde_json::Map<String, Value> =
        topic.config.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    json!({"topic": topic.name, "partitions": topic.partitions, "config": config, "state": state})
}

fn show_topics(rows: &[Value], indent: &str) -> Outcome {
    let columns = [
        Column { head: "TOPIC", cell: |row| text(row, "topic") },
        Column { head: "PARTITIONS", cell: |row| text(row, "partitions") },
        Column { head: "CONFIG", cell: |row| text(row, "config") },
        Column { head: "STATE", cell: |row| text(row, "state") },
    ];
    let is_known = rows.iter().any(|row| !text(row, "state").is_empty());
    let shown = columns.get(..if is_known { 4 } else { 3 }).unwrap_or_default();
    lines(shown, rows).iter().try_for_each(|text| line(&format!("{indent}{text}")))
}
