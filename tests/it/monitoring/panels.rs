//! The dashboards as they lie in `grafana/`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::grafana;

/// One query of a panel.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) dashboard: String,
    pub(super) panel: String,
    pub(super) expr: String,
}

/// The dashboards by file.
pub(super) fn dashboards() -> Vec<(String, Value)> {
    let mut found: Vec<(String, Value)> = fs::read_dir(grafana().join("dashboards"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let json =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_name().unwrap().to_string_lossy().into_owned(), json)
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

fn list(json: &Value) -> Vec<Value> {
    json.as_array().cloned().unwrap_or_default()
}

fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// Every query of every panel.
pub(super) fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (_, dashboard) in dashboards() {
        for panel in list(&dashboard["panels"]) {
            for target in list(&panel["targets"]) {
                let (dashboard, panel) = (text(&dashboard["title"]), text(&panel["title"]));
                queries.push(Query { dashboard, panel, expr: text(&target["expr"]) });
            }
        }
    }
    queries
}

/// As Grafana sends it when everything is chosen.
pub(super) fn filled_in(expr: &str, interval: &str) -> String {
    let mut expr = expr.replace("$__rate_interval", interval);
    for name in ["namespace", "instance", "pool", "queue"] {
        expr = expr.replace(&format!("${name}"), ".*");
    }
    expr
}

#[test]
fn dashboards_are_whole() {
    let (mut uids, mut titles) = (BTreeSet::new(), Vec::new());
    for (file, dashboard) in dashboards() {
        assert!(uids.insert(text(&dashboard["uid"])), "{file}: its uid stands there twice");
        titles.push(text(&dashboard["title"]));
        let names: Vec<String> =
            list(&dashboard["templating"]["list"]).iter().map(|variable| text(&variable["name"])).collect();
        for panel in list(&dashboard["panels"]) {
            let title = text(&panel["title"]);
            assert!(!text(&panel["description"]).is_empty(), "{file}: {title} does not say what it shows");
            assert!(!list(&panel["targets"]).is_empty(), "{file}: {title} asks for nothing");
            for target in list(&panel["targets"]) {
                let expr = text(&target["expr"]);
                assert!(expr.contains("namespace=~\"$namespace\""), "{file}: {title} mixes namespaces");
                for used in expr.split('$').skip(1) {
                    let used: String =
                        used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    let is_known = used == "__rate_interval" || names.contains(&used);
                    assert!(is_known, "{file}: {title} uses ${used}, which is no variable of the dashboard");
                }
            }
        }
    }
    assert_eq!(titles.len(), 5, "{titles:?}");
}
