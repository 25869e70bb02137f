//! What can go wrong around the embedded broker; each message ends with what to do, because a person reads it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why the embedded broker could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// There is no `java`, or it is too old.
    #[error(
        "the embedded Kafka needs Java 17 or later, but {found}: install a JRE \
         (`apt-get install openjdk-17-jre-headless`), or run ./yard, which does"
    )]
    Java {
        /// What was found instead, as a clause.
        found: String,
    },
    /// Maven is not installed, and the jars are not in the cache yet.
    #[error(
        "the jars of Apache Kafka are not in {cache} yet, and `mvn` to resolve them is not installed: \
         `apt-get install maven`, or run ./yard, which does"
    )]
    MavenMissing {
        /// The folder that the jars would be kept in.
        cache: PathBuf,
    },
    /// Maven ran and failed.
    #[error(
        "Maven could not resolve the jars of Apache Kafka; check the network and Maven's settings. \
         Its last lines:\n{lines}"
    )]
    Jars {
        /// The end of Maven's output.
        lines: String,
    },
    /// The port that was asked for is taken.
    #[error("port {port} on 127.0.0.1 is taken: stop what listens there, or choose another port")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// Another broker runs on the same data.
    #[error("another process runs a broker on {data_dir}: stop it, or choose another data directory")]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// The storage could not be formatted.
    #[error("could not format the broker's storage in {data_dir}; its last lines:\n{lines}")]
    Format {
        /// The data directory.
        data_dir: PathBuf,
        /// The end of the tool's output.
        lines: String,
    },
    /// The broker ended before it was ready.
    #[error("the broker ended while starting ({status}); the last lines of {log}:\n{lines}")]
    Died {
        /// The exit status.
        status: String,
        /// The whole log.
        log: PathBuf,
        /// Its end.
        lines: String,
    },
    /// The broker runs but did not become ready.
    #[error("the broker was not ready after {} s; the last lines of {log}:\n{lines}", .waited.as_secs())]
    NotReady {
        /// How long it was given.
        waited: Duration,
        /// The whole log.
        log: PathBuf,
        /// Its end.
        lines: String,
    },
    /// A file or process of the broker could not be handled.
    #[error("could not {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path it was tried on.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl EmbeddedError {
    /// For `map_err`: names the action and the path of a failed system call.
    pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// The last `count_max` lines of a text, without terminal colours, for the end of an error message.
pub(super) fn last_lines(text: &str, count_max: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let skipped = lines.len().saturating_sub(count_max);
    let kept: Vec<&str> = lines.into_iter().skip(skipped).collect();
    kept.join("\n").replace("\u{1b}[m", "").replace("\u{1b}[0m", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_keeps_the_end_without_blank_lines() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
