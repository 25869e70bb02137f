//! `yardmaster config show`: each key, its value, its default and what it means.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::JsonArg;
use super::failure::Outcome;
use super::output::{json, line};
use super::server::ConfigArgs;
use super::table::{Column, lines, text};
use crate::config::KEYS;
use crate::kafka::is_secret;

const EXAMPLES: &str = "\
Examples:
  yardmaster config show
  yardmaster config show --config yardmaster.toml --set worker.lease=20s
  YARDMASTER_KAFKA_SECURITY_PROTOCOL=SSL yardmaster config show --json";

const MASK: &str = "********";

/// `yardmaster config`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Each key, its value, its default and what it means.
    #[command(after_help = EXAMPLES)]
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        json: JsonArg,
    },
}

/// Shows the values that a server would run with.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let Command::Show { config, json: is_json } = &arguments.command;
    let config = config.load()?;
    let row = |key: &crate::config::Key| {
        let value = config.shown.get(key.name).cloned().unwrap_or_default();
        json!({"key": key.name, "value": value, "default": key.default, "meaning": key.meaning})
    };
    let mut rows: Vec<Value> = KEYS.iter().map(row).collect();
    rows.extend(config.kafka.iter().map(|(name, value)| property(name, value)));
    if is_json.json {
        return json(&json!({ "keys": rows }));
    }
    let columns = [
        Column { head: "KEY", cell: |row| text(row, "key") },
        Column { head: "VALUE", cell: |row| text(row, "value") },
        Column { head: "DEFAULT", cell: |row| text(row, "default") },
        Column { head: "MEANING", cell: |row| text(row, "meaning") },
    ];
    lines(&columns, &rows).iter().try_for_each(|text| line(text))
}

/// A property that is passed through to librdkafka.
fn property(name: &str, value: &str) -> Value {
    let value = if is_secret(name) { MASK } else { value };
    let meaning = "passed through to librdkafka";
    json!({"key": format!("kafka.{name}"), "value": value, "default": "", "meaning": meaning})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        assert_eq!(property("security.protocol", "SSL")["value"], "SSL");
        assert_eq!(property("ssl.ca.location", "/ca")["value"], "/ca");
        for name in ["sasl.password", "ssl.key.pem", "ssl.key.password", "sasl.oauthbearer.client.secret"] {
            let row = property(name, "hunter2");
            assert_eq!((&row["value"], &row["key"]), (&json!(MASK), &json!(format!("kafka.{name}"))));
        }
    }
}
