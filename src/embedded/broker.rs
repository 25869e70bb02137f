//! Starts, stops and kills the broker: the order of the steps, and when it counts as ready.

use std::fmt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::KAFKA_VERSION;
use super::error::EmbeddedError;
use super::jars::resolve_jars;
use super::java::find_java;
use super::process::{Jvm, Process};
use super::properties::{LogLevel, Ports, ProxiedListener};
use super::ready::is_ready;
use super::storage::Storage;

/// A clean stop takes about a second; a broker that hangs must not hang its user.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks at a broker that is starting.
const READY_INTERVAL: Duration = Duration::from_millis(50);

/// A free port can be taken between choosing it and the broker's start; then others are chosen.
const ATTEMPTS_MAX: u32 = 3;

/// How to start the broker.
pub struct BrokerOptions {
    /// Holds everything the broker writes; made if it isn't there, kept between starts.
    pub data_dir: PathBuf,
    /// The port for clients on 127.0.0.1. `None`, the default: the last start's if it is free, else any free one.
    pub port: Option<u16>,
    /// Further listeners, for clients behind proxies. Default: none.
    pub proxied: Vec<ProxiedListener>,
    /// The JVM's largest heap in MiB. Default 512; a benchmark wants 1024.
    pub heap_mb: u32,
    /// What the broker writes to `<data_dir>/broker.log`. Default: warnings and errors.
    pub log_level: LogLevel,
    /// How long the broker may take to become ready. Default 120 s: it takes about 4 s, but not on a busy machine.
    pub start_timeout: Duration,
    /// Called with a line for a person at each step (resolving, formatting, starting, ready). Default: silence.
    pub on_progress: Box<dyn FnMut(&str) + Send>,
}

impl BrokerOptions {
    /// The defaults, on this directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            port: None,
            proxied: Vec::new(),
            heap_mb: 512,
            log_level: LogLevel::default(),
            start_timeout: Duration::from_secs(120),
            on_progress: Box::new(|_line| {}),
        }
    }
}

impl fmt::Debug for BrokerOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = formatter.debug_struct("BrokerOptions");
        text.field("data_dir", &self.data_dir).field("port", &self.port);
        text.field("proxied", &self.proxied).field("heap_mb", &self.heap_mb);
        text.field("log_level", &self.log_level)
            .field("start_timeout", &self.start_timeout)
            .finish_non_exhaustive()
    }
}

/// A running Apache Kafka; dropping it kills it, and so does the death of this process, however it comes.
#[derive(Debug)]
pub struct Broker {
    process: Process,
    ports: Ports,
    /// Keeps the data directory taken.
    storage: Storage,
}

impl Broker {
    /// Starts the broker and returns when it is ready for clients. Blocks: 4 s warm, 10 s at the very first start.
    ///
    /// # Errors
    /// Each [`EmbeddedError`] says what was wrong and what to do about it.
    pub fn start(mut options: BrokerOptions) -> Result<Self, EmbeddedError> {
        let java = find_java()?;
        let jars = resolve_jars(&mut *options.on_progress)?;
        let storage = Storage::open(&options.data_dir)?;
        let jvm =
            Jvm { java, jars, heap_mb: options.heap_mb, options: jvm_options(&storage, options.log_level) };
        let mut attempt = 1;
        loop {
            let ports = storage.choose_ports(options.port)?;
            match launch(&storage, ports, &jvm, &mut options) {
                Ok(process) => {
                    return Ok(Self { process, ports, storage });
                }
                Err(EmbeddedError::Died { lines, .. }) if lost_port(&lines) && attempt < ATTEMPTS_MAX => {
                    attempt += 1;
                    storage.forget_ports();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// `127.0.0.1:PORT`, for `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports.client)
    }

    /// The JVM's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where the broker's output goes.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.storage.log_path()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().is_none()
    }

    /// Stops it cleanly (SIGTERM); kills it if that takes more than 10 s. The data stays.
    pub fn stop(&mut self) {
        self.process.stop(STOP_TIMEOUT);
    }

    /// Kills it (SIGKILL) and waits until it is gone: what a test of recovery wants. The data stays.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// Writes the settings, formats on first use, starts, waits until it is ready.
fn launch(
    storage: &Storage,
    ports: Ports,
    jvm: &Jvm,
    options: &mut BrokerOptions,
) -> Result<Process, EmbeddedError> {
    let started = Instant::now();
    storage.write_settings(ports, &options.proxied)?;
    let cluster_id = match storage.cluster_id() {
        Some(id) => id,
        None => {
            (options.on_progress)("formatting the broker's storage (first start)");
            storage.format(jvm)?
        }
    };
    (options.on_progress)(&format!("starting Apache Kafka {KAFKA_VERSION}"));
    let properties = storage.properties_path().display().to_string();
    let mut process = jvm.start("kafka.Kafka", &[&properties], storage.log())?;
    wait_ready(&mut process, storage, ports, &cluster_id, options.start_timeout)?;
    let (port, seconds) = (ports.client, started.elapsed().as_secs_f64());
    (options.on_progress)(&format!("broker ready on 127.0.0.1:{port} after {seconds:.1} s"));
    tracing::debug!(pid = process.pid(), port, "embedded broker ready");
    Ok(process)
}

fn wait_ready(
    process: &mut Process,
    storage: &Storage,
    ports: Ports,
    cluster_id: &str,
    patience: Duration,
) -> Result<(), EmbeddedError> {
    let deadline = Instant::now() + patience;
    while !is_ready(ports.client, cluster_id) {
        let log = storage.log_path();
        if let Some(status) = process.try_wait() {
            return Err(EmbeddedError::Died { status: status.to_string(), log, lines: storage.log_end() });
        }
        if Instant::now() >= deadline {
            return Err(EmbeddedError::NotReady { waited: patience, log, lines: storage.log_end() });
        }
        thread::sleep(READY_INTERVAL);
    }
    Ok(())
}

fn jvm_options(storage: &Storage, level: LogLevel) -> Vec<String> {
    let log4j2 = file_url(&storage.log4j2_path());
    vec![
        // Kafka's own choice: short pauses, because a pause of the broker is a pause of every client.
        "-XX:MaxGCPauseMillis=20".to_owned(),
        // A broker out of memory must end, not linger half dead.
        "-XX:+ExitOnOutOfMemoryError".to_owned(),
        format!("-Dlog4j2.configurationFile={log4j2}"),
        format!("-Dyardmaster.log.level={}", level.name()),
    ]
}

fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                url.push(char::from(*byte))
            }
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url
}

/// Whether the broker's last words say that somebody else took its port.
fn lost_port(lines: &str) -> bool {
    lines.contains("Address already in use") || lines.contains("BindException")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_url_escapes_what_a_url_cannot_hold() {
        assert_eq!(file_url(Path::new("/tmp/a b/log4j2.properties")), "file:///tmp/a%20b/log4j2.properties");
    }

    #[test]
    fn a_lost_port_is_told_from_the_log() {
        assert!(lost_port("java.net.BindException: Address already in use"));
        assert!(!lost_port("java.lang.OutOfMemoryError: Java heap space"));
    }
}
