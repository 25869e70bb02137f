//! The configuration of a server: one table of keys, filled from defaults, a TOML file, the environment and flags, in this
//! order. Each key has a name, a default and a meaning, which `yardmaster config show` prints.

mod environment;
mod keys;
mod parse;
mod passed;

pub use keys::{KEYS, Key};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use yardmaster_topologies::settings::{Limits, Settings};
use yardmaster_topologies::time::Millis;

use crate::http::Peers;
use crate::logs::LogFormat;
use crate::runtime::DataLoss;

/// How long the topic of events is kept; see `runtime/names.rs`.
const EVENTS_KEPT: Duration = Duration::from_secs(8 * 86_400);

/// A done marker answers for a task that is submitted again; shorter than a client's retries it would answer for nothing.
const DEDUP_MIN: Millis = Millis(60_000);

/// Shown for a value that differs at each start.
const MADE_UP: &str = "(made up at each start)";

/// Why a configuration was not taken: names the key, what was found, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read or is not TOML.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: String,
        /// Why.
        cause: String,
    },
    /// A key that is not known.
    #[error("{0} is not a known key: `yardmaster config show` lists them all")]
    Unknown(String),
    /// A value that a key can't have.
    #[error("{key} = {value}: {cause}")]
    Value {
        /// Which key.
        key: String,
        /// What was found.
        value: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Two keys that don't fit together.
    #[error("{first} and {second} don't fit together: {cause}")]
    Relation {
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// What must hold.
        cause: String,
    },
}

/// The values of one server.
#[derive(Clone)]
pub struct Config {
    /// Where each value came from, as text, for `config show`.
    pub shown: BTreeMap<&'static str, String>,
    /// `kafka.bootstrap`.
    pub bootstrap: String,
    /// Further `kafka.*` properties, passed through.
    pub kafka: Vec<(String, String)>,
    /// `kafka.insecure`.
    pub kafka_insecure: bool,
    /// `namespace`.
    pub namespace: String,
    /// `partitions`.
    pub partitions: i32,
    /// `replication`.
    pub replication: i32,
    /// `state_dir`.
    pub state_dir: PathBuf,
    /// `instance.id`.
    pub instance_id: String,
    /// `instance.timeout`.
    pub instance_timeout: Duration,
    /// `instance.rack`.
    pub instance_rack: String,
    /// `standby_replicas`.
    pub standby_replicas: usize,
    /// `http.listen`.
    pub http_listen: SocketAddr,
    /// `http.advertise`.
    pub http_advertise: String,
    /// `http.token_file`.
    pub http_token_file: Option<PathBuf>,
    /// `http.peers`.
    pub http_peers: Peers,
    /// `http.insecure`.
    pub http_insecure: bool,
    /// `log.format`.
    pub log_format: LogFormat,
    /// `otel.endpoint`.
    pub otel_endpoint: String,
    /// What looks as if it was meant and is ignored, in words: to be logged once it is known how.
    pub warnings: Vec<String>,
    /// `batch.records_max`.
    pub batch_records_max: usize,
    /// `batch.bytes_max`.
    pub batch_bytes_max: usize,
    /// `store.cache_bytes`.
    pub store_cache_bytes: usize,
    /// `changelog.delete_retention_min`.
    pub deletes_kept_min: Duration,
    /// `state.free_bytes_min`.
    pub free_bytes_min: u64,
    /// Losses of input records that a person has accepted for this start (`--accept-data-loss`).
    pub accepted_losses: Vec<DataLoss>,
    /// What decisions depend on; the secret is made by the processor.
    pub settings: Settings,
}

impl std::fmt::Debug for Config {
    /// The values as they were written; of what is passed to Kafka the names alone: passwords are among the values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("shown", &self.shown).field("kafka", &self.connection()).finish()
    }
}

impl Config {
    /// The defaults, then the file, then the environment's `YARDMASTER_*`, then flags. `overrides` has the keys' names.
    ///
    /// # Errors
    /// [`ConfigError`], naming the key.
    pub fn load(file: Option<&Path>, overrides: &[(String, String)]) -> Result<Self, ConfigError> {
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        if let Some(path) = file {
            values.extend(parse::file(path)?);
        }
        let environment = environment::read(std::env::vars_os())?;
        values.extend(environment.values);
        values.extend(overrides.iter().cloned());
        Ok(Self { warnings: environment.warnings, ..Self::from_values(values)? })
    }

    fn from_values(values: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut config = Self::empty();
        for key in KEYS {
            let value = values.get(key.name).map_or(key.default, String::as_str);
            (key.set)(&mut config, value).map_err(|cause| ConfigError::Value {
                key: key.name.to_owned(),
                value: value.to_owned(),
                cause,
            })?;
            config.shown.insert(key.name, value.to_owned());
        }
        for (name, value) in values {
            if KEYS.iter().any(|key| key.name == name) {
                continue;
            }
            match name.strip_prefix("kafka.") {
                Some(property) => config.kafka.push(passed::property(property, value)?),
                None => return Err(ConfigError::Unknown(name)),
            }
        }
        passed::check(&config.kafka, config.kafka_insecure)?;
        config.derive();
        config.check()?;
        Ok(config)
    }

    /// The connection that these values mean.
    #[must_use]
    pub fn connection(&self) -> crate::kafka::Connection {
        crate::kafka::Connection { bootstrap: self.bootstrap.clone(), extra: self.kafka.clone() }
    }

    /// Whether a server can be reached where these values put it.
    ///
    /// # Errors
    /// [`ConfigError`] when nobody could reach it under what it would tell others.
    pub fn check_listener(&self) -> Result<(), ConfigError> {
        let is_nowhere = self.http_listen.ip().is_unspecified() || self.http_listen.port() == 0;
        if is_nowhere && self.http_advertise == format!("http://{}", self.http_listen) {
            return Err(ConfigError::Relation {
                first: "http.listen",
                second: "http.advertise",
                cause: format!(
                    "{} is no address that others can ask: set http.advertise to the URL under which this server is \
                     reached, like http://grid-1:9733",
                    self.http_listen
                ),
            });
        }
        if !self.http_advertise.starts_with("http://") && !self.http_advertise.starts_with("https://") {
            return Err(ConfigError::Value {
                key: "http.advertise".into(),
                value: self.http_advertise.clone(),
                cause: "must be a URL, http://HOST:PORT or https://HOST:PORT".into(),
            });
        }
        Ok(())
    }

    /// Names that follow from others.
    fn derive(&mut self) {
        if self.instance_id.is_empty() {
            self.instance_id = format!("i-{}", ulid::Ulid::generate().to_string().to_lowercase());
            self.shown.insert("instance.id", MADE_UP.to_owned());
        }
        if self.http_advertise.is_empty() {
            self.http_advertise = format!("http://{}", self.http_listen);
            self.shown.insert("http.advertise", self.http_advertise.clone());
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let settings = &self.settings;
        if settings.lease.0 <= 2 * settings.heartbeat.0 {
            return Err(ConfigError::Relation {
                first: "worker.lease",
                second: "worker.heartbeat",
                cause: "the lease must be longer than two heartbeats, or one late heartbeat loses a worker"
                    .into(),
            });
        }
        if settings.backoff > settings.backoff_max {
            return Err(ConfigError::Relation {
                first: "retry.backoff",
                second: "retry.backoff_max",
                cause: "the first wait must not be longer than the longest".into(),
            });
        }
        if (settings.limits.forgotten_per_tick_max as usize) < self.batch_records_max {
            return Err(ConfigError::Relation {
                first: "limits.forgotten_per_tick_max",
                second: "batch.records_max",
                cause: "as many ended tasks must be forgotten in a batch as may end in one, or they pile up"
                    .into(),
            });
        }
        self.check_retention()?;
        self.check_reply_prefixes()?;
        if self.instance_timeout < Duration::from_secs(1) {
            let cause = "instances announce themselves every 500 ms, so at least 1s is needed";
            return Err(self.bad("instance.timeout", cause));
        }
        Ok(())
    }

    fn check_retention(&self) -> Result<(), ConfigError> {
        let settings = &self.settings;
        for (key, kept) in [
            ("retention.completed", settings.history_completed),
            ("retention.failed", settings.history_failed),
        ] {
            if kept.as_duration() >= EVENTS_KEPT {
                let cause =
                    "must be shorter than the 8d for which the events topic keeps what history is made of";
                return Err(self.bad(key, cause));
            }
        }
        if settings.dedup < DEDUP_MIN {
            let cause = "must be at least 1m: a submit that is repeated later would run its task again";
            return Err(self.bad("retention.dedup", cause));
        }
        Ok(())
    }

    /// A reply into a topic of the namespace would be read as a command or as state.
    fn check_reply_prefixes(&self) -> Result<(), ConfigError> {
        let own = format!("{}.", self.namespace);
        let overlaps = |prefix: &&String| prefix.starts_with(&own) || own.starts_with(prefix.as_str());
        match self.settings.reply_prefixes.iter().find(overlaps) {
            None => Ok(()),
            Some(prefix) => Err(ConfigError::Relation {
                first: "reply_prefixes",
                second: "namespace",
                cause: format!(
                    "topics that begin with `{prefix}` may be those of the namespace, which begin with `{own}`"
                ),
            }),
        }
    }

    fn bad(&self, key: &str, cause: &str) -> ConfigError {
        let value = self.shown.get(key).cloned().unwrap_or_default();
        ConfigError::Value { key: key.into(), value, cause: cause.into() }
    }

    fn empty() -> Self {
        let zero = Millis(0);
        Self {
            shown: BTreeMap::new(),
            bootstrap: String::new(),
            kafka: Vec::new(),
            kafka_insecure: false,
            namespace: String::new(),
            partitions: 0,
            replication: 0,
            state_dir: PathBuf::new(),
            instance_id: String::new(),
            instance_timeout: Duration::ZERO,
            instance_rack: String::new(),
            standby_replicas: 0,
            http_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            http_advertise: String::new(),
            http_token_file: None,
            http_peers: Peers::default(),
            http_insecure: false,
            log_format: LogFormat::default(),
            otel_endpoint: String::new(),
            warnings: Vec::new(),
            batch_records_max: 0,
            batch_bytes_max: 0,
            store_cache_bytes: 0,
            deletes_kept_min: Duration::ZERO,
            free_bytes_min: 0,
            accepted_losses: Vec::new(),
            settings: Settings {
                secret: [0; 32],
                heartbeat: zero,
                lease: zero,
                grace: zero,
                dedup: zero,
                history_completed: zero,
                history_failed: zero,
                job_kept: zero,
                channel_kept: zero,
                max_failures: 1,
                max_losses: 1,
                backoff: zero,
                backoff_max: zero,
                reply_prefixes: Vec::new(),
                limits: Limits {
                    payload_bytes_max: 0,
                    result_bytes_max: 0,
                    tags_max: 0,
                    submit_many_max: 0,
                    queues_max: 0,
                    workers_max: 0,
                    slots_max: 0,
                    timers_per_tick_max: 0,
                    sweep_per_tick_max: 0,
                    grants_per_batch_max: 0,
                    losses_per_tick_max: 0,
                    forgotten_per_tick_max: 0,
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_values(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn defaults_are_valid() {
        let config = with(&[]).unwrap();
        assert_eq!(config.partitions, 8);
        assert_eq!(config.settings.lease, Millis(15_000));
        assert_eq!(config.http_listen.port(), 9733);
    }

    #[test]
    fn a_bad_value_names_its_key() {
        assert!(with(&[("partitions", "0")]).unwrap_err().to_string().starts_with("partitions = 0:"));
        assert!(
            with(&[("worker.lease", "soon")]).unwrap_err().to_string().starts_with("worker.lease = soon:")
        );
        assert!(with(&[("partition", "1")]).unwrap_err().to_string().contains("config show"));
    }

    #[test]
    fn keys_that_don_t_fit_are_both_named() {
        let error = with(&[("worker.lease", "4s"), ("worker.heartbeat", "2s")]).unwrap_err().to_string();
        assert!(error.contains("worker.lease") && error.contains("worker.heartbeat"), "{error}");
    }

    #[test]
    fn history_can_t_outlive_its_events() {
        let error = with(&[("retention.failed", "8d")]).unwrap_err().to_string();
        assert!(error.starts_with("retention.failed = 8d:"), "{error}");
    }

    #[test]
    fn a_marker_outlives_the_retries_of_a_client() {
        let error = with(&[("retention.dedup", "59s")]).unwrap_err().to_string();
        assert!(error.starts_with("retention.dedup = 59s: must be at least 1m"), "{error}");
        assert!(with(&[("retention.dedup", "1m")]).is_ok());
    }

    #[test]
    fn replies_stay_out_of_the_namespace() {
        for bad in ["yardmaster.replies", "yardmaster.", "yard", "y", "replies.,yardmaster"] {
            let error = with(&[("reply_prefixes", bad)]).unwrap_err().to_string();
            assert!(error.contains("reply_prefixes") && error.contains("namespace"), "{bad}: {error}");
        }
        for good in ["replies.", "yardmaster-replies.", "yardmasters", "replies.,answers."] {
            assert!(with(&[("reply_prefixes", good)]).is_ok(), "{good}");
        }
    }

    #[test]
    fn derived_values_are_shown() {
        let config = with(&[("http.listen", "127.0.0.1:9744")]).unwrap();
        let shown = |key: &str| config.shown.get(key).map(String::as_str);
        assert_eq!(shown("http.advertise"), Some("http://127.0.0.1:9744"));
        assert_eq!(shown("instance.id"), Some(MADE_UP));
        let named = with(&[("instance.id", "one")]).unwrap();
        assert_eq!(named.shown.get("instance.id").map(String::as_str), Some("one"));
    }

    #[test]
    fn an_address_that_nobody_can_ask_needs_a_url() {
        let check = |pairs: &[(&str, &str)]| with(pairs).unwrap().check_listener();
        for listen in ["0.0.0.0:9733", "[::]:9733", "127.0.0.1:0"] {
            let error = check(&[("http.listen", listen)]).unwrap_err().to_string();
            assert!(error.contains("http.listen") && error.contains("set http.advertise"), "{error}");
            assert_eq!(check(&[("http.listen", listen), ("http.advertise", "http://grid-1:9733")]), Ok(()));
        }
        assert!(check(&[("http.advertise", "grid-1:9733")]).is_err());
        assert_eq!(check(&[]), Ok(()));
    }

    #[test]
    fn traces_go_to_a_url() {
        assert_eq!(with(&[("otel.endpoint", "http://otel:4318")]).unwrap().otel_endpoint, "http://otel:4318");
        for bad in ["otel:4318", "https://otel:4318"] {
            let error = with(&[("otel.endpoint", bad)]).unwrap_err().to_string();
            assert!(error.starts_with("otel.endpoint = "), "{error}");
        }
    }

    #[test]
    fn kafka_properties_pass_through() {
        let config = with(&[("kafka.security.protocol", "SSL"), ("kafka.sasl.password", "hunter2")]).unwrap();
        let expected = [("sasl.password", "hunter2"), ("security.protocol", "SSL")];
        assert_eq!(config.kafka, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let shown = format!("{config:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
