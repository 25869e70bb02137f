//! The rules by Prometheus' own judge: their form, and series that make each alert fire or leave it quiet.

use std::process::Command;

use super::grafana;

fn promtool(words: &[&str]) {
    let output = Command::new("promtool").args(words).current_dir(grafana()).output();
    let output = output.unwrap_or_else(|error| {
        panic!("promtool: {error}: apt-get install prometheus, or use `./yard test`")
    });
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {words:?}\n{}", String::from_utf8_lossy(&said));
}

#[test]
fn rules_are_well_formed() {
    promtool(&["check", "rules", "rules/recording.yml", "rules/alerts.yml"]);
    promtool(&["check", "config", "prometheus.yml"]);
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    promtool(&["test", "rules", "rules/tests.yml"]);
}
