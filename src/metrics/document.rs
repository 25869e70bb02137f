//! `docs/metrics.md`, made of the names file.

use super::bounded::OVERFLOW;
use super::names::ALL;

/// The whole page.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(HEAD);
    let mut group = "";
    for metric in ALL {
        if metric.group != group {
            group = metric.group;
            text.push_str(&format!("\n## {group}\n\n{TABLE}"));
        }
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels) = (metric.name, metric.kind.name(), labels.join(", "));
        text.push_str(&format!("| `{name}` | {kind} | {labels} | {} | {} |\n", metric.unit, metric.help));
    }
    text.replace("{overflow}", OVERFLOW)
}

const TABLE: &str = "| name | type | labels | unit | meaning |\n|---|---|---|---|---|\n";

const HEAD: &str = "\
# Metrics

What `/metrics` of a server has, in Prometheus' text format. This page is made from `src/metrics/names.rs`; a test keeps it true
(`YARDMASTER_BLESS=1 cargo test --release -p yardmaster --lib metrics` writes it anew). Dashboards and rules that use these names
are in `grafana/`; what to do when an alert fires is in `docs/runbook.md`.

Labels are bounded, whatever users send: an instance with 8 partitions has fewer than 2,000 series. Names that users choose are
held to the largest 15 pools and 30 queues, by tasks that have not ended; all others are summed up under the name
`{overflow}`, which no pool or queue can have. Histograms have the first 5 pools since the start that had an ended task, and
`{overflow}`. Jobs, tags, tasks and workers are never labels: ask the HTTP API.

Counters begin at zero when a process starts; what stands in the stores (tasks, queues, workers, slots) is exact and survives
restarts. An instance shows the partitions that it serves: sum over instances for the whole namespace.
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_in_docs_is_this_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        if std::env::var_os("YARDMASTER_BLESS").is_some() {
            std::fs::write(&path, document()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == document(), "docs/metrics.md is stale: run this test with YARDMASTER_BLESS=1");
    }

    #[test]
    fn names_are_unique_and_keep_the_house_s_form() {
        for (at, metric) in ALL.iter().enumerate() {
            let name = metric.name;
            assert!(name.starts_with("yardmaster_") || name.starts_with("process_"), "{name}");
            assert_eq!(metric.kind == super::super::Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{name}");
            assert!(ALL.iter().take(at).all(|other| other.name != name), "{name} stands there twice");
        }
    }
}
