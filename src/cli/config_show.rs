//! `yardmaster config show`: each key, its value, its default and what it means.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::JsonArg;
use super::failure::Outcome;
use super::output::{json, line};
use super::server::ConfigArgs;
use super::table::{Column, lines, text};
use crate::config::KEYS;

/// `yardmaster config`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Each key, its value, its default and what it means.
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
    let rows: Vec<Value> = KEYS.iter().map(row).collect();
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
