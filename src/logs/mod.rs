//! Where log lines go: to stderr, as text for people or as JSON for programs. What repeats is counted instead of written
//! again and again: when a broker dies, every client of it says so many times a second.
//!
//! `YARDMASTER_LOG` says what is logged (`debug`, `info,yardmaster::runtime=debug`), `log.format` how.

mod collapse;
mod repeats;

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::fmt::format::{JsonFields, format};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use collapse::Collapse;

/// A line that comes again within this time is counted.
const WINDOW: Duration = Duration::from_secs(30);

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// A line for a person.
    #[default]
    Text,
    /// A JSON object in each line: `timestamp`, `level`, `message`, `target`, the fields, and the batch in `span`.
    Json,
}

impl LogFormat {
    /// As the configuration has it.
    ///
    /// # Errors
    /// What it may be, for a text that is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _other => Err("must be text or json".to_owned()),
        }
    }
}

type Filtered = Layered<EnvFilter, Registry>;
type Lines<S> = Box<dyn Layer<S> + Send + Sync>;

/// The format is known only when the configuration was read, and that may already have something to say.
static SWITCH: OnceLock<reload::Handle<Lines<Filtered>, Filtered>> = OnceLock::new();
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Begins to log, as text.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("YARDMASTER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let (lines, switch) = reload::Layer::new(to_stderr(LogFormat::Text));
    tracing_subscriber::registry().with(filter).with(lines).init();
    // A second start would have failed above.
    SWITCH.set(switch).ok();
}

/// Goes on in this format.
pub(crate) fn use_format(format: LogFormat) {
    let is_json = format == LogFormat::Json;
    let is_new = IS_JSON.swap(is_json, Ordering::Relaxed) != is_json;
    if let Some(switch) = SWITCH.get().filter(|_| is_new)
        && let Err(error) = switch.reload(to_stderr(format))
    {
        tracing::warn!(%error, "the log stays as it was: log.format can't be changed any more");
    }
}

/// Whether a program reads the log: then everything on stderr should be JSON.
pub(crate) fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

fn to_stderr(format: LogFormat) -> Lines<Filtered> {
    let has_colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    lines(format, WINDOW, has_colours, std::io::stderr)
}

fn lines<S, W>(how: LogFormat, window: Duration, has_colours: bool, writer: W) -> Lines<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer);
    match how {
        LogFormat::Text => {
            let text = format().with_target(false).with_ansi(has_colours);
            layer.event_format(Collapse::new(text, how, window)).with_ansi(has_colours).boxed()
        }
        LogFormat::Json => {
            let json = format().json().flatten_event(true).with_current_span(true).with_span_list(false);
            layer.fmt_fields(JsonFields::new()).event_format(Collapse::new(json, how, window)).boxed()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are written while this is done.
    fn written(how: LogFormat, work: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let layer = lines(how, Duration::MAX, false, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_of_json_has_its_fields_and_the_batch() {
        let lines = written(LogFormat::Json, || {
            let batch = tracing::info_span!("batch", partition = 3, sequence = 17_u64);
            batch.in_scope(|| tracing::info!(records = 5, "committed \"it\""));
        });
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((lines.len(), &line["level"]), (1, &"INFO".into()));
        assert_eq!((&line["message"], &line["records"]), (&"committed \"it\"".into(), &5.into()));
        assert_eq!((&line["span"]["partition"], &line["span"]["sequence"]), (&3.into(), &17.into()));
    }

    #[test]
    fn a_line_of_text_has_them_too() {
        let lines = written(LogFormat::Text, || {
            let batch = tracing::info_span!("batch", partition = 3, sequence = 17_u64);
            batch.in_scope(|| tracing::info!(records = 5, "committed"));
        });
        assert!(lines[0].ends_with("INFO batch{partition=3 sequence=17}: committed records=5"), "{lines:?}");
    }

    #[test]
    fn what_repeats_is_written_once() {
        for how in [LogFormat::Text, LogFormat::Json] {
            let lines = written(how, || {
                for number in 0..100 {
                    let error = format!("no answer after {number} ms");
                    tracing::warn!(error, partition = number % 2, "trying again");
                    tracing::info!(number, "what is no trouble is not counted");
                }
            });
            let troubles = lines.iter().filter(|line| line.contains("trying again"));
            assert_eq!((troubles.count(), lines.len()), (2, 102), "one for each partition");
        }
    }

    #[test]
    fn a_format_is_one_of_two() {
        assert_eq!(LogFormat::parse("json"), Ok(LogFormat::Json));
        assert_eq!(LogFormat::parse("text"), Ok(LogFormat::default()));
        assert!(LogFormat::parse("JSON").unwrap_err().contains("text or json"));
    }
}
