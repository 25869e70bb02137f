//! All that commands print: data on stdout, words for a person on stderr. The only place that writes to either.

use std::io::{self, Write};

use serde_json::Value;

use super::failure::{Failure, Outcome};

/// A line of data.
pub(crate) fn line(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Whoever read it has enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(Failure::from),
    }
}

/// JSON as data: indented, keys in order.
pub(crate) fn json(value: &Value) -> Outcome {
    line(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// A line for a person.
#[expect(clippy::print_stderr, reason = "the one place where commands speak to a person")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
