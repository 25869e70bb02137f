//! `yardmaster health`: whether a server serves, as an exit code; what a container's health check asks.

use clap::Args;
use serde_json::Value;

use super::JsonArg;
use super::client::{Answer, Client, ServerArgs};
use super::failure::{Failure, Outcome};
use super::output::{line, raw_json};
use super::table::text;

const EXAMPLES: &str = "\
Examples:
  yardmaster health                                   exit code 0: every partition is served
  yardmaster health --alive                           exit code 0: the process answers, whatever it serves
  yardmaster health --url http://grid-1:9733 --json
Neither needs a token; with one, --json says which partitions are here, elsewhere or on the move.
Exit codes: 0 well, 1 not ready, 2 usage, 3 nobody answers.";

/// `yardmaster health`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArgs,
    /// Ask only whether the process answers: a server that restores its partitions is alive, but not ready.
    #[arg(long)]
    alive: bool,
    #[command(flatten)]
    json: JsonArg,
}

/// Asks `/readyz`, or `/healthz`.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let path = if arguments.alive { "/healthz" } else { "/readyz" };
    let answer = Client::new(&arguments.server)?.raw_get(path)?;
    if arguments.json.json {
        raw_json(&answer.body)?;
    } else if answer.status == 200 {
        line(if arguments.alive { "alive" } else { "ready" })?;
    }
    judge(&answer, path)
}

/// An answer that is no 200 is a failure that says what to look at.
fn judge(answer: &Answer, path: &str) -> Outcome {
    if answer.status == 200 {
        return Ok(());
    }
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if body.get("ready").is_none() {
        let status = answer.status;
        return Err(Failure::Incomplete(format!("{path} answers {status}: is this a yardmaster server?")));
    }
    let mut message = String::from("not ready: a partition moves or is being restored");
    if body.get("moving").is_some() {
        message.push_str(&format!(
            " (moving: {}, following: {})",
            text(&body, "moving"),
            text(&body, "following")
        ));
    }
    message.push_str("; if it stays so, the server's log says what it waits for");
    Err(Failure::Incomplete(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Outcome {
        judge(&Answer { status, body: body.to_owned() }, "/readyz")
    }

    #[test]
    fn an_answer_is_ready_not_ready_or_of_something_else() {
        assert!(judged(200, r#"{"ready":true}"#).is_ok());
        let failure = judged(503, r#"{"ready":false}"#).unwrap_err();
        assert!(matches!(&failure, Failure::Incomplete(why) if why.starts_with("not ready")), "{failure:?}");
        let failure = judged(503, r#"{"ready":false,"following":true,"moving":[3,4]}"#).unwrap_err();
        assert!(failure.message().contains("moving: 3 4, following: true"), "{failure:?}");
        let failure = judged(404, "<html>").unwrap_err();
        assert!(failure.message().starts_with("/readyz answers 404"), "{failure:?}");
    }
}
