//! A format of log lines around another one: what is the same as a line of the last half minute is not written.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;
use super::repeats::{Missed, Repeats};

/// What the lines of libraries that know the `log` crate only come as; librdkafka's are among them.
const FOREIGN: &str = "log";

/// Warnings, errors and the lines of libraries, each once in a window; the rest as it comes.
pub(super) struct Collapse<F> {
    inner: F,
    how: LogFormat,
    window: Duration,
    repeats: Mutex<Repeats>,
}

impl<F> Collapse<F> {
    /// Around this format.
    pub(super) fn new(inner: F, how: LogFormat, window: Duration) -> Self {
        Self { inner, how, window, repeats: Mutex::default() }
    }

    /// Whether the event is to be written, and what else is due.
    fn judge(&self, event: &Event<'_>) -> (bool, Vec<Missed>) {
        let now = Instant::now();
        let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
        let over = repeats.over(self.window, now);
        let meta = event.metadata();
        if *meta.level() > Level::WARN && meta.target() != FOREIGN {
            return (true, over);
        }
        let mut words = Words::default();
        event.record(&mut words);
        (repeats.admit(words.key, *meta.level(), words.line, now), over)
    }
}

impl<S, N, F> FormatEvent<S, N> for Collapse<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (is_written, over) = self.judge(event);
        for missed in over {
            write_missed(self.how, self.window, &missed, &mut writer)?;
        }
        if is_written { self.inner.format_event(ctx, writer, event) } else { Ok(()) }
    }
}

fn write_missed(how: LogFormat, window: Duration, missed: &Missed, writer: &mut Writer<'_>) -> fmt::Result {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time))?;
    let Missed { times, level, line } = missed;
    let message = format!("came {times} more times within {} s: {line}", window.as_secs());
    match how {
        LogFormat::Text => writeln!(writer, "{time} {level:>5} {message}"),
        LogFormat::Json => {
            let line =
                json!({"timestamp": time, "level": level.as_str(), "message": message, "times": times});
            writeln!(writer, "{line}")
        }
    }
}

/// The fields of an event, as a line and as what makes two lines the same.
#[derive(Default)]
struct Words {
    line: String,
    key: String,
}

impl Words {
    fn add(&mut self, field: &Field, value: &str) {
        let name = field.name();
        // Where a library's line came from: the same for all of them.
        if name.starts_with("log.") {
            return;
        }
        let blank = if self.line.is_empty() { "" } else { " " };
        let label = if name == "message" { String::new() } else { format!("{name}=") };
        // Ports, times and offsets differ from one failure to the next; a partition's number is another partition.
        let is_prose = matches!(name, "message" | "error" | "cause");
        self.line.push_str(&format!("{blank}{label}{value}"));
        self.key.push_str(&label);
        if is_prose {
            self.key.extend(kind_of(value).chars().filter(|c| !c.is_ascii_digit()));
        } else {
            self.key.push_str(value);
        }
        self.key.push('\n');
    }
}

/// Without what librdkafka puts behind a failure: `(after 3ms in state CONNECT, 30 identical error(s) suppressed)`.
fn kind_of(prose: &str) -> &str {
    prose.split_once(" (after ").map_or(prose, |(kind, _)| kind)
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_librdkafka_has_suppressed_itself_is_the_same_failure() {
        let first = "Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 3ms in state CONNECT)";
        let later = "Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT, 30 identical error(s) suppressed)";
        assert_eq!(kind_of(first), kind_of(later));
        assert_ne!(kind_of(first), kind_of("Disconnected (after 3ms in state UP)"));
    }

    #[test]
    fn the_count_is_a_line_of_its_format() {
        let missed = Missed { times: 37, level: Level::WARN, line: "no \"answer\"".to_owned() };
        let text = |how| {
            let mut text = String::new();
            write_missed(how, Duration::from_secs(30), &missed, &mut Writer::new(&mut text)).unwrap();
            text
        };
        assert!(text(LogFormat::Text).ends_with("  WARN came 37 more times within 30 s: no \"answer\"\n"));
        let line: serde_json::Value = serde_json::from_str(&text(LogFormat::Json)).unwrap();
        assert_eq!((&line["level"], &line["times"]), (&"WARN".into(), &37.into()));
        assert_eq!(line["message"], "came 37 more times within 30 s: no \"answer\"");
    }
}
