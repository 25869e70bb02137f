//! The table of keys.

use super::Config;
use super::parse::{millis, number};
use crate::http::Peers;
use crate::logs::LogFormat;

/// One key of the configuration.
pub struct Key {
    /// Its name: in the file, as `YARDMASTER_*` in the environment, in errors.
    pub name: &'static str,
    /// Its default, as it would be written.
    pub default: &'static str,
    /// What it means, for a person.
    pub meaning: &'static str,
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! key {
    ($name:literal, $default:literal, $meaning:literal, |$config:ident, $text:ident| $set:expr) => {
        Key {
            name: $name,
            default: $default,
            meaning: $meaning,
            set: |$config, $text| {
                $set;
                Ok(())
            },
        }
    };
}

/// A limit that `apply` checks: `key!` for a field of `settings.limits`.
macro_rules! limit {
    ($name:literal, $default:literal, $meaning:literal, $field:ident, $max:literal) => {
        key!($name, $default, $meaning, |c, v| c.settings.limits.$field = number(v, 1, $max)?)
    };
}

/// Every key, in the order in which people read them.
pub const KEYS: &[Key] = &[
    key!("kafka.bootstrap", "127.0.0.1:9092", "brokers to begin with, HOST:PORT[,HOST:PORT]", |c, v| c
        .bootstrap =
        v.to_owned()),
    key!(
        "kafka.insecure",
        "false",
        "let kafka.* properties turn off the check that a broker is who it says it is",
        |c, v| c.kafka_insecure = v.parse().map_err(|_| "must be true or false".to_owned())?
    ),
    key!("namespace", "yardmaster", "prefix of all topics and transactional ids", |c, v| c.namespace =
        namespace(v)?),
    key!("partitions", "8", "partitions of the namespace; fixed once its topics exist", |c, v| c
        .partitions =
        number(v, 1, 1_000)?),
    key!("replication", "1", "replicas of each topic that is created here", |c, v| c.replication =
        number(v, 1, 10)?),
    key!("state_dir", "./yardmaster-state", "directory of the stores", |c, v| c.state_dir = v.into()),
    key!("instance.id", "", "name of this process; made up when empty", |c, v| c.instance_id = v.to_owned()),
    key!("instance.timeout", "3s", "an instance that is silent for so long loses its partitions", |c, v| c
        .instance_timeout =
        millis(v)?.as_duration()),
    key!(
        "instance.rack",
        "",
        "rack or zone of this process: copies of a partition are spread over them",
        |c, v| c.instance_rack = v.to_owned()
    ),
    key!(
        "standby_replicas",
        "1",
        "warm copies of each partition on other instances, as far as there are others",
        |c, v| c.standby_replicas = number(v, 0, 10)?
    ),
    key!("http.listen", "127.0.0.1:9733", "address of the HTTP endpoint", |c, v| c.http_listen =
        v.parse().map_err(|_| "must be IP:PORT".to_owned())?),
    key!(
        "http.advertise",
        "",
        "URL under which other instances and clients reach this one; http://<listen> when empty, which needs an address and a port",
        |c, v| c.http_advertise = v.to_owned()
    ),
    key!(
        "http.token_file",
        "",
        "file of bearer tokens, one a line (--token-file); needed for any address but loopback",
        |c, v| c.http_token_file = (!v.is_empty()).then(|| v.into())
    ),
    key!(
        "http.peers",
        "",
        "hosts, addresses and networks (10.0.0.0/8) of other instances, comma separated: no other announced URL is asked; when empty private networks, and loopback where http.advertise is on it",
        |c, v| c.http_peers = Peers::parse(v)?
    ),
    key!(
        "http.insecure",
        "false",
        "serve other addresses than loopback without tokens (--insecure)",
        |c, v| c.http_insecure = v.parse().map_err(|_| "must be true or false".to_owned())?
    ),
    key!(
        "log.format",
        "text",
        "how log lines are written: text or json; YARDMASTER_LOG says which",
        |c, v| c.log_format = LogFormat::parse(v)?
    ),
    key!(
        "otel.endpoint",
        "",
        "OpenTelemetry collector (OTLP over HTTP) for traces, http://HOST:4318; nothing is exported when empty",
        |c, v| c.otel_endpoint = endpoint(v)?
    ),
    key!("worker.heartbeat", "2s", "how often workers report", |c, v| c.settings.heartbeat = millis(v)?),
    key!("worker.lease", "15s", "how long a worker may be silent before its tasks go to others", |c, v| c
        .settings
        .lease =
        millis(v)?),
    key!("worker.grace", "5s", "time between SIGTERM and SIGKILL of a task", |c, v| c.settings.grace =
        millis(v)?),
    key!("worker.channel_kept", "1h", "how long the channel of a worker that left is kept", |c, v| c
        .settings
        .channel_kept =
        millis(v)?),
    key!(
        "retry.max_failures",
        "1",
        "attempts that may fail, for tasks that don't say; 1 is no retry",
        |c, v| c.settings.max_failures = number(v, 1, 1_000)?
    ),
    key!(
        "retry.max_losses",
        "10",
        "attempts that may be lost with their worker, for tasks that don't say",
        |c, v| c.settings.max_losses = number(v, 1, 1_000)?
    ),
    key!("retry.backoff", "1s", "wait before the second attempt; doubles with each failure", |c, v| c
        .settings
        .backoff =
        millis(v)?),
    key!("retry.backoff_max", "10m", "longest wait between attempts", |c, v| c.settings.backoff_max =
        millis(v)?),
    key!(
        "retention.dedup",
        "24h",
        "how long the id of an ended task is remembered for repeated submits",
        |c, v| c.settings.dedup = millis(v)?
    ),
    key!("retention.completed", "24h", "how long the history of COMPLETED tasks is kept", |c, v| c
        .settings
        .history_completed =
        millis(v)?),
    key!("retention.failed", "7d", "how long the history of other ended tasks is kept", |c, v| c
        .settings
        .history_failed =
        millis(v)?),
    key!(
        "retention.job",
        "30d",
        "how long a job is kept after it is done, and a queue or tag with its counts after its last task",
        |c, v| c.settings.job_kept = millis(v)?
    ),
    key!(
        "reply_prefixes",
        "",
        "prefixes that reply_to may have, comma separated; none: reply_to is refused",
        |c, v| c.settings.reply_prefixes = list(v)
    ),
    key!("batch.records_max", "20000", "records taken into one transaction", |c, v| c.batch_records_max =
        number(v, 1, 1_000_000)?),
    key!("batch.bytes_max", "33554432", "bytes taken into one transaction", |c, v| c.batch_bytes_max =
        number(v, 1_048_576, 1_073_741_824)?),
    key!("store.cache_bytes", "268435456", "block cache of all stores together", |c, v| c
        .store_cache_bytes =
        number(v, 1_048_576, 1_099_511_627_776)?),
    key!(
        "state.free_bytes_min",
        "67108864",
        "bytes that stay free on the disk of state_dir: below it, partitions stop before their next batch until there is space; 0 for none",
        |c, v| c.free_bytes_min = number(v, 0, 1_099_511_627_776)?
    ),
    key!(
        "changelog.delete_retention_min",
        "24h",
        "least delete.retention.ms of the changelog topic; a store that was away for half of it is rebuilt",
        |c, v| c.deletes_kept_min = millis(v)?.as_duration()
    ),
    limit!(
        "limits.payload_bytes_max",
        "65536",
        "bytes of an inline payload; above it payload_ref is needed",
        payload_bytes_max,
        524_288
    ),
    limit!(
        "limits.result_bytes_max",
        "16384",
        "bytes of an inline result; above it result_ref is needed",
        result_bytes_max,
        262_144
    ),
    limit!("limits.tags_max", "16", "tags of one task", tags_max, 64),
    limit!("limits.submit_many_max", "1000", "tasks in one submit_many", submit_many_max, 10_000),
    limit!("limits.queues_max", "1000", "queues of one pool", queues_max, 100_000),
    limit!("limits.workers_max", "20000", "registered workers of one pool", workers_max, 1_000_000),
    limit!("limits.slots_max", "4096", "slots of one worker", slots_max, 65_536),
    limit!(
        "limits.timers_per_tick_max",
        "1000",
        "timers that fire in one batch",
        timers_per_tick_max,
        100_000
    ),
    limit!(
        "limits.sweep_per_tick_max",
        "1000",
        "tasks of a cancelled job that end in one batch",
        sweep_per_tick_max,
        100_000
    ),
    limit!("limits.grants_per_batch_max", "5000", "assignments in one batch", grants_per_batch_max, 100_000),
    limit!(
        "limits.losses_per_tick_max",
        "5000",
        "attempts that are closed as lost in one batch, give or take those of one worker",
        losses_per_tick_max,
        100_000
    ),
    limit!(
        "limits.forgotten_per_tick_max",
        "20000",
        "ended tasks whose id, and windows whose queue, is forgotten in one batch; not below batch.records_max, or they pile up",
        forgotten_per_tick_max,
        1_000_000
    ),
];

/// The program has no TLS of its own: a collector beside it has.
fn endpoint(text: &str) -> Result<String, String> {
    let is_plain = text.is_empty() || text.starts_with("http://");
    if is_plain { Ok(text.to_owned()) } else { Err("must be http://HOST:PORT of a collector nearby".into()) }
}

fn namespace(text: &str) -> Result<String, String> {
    let is_valid =
        !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if is_valid { Ok(text.to_owned()) } else { Err("must be 1 to 64 of A-Z a-z 0-9 -".into()) }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
