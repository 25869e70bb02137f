//! The text of the broker's `server.properties`: one node that is broker and controller, on loopback only.

use std::fmt::Write as _;
use std::path::Path;

/// How much the broker writes to its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// What went wrong only. The default: a broker at work is silent.
    #[default]
    Warn,
    /// What the broker is doing, too.
    Info,
}

impl LogLevel {
    /// Log4j's name of the level.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Warn => "WARN",
            Self::Info => "INFO",
        }
    }
}

/// The two ports of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    /// Where clients connect.
    pub(super) client: u16,
    /// Where the node talks to itself as its own controller.
    pub(super) controller: u16,
}

/// A further listener for clients that come through a proxy and must be sent back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxiedListener {
    /// Where the broker listens on 127.0.0.1.
    pub port: u16,
    /// The proxy's port on 127.0.0.1, which clients of this listener are told to connect to.
    pub advertised: u16,
}

/// Each setting that is not Kafka's default, with the reason.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("one JVM is the whole cluster", "process.roles", "broker,controller"),
    ("the only node", "node.id", "1"),
    ("the listener that is not for clients", "controller.listener.names", "CONTROLLER"),
    ("the broker's own connections never go through a proxy", "inter.broker.listener.name", "PLAINTEXT"),
    ("with one broker nothing can be replicated (default 3)", "offsets.topic.replication.factor", "1"),
    ("likewise (default 3)", "transaction.state.log.replication.factor", "1"),
    ("likewise (default 2)", "transaction.state.log.min.isr", "1"),
    ("likewise (default 3)", "share.coordinator.state.topic.replication.factor", "1"),
    ("likewise (default 2)", "share.coordinator.state.topic.min.isr", "1"),
    (
        "50 partitions would only slow the first start and the recovery after a kill",
        "offsets.topic.num.partitions",
        "4",
    ),
    (
        "likewise; yardmaster has one transactional id per partition",
        "transaction.state.log.num.partitions",
        "4",
    ),
    ("likewise", "share.coordinator.state.topic.num.partitions", "1"),
    (
        "a misspelt topic must be an error: yardmaster creates and verifies its own",
        "auto.create.topics.enable",
        "false",
    ),
    ("a single consumer has nobody to wait for (default 3 s)", "group.initial.rebalance.delay.ms", "0"),
    (
        "a broker that was killed can only register again when its old session has ended (default 9000)",
        "broker.session.timeout.ms",
        "4000",
    ),
    ("eight beats in a session (default 2000)", "broker.heartbeat.interval.ms", "500"),
    ("a killed broker must be back quickly on two cores", "num.recovery.threads.per.data.dir", "2"),
];

/// The whole file. `log_dir` is where the broker keeps its data.
pub(super) fn server_properties(ports: Ports, proxied: &[ProxiedListener], log_dir: &Path) -> String {
    let Ports { client, controller } = ports;
    let mut text = String::from("# Written at each start by yardmaster; edits are lost.\n");
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}");
    let mut advertised = format!("PLAINTEXT://127.0.0.1:{client}");
    let mut protocols = String::from("PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT");
    for (number, listener) in proxied.iter().enumerate() {
        let ProxiedListener { port, advertised: proxy } = listener;
        listeners.push_str(&format!(",PROXY{number}://127.0.0.1:{port}"));
        advertised.push_str(&format!(",PROXY{number}://127.0.0.1:{proxy}"));
        protocols.push_str(&format!(",PROXY{number}:PLAINTEXT"));
    }
    let voters = format!("1@127.0.0.1:{controller}");
    let log_dir = escape(&log_dir.display().to_string());
    push(&mut text, "loopback only: a broker for trying out has no password", "listeners", &listeners);
    push(&mut text, "what clients are told to connect to", "advertised.listeners", &advertised);
    push(&mut text, "no encryption: nothing leaves loopback", "listener.security.protocol.map", &protocols);
    push(
        &mut text,
        "a fixed quorum of one, so that its port may change",
        "controller.quorum.voters",
        &voters,
    );
    push(&mut text, "everything in one directory", "log.dirs", &log_dir);
    for (reason, key, value) in SETTINGS {
        push(&mut text, reason, key, value);
    }
    text
}

fn push(text: &mut String, reason: &str, key: &str, value: &str) {
    // Writing to a String can't fail.
    let _written = writeln!(text, "# {reason}\n{key}={value}");
}

/// In a properties file a backslash starts an escape.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> String {
        server_properties(Ports { client: 19092, controller: 19093 }, &[], Path::new("/data/kafka"))
    }

    #[test]
    fn every_address_is_loopback_with_its_port() {
        let text = sample();
        assert!(text.contains("\nlisteners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093\n"));
        assert!(text.contains("\nadvertised.listeners=PLAINTEXT://127.0.0.1:19092\n"));
        assert!(text.contains("\ncontroller.quorum.voters=1@127.0.0.1:19093\n"));
        assert!(!text.contains("0.0.0.0"));
    }

    #[test]
    fn a_proxied_listener_sends_its_clients_to_the_proxy() {
        let ports = Ports { client: 19092, controller: 19093 };
        let proxied = [ProxiedListener { port: 19094, advertised: 19095 }];
        let text = server_properties(ports, &proxied, Path::new("/data/kafka"));
        assert!(text.contains("CONTROLLER://127.0.0.1:19093,PROXY0://127.0.0.1:19094\n"), "{text}");
        assert!(text.contains("PLAINTEXT://127.0.0.1:19092,PROXY0://127.0.0.1:19095\n"), "{text}");
        assert!(text.contains("CONTROLLER:PLAINTEXT,PROXY0:PLAINTEXT\n"), "{text}");
    }

    #[test]
    fn each_setting_has_a_reason_and_no_key_comes_twice() {
        let text = sample();
        let mut keys: Vec<&str> =
            text.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key).collect();
        let comments = text.lines().filter(|line| line.starts_with("# ")).count();
        assert_eq!(comments, keys.len() + 1, "one comment per setting and the head line");
        keys.sort_unstable();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn nothing_needs_a_second_broker() {
        let text = sample();
        for key in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
            assert!(text.contains(&format!("\n{key}.replication.factor=1\n")), "{key}");
        }
    }

    #[test]
    fn a_backslash_in_the_path_is_escaped() {
        assert_eq!(escape(r"a\b"), r"a\\b");
    }
}
