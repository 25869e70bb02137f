//! A real Prometheus with our configuration and rules scrapes a real server under a small load: every query of every
//! panel and every rule has data, and nothing is refused.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use yardmaster::metrics::{ALL, Kind};

use super::load::Load;
use super::panels::{Query, filled_in, queries};
use super::{grafana, read};
use crate::cluster::{Http, Server, ServerOptions, await_some, free_port, run_dir};
use crate::outside::Running;

/// Longer than a few scrapes.
const INTERVAL: &str = "15s";

struct Prometheus {
    _running: Running,
    http: Http,
    log: std::path::PathBuf,
}

impl Prometheus {
    /// With `grafana/prometheus.yml`, but for the address of the server and how often it is asked.
    fn start(server: &Server) -> Self {
        let dir = run_dir().join("prometheus");
        fs::create_dir_all(&dir).unwrap();
        let target = server.http.url.trim_start_matches("http://");
        let config = read("grafana/prometheus.yml")
            .replace("127.0.0.1:9733", target)
            .replace("_interval: 10s", "_interval: 1s")
            .replace("rules/", &format!("{}/", grafana().join("rules").display()));
        let path = dir.join("prometheus.yml");
        fs::write(&path, config).unwrap();
        let (address, log) = (format!("127.0.0.1:{}", free_port()), dir.join("prometheus.log"));
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", path.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("prometheus: {error}: apt-get install prometheus, or use `./yard test`")
        });
        Self { _running: Running(child), http: Http::new(&format!("http://{address}")), log }
    }

    /// The values of a query that are numbers; an error of it fails the test.
    fn ask(&self, expr: &str) -> Vec<f64> {
        let escaped: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
        // 503 says that it is still starting.
        let answer = self.http.try_get(&format!("/api/v1/query?query={escaped}"));
        let Some(answer) = answer.filter(|answer| answer.status != 503) else {
            return Vec::new();
        };
        let json = answer.json();
        assert_eq!(json["status"], "success", "{expr}\n{json}");
        let samples = json["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |sample: &Value| sample["value"][1].as_str()?.parse::<f64>().ok();
        samples.iter().filter_map(value).filter(|value| !value.is_nan()).collect()
    }

    /// All rules with what became of them.
    fn rules(&self) -> Vec<Value> {
        let answer = self.http.get("/api/v1/rules").json();
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect()
    }

    fn words(&self, server: &Server) -> String {
        format!("{}\n{}", fs::read_to_string(&self.log).unwrap_or_default(), server.last_words())
    }
}

/// Asks until every one has had data, while the load goes on.
fn await_data(prometheus: &Prometheus, server: &Server, load: &mut Load, queries: &[Query]) {
    let open = std::cell::RefCell::new(queries.to_vec());
    let missing = || {
        let line =
            |query: &Query| format!("no data: {} | {} | {}\n", query.dashboard, query.panel, query.expr);
        open.borrow().iter().map(line).collect::<String>()
    };
    await_some(
        "data of every query",
        || format!("{}\n{}", missing(), prometheus.words(server)),
        || {
            load.turn();
            open.borrow_mut().retain(|query| prometheus.ask(&filled_in(&query.expr, INTERVAL)).is_empty());
            open.borrow().is_empty().then_some(())
        },
    );
}

/// What an operator would see now: each panel's queries with how many series they have and the largest value.
fn print_table(prometheus: &Prometheus, queries: &[Query]) {
    for query in queries {
        let values = prometheus.ask(&filled_in(&query.expr, INTERVAL));
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (dashboard, panel) = (&query.dashboard, &query.panel);
        eprintln!("{dashboard:<30} {panel:<48} {:>3} series, largest {largest:>16.4}", values.len());
    }
}

/// Every name in a rule's query that is a metric of ours.
fn metrics_of(expr: &str) -> BTreeSet<String> {
    let words = expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| {
        ALL.iter().any(|metric| {
            word.strip_prefix(metric.name)
                .is_some_and(|end| matches!(end, "" | "_bucket" | "_sum" | "_count"))
        })
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

/// The rules as queries: of an alert, which should be quiet, what it is made of must have data.
fn rule_queries(prometheus: &Prometheus, server: &Server) -> Vec<Query> {
    let is_judged =
        |rule: &Value| rule["health"] == "ok" && rule["lastError"].as_str().is_none_or(str::is_empty);
    let rules = await_some(
        "rules that were evaluated",
        || prometheus.words(server),
        || {
            let rules = prometheus.rules();
            assert!(rules.iter().all(|rule| rule["health"] != "err"), "{rules:#?}");
            (!rules.is_empty() && rules.iter().all(is_judged)).then_some(rules)
        },
    );
    let mut queries = Vec::new();
    for rule in rules {
        let (name, expr) = (rule["name"].as_str().unwrap().to_owned(), rule["query"].as_str().unwrap());
        prometheus.ask(expr);
        let exprs =
            if rule["type"] == "recording" { BTreeSet::from([name.clone()]) } else { metrics_of(expr) };
        queries.extend(exprs.into_iter().map(|expr| Query {
            dashboard: "rules".to_owned(),
            panel: name.clone(),
            expr,
        }));
    }
    queries
}

/// What a server that is well and alone does not have: `storage` and `failover` see these.
const NOT_ALONE: [&str; 3] =
    ["yardmaster_partition_halted", "yardmaster_standby_lag_records", "yardmaster_standby_lag_seconds"];

#[test]
fn prometheus() {
    // Two partitions, so that one of them is wrong; a short lease, so that workers are lost soon.
    let options = ServerOptions::new("prometheus")
        .with("YARDMASTER_PARTITIONS", "2")
        .with("YARDMASTER_WORKER_HEARTBEAT", "500ms")
        .with("YARDMASTER_WORKER_LEASE", "2s");
    let server = Server::start(&options);
    let prometheus = Prometheus::start(&server);
    let words = || prometheus.words(&server);
    await_some("a scrape that works", words, || (prometheus.ask("up") == [1.0]).then_some(()));
    let mut load = Load::start(&server);
    let mut open = queries();
    open.extend(rule_queries(&prometheus, &server));
    open.extend(ALL.iter().map(|metric| {
        let end = if metric.kind == Kind::Histogram { "_count" } else { "" };
        let expr = format!("count({}{end})", metric.name);
        Query { dashboard: "names file: series".to_owned(), panel: metric.name.to_owned(), expr }
    }));
    open.retain(|query| !NOT_ALONE.iter().any(|name| query.expr.contains(name)));
    await_data(&prometheus, &server, &mut load, &open);
    print_table(&prometheus, &open);
    let firing = "ALERTS{alertname=\"YardmasterDeadLetters\",alertstate=\"firing\"}";
    await_some("the alert about the dead letter", words, || {
        (!prometheus.ask(firing).is_empty()).then_some(())
    });
    let dead: f64 = prometheus.ask("sum(yardmaster_dead_letters_total)").iter().sum();
    assert!((dead - 1.0).abs() < 1e-9, "one record was not JSON, {dead} are counted");
    let series = prometheus.ask("yardmaster_metrics_series");
    assert!(series.iter().all(|series| *series < 2_000.0), "{series:?}");
}
