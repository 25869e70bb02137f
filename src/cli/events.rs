//! `yardmaster events`: what happens, as it happens.

use std::io::{BufRead, BufReader};

use clap::Args;

use super::client::{Client, ServerArgs, encode};
use super::failure::{Failure, Outcome};
use super::output::line;

const EXAMPLES: &str = "\
Examples:
  yardmaster events --follow
  yardmaster events --follow --type ended --job night | jq .task.id
One JSON object per event and line, as docs/protocol.md describes them.";

/// `yardmaster events`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArgs,
    /// Go on until Ctrl-C; without it the first event ends the command.
    #[arg(long)]
    follow: bool,
    /// Only of this pool.
    #[arg(long, env = "YARDMASTER_POOL")]
    pool: Option<String>,
    /// Only of this job.
    #[arg(long)]
    job: Option<String>,
    /// Events are JSON in any case; taken so that a script can say it to every command.
    #[arg(long)]
    json: bool,
    /// Only of these types: accepted, ended, refused, ...
    #[arg(long = "type", value_name = "TYPE[,TYPE]")]
    kind: Option<String>,
}

/// One JSON object per event and line.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let filters = [("pool", &arguments.pool), ("job", &arguments.job), ("type", &arguments.kind)];
    let query: Vec<String> = filters
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encode(value.as_ref()?).replace("%2C", ","))))
        .collect();
    let client = Client::new(&arguments.server)?;
    let stream = client.stream(&format!("/v1/events?{}", query.join("&")))?;
    for text in BufReader::new(stream).lines() {
        let text = text.map_err(|error| Failure::Unreachable(format!("the stream broke: {error}")))?;
        if let Some(event) = text.strip_prefix("data:") {
            line(event.trim_start())?;
            if !arguments.follow {
                return Ok(());
            }
        }
    }
    Err(Failure::Unreachable("the server ended the stream".to_owned()))
}
