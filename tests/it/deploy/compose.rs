//! `docker-compose.yml` against the program: what each service runs, where it listens, what it waits for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::words::Words;
use super::{documents, fields, read, root, strings};
use crate::cluster::{bootstrap, run_dir};

/// The compose file.
pub(super) fn compose() -> Value {
    documents(&read("docker-compose.yml")).remove(0)
}

/// The services that run our program, by name.
pub(super) fn programs(compose: &Value) -> BTreeMap<String, Words> {
    let ours = fields(&compose["services"]).into_iter().filter(|(_, service)| is_ours(service));
    ours.map(|(name, service)| (name.clone(), words(service))).collect()
}

fn is_ours(service: &Value) -> bool {
    service["image"] == "yardmaster:local" && service["entrypoint"].is_null()
}

fn words(service: &Value) -> Words {
    let text = |value: &Value| value.as_str().expect("variables are texts").to_owned();
    let variables = fields(&service["environment"]);
    let variables = variables.into_iter().map(|(name, value)| (name.clone(), text(value))).collect();
    Words { words: strings(&service["command"]), variables }
}

/// Source and target of each volume of a service; the source is a volume's name or a path.
pub(super) fn mounts(service: &Value) -> Vec<(String, String)> {
    let parts = |text: &String| {
        let mut parts = text.split(':').map(str::to_owned);
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    };
    strings(&service["volumes"]).iter().map(parts).collect()
}

/// The volume that a path of a service lies in.
fn volume_of<'m>(mounts: &'m [(String, String)], path: &str) -> Option<&'m str> {
    let is_in = |target: &str| path == target || path.starts_with(&format!("{target}/"));
    mounts.iter().find(|(_, target)| is_in(target)).map(|(source, _)| source.as_str())
}

#[test]
fn each_server_is_configured_to_be_found() {
    let compose = compose();
    let servers: BTreeMap<String, Words> =
        programs(&compose).into_iter().filter(|(_, words)| words.command() == "server").collect();
    assert_eq!(servers.len(), 2, "{servers:?}");
    let mut states = BTreeSet::new();
    for (name, words) in &servers {
        words.must_be_taken();
        let shown = words.configuration();
        let value = |key: &str| shown[key].as_str();
        assert_eq!(value("instance.id"), name, "a name that stays keeps its partitions across a restart");
        let (listen, port) = value("http.listen").rsplit_once(':').unwrap();
        assert_eq!(listen, "0.0.0.0", "{name} listens where no other container reaches it");
        assert_eq!(value("http.advertise"), format!("http://{name}:{port}"));
        assert_eq!(value("http.insecure"), "false");
        let service = &compose["services"][name];
        let mounts = mounts(service);
        assert!(
            states.insert(volume_of(&mounts, value("state_dir")).unwrap().to_owned()),
            "{name} shares its state"
        );
        let secrets = volume_of(&mounts, value("http.token_file"));
        assert_eq!(secrets, Some("secrets"), "the token is in the volume that `token` fills");
        let own = words.variables.iter().find(|(name, _)| name == "YARDMASTER_TOKEN_FILE");
        assert_eq!(
            own.unwrap().1,
            value("http.token_file"),
            "commands inside {name} send the server's token"
        );
        let ports = strings(&service["ports"]);
        assert!(ports.iter().all(|published| published.ends_with(&format!(":{port}"))), "{name}: {ports:?}");
    }
}

#[test]
fn workers_can_be_scaled() {
    let compose = compose();
    let programs = programs(&compose);
    let words = &programs["worker"];
    words.must_be_taken();
    // A name, a port or a host name that is given could be given once only.
    assert_eq!(words.flag("name"), None);
    for key in ["container_name", "hostname", "ports"] {
        assert!(compose["services"]["worker"][key].is_null(), "{key}");
    }
    let kafka = words.flag("kafka").unwrap();
    for (name, words) in &programs {
        assert_eq!(words.flag("kafka"), Some(kafka), "{name}");
    }
    let advertised = &compose["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"];
    assert_eq!(*advertised, format!("PLAINTEXT://{kafka}"));
}

#[test]
fn every_health_check_is_a_command() {
    let compose = compose();
    let mut ours = 0;
    for (name, service) in fields(&compose["services"]) {
        let check = &service["healthcheck"];
        if check["disable"] == true {
            assert!(service["image"] == "yardmaster:local", "{name} is a server of others and is watched");
            continue;
        }
        let test = strings(&check["test"]);
        assert!(matches!(test[0].as_str(), "CMD" | "CMD-SHELL") && test.len() > 1, "{name}: {test:?}");
        if test[1] == "yardmaster" {
            Words { words: test[2..].to_vec(), variables: Vec::new() }.must_be_taken();
            ours += 1;
        }
    }
    assert_eq!(ours, 2, "both servers are asked by the program itself");
    assert!(read("Dockerfile").contains("CMD [\"yardmaster\", \"health\"]"));
}

#[test]
fn what_is_waited_for_can_happen() {
    let compose = compose();
    let services = &compose["services"];
    for (name, service) in fields(services) {
        for (other, how) in fields(&service["depends_on"]) {
            let waited = &services[other];
            assert!(waited.is_object(), "{name} waits for {other}, which is no service");
            match how["condition"].as_str().unwrap() {
                "service_healthy" => {
                    assert!(waited["healthcheck"]["test"].is_array(), "{other} is never healthy")
                }
                "service_completed_successfully" => {
                    assert_eq!(waited["restart"], "no", "{other} never completes")
                }
                unknown => panic!("{name} waits for {other} to be {unknown}"),
            }
        }
    }
}

#[test]
fn volumes_and_images_are_named() {
    let compose = compose();
    let declared: BTreeSet<String> =
        fields(&compose["volumes"]).into_iter().map(|(name, _)| name.clone()).collect();
    let mut used = BTreeSet::new();
    for (name, service) in fields(&compose["services"]) {
        for (source, target) in mounts(service) {
            assert!(target.starts_with('/'), "{name}: {source}:{target}");
            match source.strip_prefix("./") {
                None => assert!(used.insert(source.clone()) || source == "secrets", "{name} shares {source}"),
                Some(path) => assert!(root().join(path).exists(), "{name} mounts {path}, which is not there"),
            }
        }
        let image = service["image"].as_str().unwrap();
        let tag = image.split_once(':').map(|(_, tag)| tag);
        assert!(tag.is_some_and(|tag| tag != "latest"), "{name}: {image} names no release");
        assert_eq!(image == "yardmaster:local", service["build"] == ".", "{name}: {image}");
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to the network");
        }
    }
    assert_eq!(used, declared);
    let kafka = compose["services"]["kafka"]["image"].as_str().unwrap();
    assert_eq!(
        kafka,
        format!("apache/kafka:{}", yardmaster::embedded::KAFKA_VERSION),
        "what the tests run on"
    );
}

/// Kafka's name of a variable's setting: the image's own rule, as far as it is used.
fn property(variable: &str) -> Option<String> {
    Some(variable.strip_prefix("KAFKA_")?.to_lowercase().replace('_', "."))
}

#[test]
fn kafka_is_set_up_as_the_broker_of_the_tests_is() {
    bootstrap();
    let text = std::fs::read_to_string(run_dir().join("kafka").join("server.properties")).unwrap();
    let tested: BTreeMap<&str, &str> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    let compose = compose();
    let service = &compose["services"]["kafka"];
    let wanted: BTreeMap<String, &str> = fields(&service["environment"])
        .into_iter()
        .map(|(name, value)| (property(name).expect("a setting of Kafka"), value.as_str().expect("a text")))
        .collect();
    // Addresses and places differ, and are looked at below.
    let places = ["listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"];
    for (name, value) in &wanted {
        let is_same = places.contains(&name.as_str()) || tested.get(name.as_str()) == Some(value);
        assert!(is_same, "{name}={value}: the tests run with {:?}", tested.get(name.as_str()));
    }
    // What the tests' broker needs to be a cluster of one is needed here, too.
    let needed = tested.keys().filter(|name| name.ends_with("factor") || name.ends_with("isr"));
    for name in needed.chain(&["auto.create.topics.enable", "process.roles", "node.id"]) {
        assert!(wanted.contains_key(*name), "{name} is missing");
    }
    assert_eq!(volume_of(&mounts(service), wanted["log.dirs"]), Some("kafka-data"));
    assert_eq!(wanted["controller.quorum.voters"], format!("{}@kafka:9093", wanted["node.id"]));
    assert_eq!(wanted["listeners"], "PLAINTEXT://:9092,CONTROLLER://:9093");
    assert!(service["ports"].is_null(), "Kafka has no password here and is not published");
}

#[test]
fn prometheus_scrapes_every_server_with_the_token() {
    let compose = compose();
    let config = documents(&read("deploy/prometheus.yml")).remove(0);
    let job = config["scrape_configs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|job| job["job_name"] == "yardmaster")
        .unwrap();
    let targets: BTreeSet<String> = job["static_configs"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| strings(&group["targets"]))
        .collect();
    let mut wanted = BTreeSet::new();
    let mounts = mounts(&compose["services"]["prometheus"]);
    for words in programs(&compose).values().filter(|words| words.command() == "server") {
        let shown = words.configuration();
        wanted.insert(shown["http.advertise"].trim_start_matches("http://").to_owned());
        assert_eq!(job["authorization"]["credentials_file"], shown["http.token_file"].as_str());
        assert_eq!(volume_of(&mounts, &shown["http.token_file"]), Some("secrets"));
    }
    assert_eq!(targets, wanted);
    let path = root().join("deploy/prometheus.yml");
    let mut promtool = std::process::Command::new("promtool");
    let output = promtool.args(["check", "config", "--syntax-only"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The variables, `${NAME}`, of a text.
fn variables_in(text: &str) -> BTreeSet<String> {
    let names = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn grafana_is_told_what_its_files_ask_for() {
    let compose = compose();
    let service = &compose["services"]["grafana"];
    let variables = &service["environment"];
    for folder in ["datasources", "dashboards"] {
        for entry in std::fs::read_dir(root().join("grafana/provisioning").join(folder)).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for name in variables_in(&text) {
                assert!(variables[&name].is_string(), "{name} is not set");
            }
        }
    }
    let prometheus = variables["PROMETHEUS_URL"].as_str().unwrap();
    assert_eq!(prometheus, "http://prometheus:9090");
    let dashboards = variables["YARDMASTER_DASHBOARDS"].as_str().unwrap();
    assert_eq!(volume_of(&mounts(service), dashboards), Some("./grafana/dashboards"));
    let password = variables["GF_SECURITY_ADMIN_PASSWORD__FILE"].as_str().unwrap();
    assert_eq!(volume_of(&mounts(service), password), Some("secrets"));
    assert!(
        variables["GF_SECURITY_ADMIN_PASSWORD"].is_null(),
        "a password in a file that everybody has is none"
    );
}
