//! `yardmaster cluster show|rebalance|drain|undrain`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::JsonArg;
use super::client::{Client, ServerArgs, encode};
use super::failure::Outcome;
use super::output::{line, raw_json, say};
use super::table::{Column, clean, lines, moment, text, yes};

const EXAMPLES: &str = "\
Examples:
  yardmaster cluster show                   the servers, what they own, how warm the copies are
  yardmaster cluster show --json
  yardmaster cluster drain server-2         move its partitions away, one warm copy after the other
  yardmaster cluster undrain server-2       let it own partitions again
  yardmaster cluster rebalance              don't wait until new servers have settled";

/// `yardmaster cluster`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The servers: what each owns and keeps copies of, how far behind those are, and whose turn it is to place.
    #[command(after_help = EXAMPLES)]
    Show(ShowArguments),
    /// Balance the partitions at once, without waiting until servers that have just come have settled.
    #[command(after_help = EXAMPLES)]
    Rebalance(ShowArguments),
    /// Empty a server: its partitions move to others once those are warm. It holds until `undrain`, over restarts too.
    #[command(after_help = EXAMPLES)]
    Drain(InstanceArguments),
    /// Let a drained server own partitions again.
    #[command(after_help = EXAMPLES)]
    Undrain(InstanceArguments),
}

#[derive(Debug, Args)]
struct ShowArguments {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    json: JsonArg,
}

#[derive(Debug, Args)]
struct InstanceArguments {
    /// Its instance.id: `cluster show` lists them.
    instance: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    json: JsonArg,
}

/// Runs one of them.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    match &arguments.command {
        Command::Show(show) => self::show(show),
        Command::Rebalance(order) => {
            post(&order.server, order.json, "/v1/cluster/rebalance", "the partitions are being balanced")
        }
        Command::Drain(order) => {
            change(order, "drain", "is being emptied: `yardmaster cluster show` says how far it is")
        }
        Command::Undrain(order) => change(order, "undrain", "may own partitions again"),
    }
}

fn change(order: &InstanceArguments, what: &str, meaning: &str) -> Outcome {
    let path = format!("/v1/cluster/instances/{}/{what}", encode(&order.instance));
    post(&order.server, order.json, &path, &format!("{} {meaning}", clean(&order.instance)))
}

fn post(server: &ServerArgs, is_json: JsonArg, path: &str, meaning: &str) -> Outcome {
    let answer = Client::new(server)?.post_text(path, &json!({}))?;
    if is_json.json { raw_json(&answer) } else { line(meaning) }
}

fn show(arguments: &ShowArguments) -> Outcome {
    let answer = Client::new(&arguments.server)?.get_text("/v1/cluster")?;
    if arguments.json.json {
        return raw_json(&answer);
    }
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let columns = [
        Column { head: "INSTANCE", cell: |row| text(row, "id") },
        Column { head: "STANDING", cell: |row| text(row, "standing") },
        Column { head: "PLACER", cell: |row| yes(row, "placer") },
        Column { head: "RACK", cell: |row| text(row, "rack") },
        Column { head: "SINCE (UTC)", cell: |row| moment(row, "since_at_ms") },
        Column { head: "OWNS", cell: |row| text(row, "owns") },
        Column { head: "COPIES", cell: |row| copies(row) },
        Column { head: "BEHIND", cell: |row| behind(row) },
        Column { head: "URL", cell: |row| text(row, "url") },
    ];
    lines(&columns, &rows(&answer, "instances")).iter().try_for_each(|text| line(text))?;
    say(&format!(
        "placement {}, as {} sees it",
        text(&answer, "epoch"),
        clean(&text(&answer, "answered_by"))
    ));
    for partition in rows(&answer, "partitions") {
        if partition.get("served").and_then(Value::as_bool) == Some(false) {
            let (number, owner) = (text(&partition, "partition"), clean(&text(&partition, "owner")));
            say(&format!("partition {number} is placed at {owner}, which does not serve it yet"));
        }
    }
    let drained = text(&answer, "drained");
    if !drained.is_empty() {
        say(&clean(&format!("drained: {drained}")));
    }
    Ok(())
}

fn rows(answer: &Value, field: &str) -> Vec<Value> {
    answer.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn copies(row: &Value) -> String {
    rows(row, "copies").iter().map(|copy| text(copy, "partition")).collect::<Vec<_>>().join(" ")
}

/// Of the copy that is furthest behind, in records.
fn behind(row: &Value) -> String {
    let copies = rows(row, "copies");
    let behind = copies.iter().filter_map(|copy| copy.get("behind").and_then(Value::as_i64));
    behind.max().map(|behind| behind.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_the_copies_and_the_worst_of_them() {
        let row = json!({"copies":[{"partition":3,"behind":0},{"partition":5,"behind":12}]});
        assert_eq!((copies(&row), behind(&row)), ("3 5".to_owned(), "12".to_owned()));
        assert_eq!((copies(&json!({})), behind(&json!({}))), (String::new(), String::new()));
    }
}
