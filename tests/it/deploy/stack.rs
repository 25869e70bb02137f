//! The stack of the compose file without containers: each service's own command line as a process, host names, ports and
//! paths mapped to this machine, against the others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use super::compose::{compose, programs};
use super::secrets::make_secrets;
use super::words::Words;
use super::{directory, read, strings};
use crate::cluster::{Http, await_some, bootstrap, free_port, fresh_namespace, guarded_program, program};

/// A service that is killed by its pid when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Where things are that have other names inside containers.
struct Stack {
    dir: PathBuf,
    namespace: String,
    ports: BTreeMap<String, u16>,
    programs: BTreeMap<String, Words>,
}

impl Stack {
    fn new() -> Self {
        let dir = directory("stack");
        make_secrets(&secrets_in(&dir));
        let programs = programs(&compose());
        let ports = programs.keys().map(|name| (name.clone(), free_port())).collect();
        Self { dir, namespace: fresh_namespace("stack"), ports, programs }
    }

    /// A text of this service as it must be on this machine.
    fn map(&self, service: &str, text: &str) -> String {
        let mut text = text.replace("kafka:9092", &bootstrap());
        for (name, port) in &self.ports {
            text = text.replace(&format!("{name}:9733"), &format!("127.0.0.1:{port}"));
        }
        let own = self.ports.get(service).copied().unwrap_or_default();
        // Only loopback is open to tests.
        text = text.replace("0.0.0.0:9733", &format!("127.0.0.1:{own}"));
        text = text.replace("/etc/yardmaster", secrets_in(&self.dir).to_str().unwrap());
        text.replace("/var/lib/yardmaster", self.dir.join(service).to_str().unwrap())
    }

    fn words(&self, service: &str) -> Words {
        self.programs[service].map(|text| self.map(service, text))
    }

    /// The environment that commands inside a service's container have.
    fn inside(&self, service: &str, command: &mut Command) {
        let url = format!("http://127.0.0.1:{}", self.ports[service]);
        command.env("YARDMASTER_URL", url).env("YARDMASTER_NAMESPACE", &self.namespace);
        command.envs(self.words(service).variables);
    }

    fn start(&self, service: &str) -> Running {
        let mut command = program();
        command.args(self.words(service).words);
        self.inside(service, &mut command);
        let log = fs::File::create(self.log(service)).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Running(command.spawn().unwrap())
    }

    fn log(&self, service: &str) -> PathBuf {
        self.dir.join(format!("{service}.log"))
    }

    /// What a failure should show.
    fn logs(&self) -> String {
        let logs = self.programs.keys().map(|name| fs::read_to_string(self.log(name)).unwrap_or_default());
        logs.collect::<Vec<_>>().join("\n--\n")
    }

    /// `docker compose exec SERVICE yardmaster WORDS`.
    fn exec(&self, service: &str, words: &[&str]) -> Output {
        let mut command = guarded_program();
        self.inside(service, &mut command);
        command.args(words).output().unwrap()
    }

    /// Until the health check of the compose file says well.
    fn await_healthy(&self, service: &str) {
        let check = strings(&compose()["services"][service]["healthcheck"]["test"]);
        let words: Vec<&str> = check.iter().skip(2).map(String::as_str).collect();
        let look = || self.exec(service, &words).status.success().then_some(());
        await_some(&format!("the health of {service}"), || self.logs(), look);
    }

    fn http(&self, service: &str) -> Http {
        Http::new(&format!("http://127.0.0.1:{}", self.ports[service]))
    }
}

fn secrets_in(dir: &Path) -> PathBuf {
    let secrets = dir.join("secrets");
    fs::create_dir_all(&secrets).unwrap();
    secrets
}

/// The commands that the head of the compose file tells people to run inside a service.
fn told(file: &str) -> Vec<(String, Vec<String>)> {
    let text = read(file);
    let lines = text.lines().filter_map(|line| line.split_once("docker compose exec ").map(|(_, rest)| rest));
    let commands = lines.filter_map(|rest| rest.split_once(" yardmaster "));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    commands.map(|(service, rest)| (service.to_owned(), words(rest))).collect()
}

/// Prometheus, as the compose file starts it.
fn start_prometheus(stack: &Stack) -> (Running, Http) {
    let config = stack.map("prometheus", &read("deploy/prometheus.yml"));
    let rules = super::root().join("grafana/rules/");
    let path = stack.dir.join("prometheus.yml");
    fs::write(&path, config.replace("rules/", rules.to_str().unwrap())).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let words = strings(&compose()["services"]["prometheus"]["command"]).into_iter().map(|word| {
        let word = word.replace("/etc/prometheus/prometheus.yml", path.to_str().unwrap());
        word.replace("=/prometheus", &format!("={}", stack.dir.join("prometheus").display()))
    });
    let mut command = Command::new("/usr/bin/prometheus");
    command.args(words).arg(format!("--web.listen-address={address}"));
    let log = fs::File::create(stack.log("prometheus")).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    (
        Running(command.spawn().expect("apt-get install prometheus, or use `./yard test`")),
        Http::new(&format!("http://{address}")),
    )
}

fn shown(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\nstdout:\n{out}\nstderr:\n{err}", output.status)
}

#[test]
fn the_stack_works_without_containers() {
    let stack = Stack::new();
    assert_eq!(stack.exec("server-1", &["health"]).status.code(), Some(3), "nobody is there yet");
    let _servers = ["server-1", "server-2"].map(|name| stack.start(name));
    stack.await_healthy("server-1");
    stack.await_healthy("server-2");
    let _worker = stack.start("worker");

    // Without the token nobody gets anything run, whichever server is asked.
    let task = json!({"id":"t-1","pool":"default","command":["true"]});
    for server in ["server-1", "server-2"] {
        assert_eq!(stack.http(server).post("/v1/tasks", &task).status, 401);
        assert_eq!(stack.http(server).get("/metrics").status, 401);
    }
    let bare = guarded_program()
        .args(["submit", "--url", &stack.http("server-1").url, "--", "true"])
        .output()
        .unwrap();
    assert_eq!(bare.status.code(), Some(1), "{}", shown(&bare));

    // With it, the commands that people are told to run: one of the servers sends on to the other.
    let told = [told("docker-compose.yml"), told("README.md")].concat();
    assert!(told.iter().any(|(_, words)| words[0] == "submit"), "{told:?}");
    for (service, words) in &told {
        for service in [service.as_str(), "server-2"] {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let output = stack.exec(service, &words);
            assert!(output.status.success(), "{words:?}\n{}\n{}", shown(&output), stack.logs());
        }
    }
    let output = stack
        .exec("server-2", &["submit", "--id", "t-2", "--wait", "--json", "--", "echo", "{\"answer\":42}"]);
    let answer: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", shown(&output)));
    let task = &answer["tasks"][0];
    assert_eq!((&task["state"], &task["result"]), (&json!("COMPLETED"), &json!({"answer":42})), "{answer}");

    // Prometheus has the token, too.
    let (_prometheus, http) = start_prometheus(&stack);
    let words = || fs::read_to_string(stack.log("prometheus")).unwrap_or_default();
    await_some("both servers in Prometheus", words, || {
        let answer = http.try_get("/api/v1/query?query=sum(up%7Bjob=%22yardmaster%22%7D)")?;
        let json: Value = serde_json::from_str(&answer.body).ok()?;
        (json["data"]["result"][0]["value"][1] == "2").then_some(())
    });
    let rules = http.get("/api/v1/rules").json();
    assert_eq!(rules["data"]["groups"].as_array().unwrap().len(), 2, "recording rules and alerts: {rules}");
}
