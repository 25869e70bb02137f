//! Every metric that `grafana/` names stands in the names file, and every alert in the runbook.

use std::collections::BTreeSet;

use yardmaster::metrics::{ALL, Kind};

use super::panels::queries;
use super::{read, root};

const RULES: [&str; 2] = ["grafana/rules/recording.yml", "grafana/rules/alerts.yml"];

/// Words that look like metrics of ours.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c: char| !is_part(c)).map(|word| word.trim_end_matches(':'));
    let is_ours = |word: &&str| {
        ["yardmaster_", "yardmaster:", "process_"]
            .iter()
            .any(|start| word.starts_with(start) && word.len() > start.len())
    };
    words.filter(is_ours).map(str::to_owned).collect()
}

/// Everything that a server can have, histograms in their three forms.
fn known() -> BTreeSet<String> {
    let forms = ALL.iter().flat_map(|metric| {
        let ends: &[&str] = match metric.kind {
            Kind::Histogram => &["_bucket", "_sum", "_count"],
            Kind::Counter | Kind::Gauge => &[""],
        };
        ends.iter().map(move |end| format!("{}{end}", metric.name))
    });
    let recorded = read(RULES[0]);
    forms.chain(values(&recorded, "record")).collect()
}

/// What stands behind `key:` in a file of rules.
fn values(text: &str, key: &str) -> Vec<String> {
    let start = format!("{key}: ");
    let lines = text.lines().map(|line| line.trim().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(&start)).map(|value| value.trim().to_owned()).collect()
}

fn unknown_in(text: &str, known: &BTreeSet<String>) -> Vec<String> {
    metrics_in(text).into_iter().filter(|name| !known.contains(name)).collect()
}

/// Labels in selectors that the metric does not have: they match nothing, or, with `!=`, everything.
fn wrong_labels_in(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for metric in ALL {
        for end in ["", "_bucket", "_sum", "_count"] {
            for rest in text.split(&format!("{}{end}{{", metric.name)).skip(1) {
                let selector = rest.split('}').next().unwrap_or_default();
                let labels =
                    selector.split(',').map(|part| part.split(['=', '!']).next().unwrap_or_default());
                let is_known = |label: &&str| metric.labels.contains(label) || FROM_SCRAPE.contains(label);
                wrong.extend(
                    labels.filter(|label| !is_known(label)).map(|label| format!("{}: {label}", metric.name)),
                );
            }
        }
    }
    wrong
}

/// What the scrape configuration and histograms add.
const FROM_SCRAPE: [&str; 4] = ["namespace", "instance", "job", "le"];

#[test]
fn every_metric_of_grafana_exists() {
    let known = known();
    let queries = queries();
    assert!(queries.len() > 80, "only {} queries were found", queries.len());
    for query in queries {
        let unknown = unknown_in(&query.expr, &known);
        assert!(unknown.is_empty(), "{}, {}: {unknown:?}", query.dashboard, query.panel);
        let wrong = wrong_labels_in(&query.expr);
        assert!(wrong.is_empty(), "{}, {}: {wrong:?}", query.dashboard, query.panel);
    }
    for file in RULES.iter().chain(&["grafana/rules/tests.yml"]) {
        let (unknown, wrong) = (unknown_in(&read(file), &known), wrong_labels_in(&read(file)));
        assert!(unknown.is_empty() && wrong.is_empty(), "{file}: {unknown:?} {wrong:?}");
    }
}

#[test]
fn a_metric_that_does_not_exist_is_found() {
    let known = known();
    assert_eq!(
        unknown_in("sum(rate(yardmaster_made_up_total{a=\"b\"}[1m]))", &known),
        ["yardmaster_made_up_total"]
    );
    assert_eq!(
        unknown_in("yardmaster_batch_seconds", &known),
        ["yardmaster_batch_seconds"],
        "a histogram has no plain form"
    );
    assert_eq!(wrong_labels_in("yardmaster_tasks{pool=\"a\",queue!=\"b\"}"), ["yardmaster_tasks: queue"]);
    assert!(unknown_in("up - on (instance) yardmaster_batches_total", &known).is_empty());
}

#[test]
fn every_alert_stands_in_the_runbook() {
    let (rules, runbook) = (read(RULES[1]), read("docs/runbook.md"));
    let (alerts, urls) = (values(&rules, "alert"), values(&rules, "runbook_url"));
    assert!(alerts.len() >= 10, "{alerts:?}");
    assert_eq!(alerts.len(), urls.len(), "every alert has a runbook_url");
    for (alert, url) in alerts.iter().zip(urls) {
        // Anchors are the headings in small letters.
        assert_eq!(url, format!("docs/runbook.md#{}", alert.to_lowercase()));
        let (_, section) = runbook
            .split_once(&format!("\n## {alert}\n"))
            .unwrap_or_else(|| panic!("no section for {alert}"));
        let section = section.split("\n## ").next().unwrap_or_default();
        for part in ["**Means.**", "**Look.**", "**Do.**"] {
            assert!(section.contains(part), "{alert}: the runbook does not say {part}");
        }
        let tests = read("grafana/rules/tests.yml");
        for case in ["fires", "stays quiet"] {
            assert!(
                tests.contains(&format!("name: {alert} {case}\n")),
                "{alert} has no test in which it {case}"
            );
        }
    }
    let sections = runbook.lines().filter(|line| line.starts_with("## Yardmaster")).count();
    assert_eq!(sections, alerts.len(), "the runbook has sections for alerts that are gone");
    assert!(root().join("docs/metrics.md").exists());
}
