//! Logs: no panic, no error that nobody can explain, and no secret there or in any answer.

use crate::Evidence;
use crate::violation::{Faults, Invariant};

/// What one process wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFile {
    /// Its name, for a person.
    pub name: String,
    /// All of it.
    pub text: String,
}

pub(crate) fn check_logs(evidence: &Evidence, faults: &mut Faults) {
    let is_explained = |line: &str| evidence.explained.iter().any(|part| line.contains(part.as_str()));
    for log in &evidence.logs {
        for (number, line) in log.text.lines().enumerate() {
            let plain = without_colours(line);
            let what = match () {
                () if plain.contains("panicked at") => "a panic",
                () if is_error(&plain) => "an error that no fault explains",
                () => continue,
            };
            if !is_explained(&plain) {
                let place = format!("{}:{}", log.name, number + 1);
                faults.add(Invariant::Log, place, format!("{what}: {}", plain.trim()));
            }
        }
    }
    let logs = evidence.logs.iter().map(|log| (log.name.clone(), log.text.clone()));
    let answers = evidence.answers.iter().map(|answer| (answer.path.clone(), answer.body.to_string()));
    for (place, text) in logs.chain(answers) {
        for secret in evidence.secrets.iter().filter(|secret| text.contains(secret.as_str())) {
            let shown: String = secret.chars().take(3).collect();
            faults.add(Invariant::Secret, place.clone(), format!("the secret {shown}... can be read"));
        }
    }
}

/// `ERROR` as its own word at the head, or as the level of a JSON line.
fn is_error(line: &str) -> bool {
    line.split_whitespace().take(2).any(|word| word == "ERROR") || line.contains(r#""level":"ERROR""#)
}

/// Terminals' colours are `ESC [ ... m`.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}
