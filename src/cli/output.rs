//! All that commands print: data on stdout, words for a person on stderr. The only place that writes to either.

use std::io::{self, Write};

use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::{Failure, Outcome};
use super::json_text::indented;

/// A line of data.
pub(crate) fn line(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Whoever read it has enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(Failure::from),
    }
}

/// JSON of our own as data: indented, keys in order.
pub(crate) fn json(value: &Value) -> Outcome {
    line(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// JSON of the server's as data: indented, numbers and the order of keys as they came.
pub(crate) fn raw_json(text: &str) -> Outcome {
    line(&indented(text))
}

/// A list of such JSON, as the only field of an object.
pub(crate) fn raw_rows<'a>(field: &str, rows: impl IntoIterator<Item = &'a str>) -> Outcome {
    let rows: Vec<&str> = rows.into_iter().collect();
    raw_json(&format!("{{\"{field}\":[{}]}}", rows.join(",")))
}

/// What a page of a list has, as text.
pub(crate) fn texts(rows: &[Box<RawValue>]) -> impl Iterator<Item = &str> {
    rows.iter().map(|row| row.get())
}

/// A line for a person.
#[expect(clippy::print_stderr, reason = "the one place where commands speak to a person")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
