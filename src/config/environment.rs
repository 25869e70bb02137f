//! The environment's values: `YARDMASTER_WORKER_LEASE` is `worker.lease`, `YARDMASTER_KAFKA_SECURITY_PROTOCOL` is
//! `kafka.security.protocol`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::{ConfigError, KEYS};

const PREFIX: &str = "YARDMASTER_";
const KAFKA: &str = "KAFKA_";

/// Variables that are no keys: the command line's own, the build's and the tests'.
const OTHERS: &[&str] =
    &["URL", "POOL", "LOG", "TOKEN_FILE", "TARGET_DIR", "CONFIG", "SEED", "FAILPOINT", "MUTANT"];
const OTHERS_OF_TESTS: &str = "TEST_";

/// What the environment says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    /// Values by key.
    pub(super) values: BTreeMap<String, String>,
    /// Variables that look as if they were meant, in words.
    pub(super) warnings: Vec<String>,
}

/// Reads all variables. Those that are not ours may be anything, also no text.
pub(super) fn read(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Environment, ConfigError> {
    let mut environment = Environment::default();
    for (name, value) in variables {
        let Some(word) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        if OTHERS.contains(&word) || word.starts_with(OTHERS_OF_TESTS) {
            continue;
        }
        let Some(key) = key_of(word) else {
            environment.warnings.push(unknown(word));
            continue;
        };
        let Ok(value) = value.into_string() else {
            let cause = format!("{PREFIX}{word} is not UTF-8");
            return Err(ConfigError::Value { key, value: "(bytes)".to_owned(), cause });
        };
        environment.values.insert(key, value);
    }
    Ok(environment)
}

fn key_of(word: &str) -> Option<String> {
    let known = KEYS.iter().find(|key| variable(key.name) == word).map(|key| key.name.to_owned());
    let property = || {
        let rest = word.strip_prefix(KAFKA).filter(|rest| !rest.is_empty())?;
        Some(format!("kafka.{}", rest.to_lowercase().replace('_', ".")))
    };
    known.or_else(property)
}

/// Without the prefix.
fn variable(key: &str) -> String {
    key.to_uppercase().replace('.', "_")
}

fn unknown(word: &str) -> String {
    let near = KEYS.iter().map(|key| variable(key.name)).min_by_key(|name| distance(name, word));
    let near = near.unwrap_or_default();
    format!("{PREFIX}{word} is not a known setting and is ignored; the closest is {PREFIX}{near}")
}

/// How many letters have to be changed, left out or put in (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, left) in one.bytes().enumerate() {
        let mut last = at;
        let mut next = vec![at + 1];
        for (right, above) in other.bytes().zip(row.iter().skip(1)) {
            let beside = next.last().copied().unwrap_or_default();
            next.push((last + usize::from(left != right)).min(above + 1).min(beside + 1));
            last = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        read(pairs.iter().map(|(name, value)| (name.into(), value.into()))).unwrap()
    }

    #[test]
    fn a_variable_is_its_key() {
        let found = environment(&[
            ("YARDMASTER_WORKER_LEASE", "20s"),
            ("YARDMASTER_KAFKA_BOOTSTRAP", "b:9092"),
            ("YARDMASTER_KAFKA_SASL_PASSWORD", "x"),
            ("YARDMASTER_URL", "http://x"),
            ("YARDMASTER_TEST_SCALE", "2"),
            ("HOME", "/root"),
        ]);
        let keys: Vec<&str> = found.values.keys().map(String::as_str).collect();
        assert_eq!(keys, ["kafka.bootstrap", "kafka.sasl.password", "worker.lease"]);
        assert_eq!(found.warnings, Vec::<String>::new());
    }

    #[test]
    fn a_mistyped_variable_is_told_with_the_closest_key() {
        let found = environment(&[("YARDMASTER_WORKR_LEASE", "20s"), ("YARDMASTER_HTTP_ADRESS", "x")]);
        assert_eq!(found.values, BTreeMap::new());
        assert!(
            found.warnings[0].ends_with("the closest is YARDMASTER_WORKER_LEASE"),
            "{:?}",
            found.warnings
        );
        assert!(found.warnings[1].contains("YARDMASTER_HTTP_ADRESS"), "{:?}", found.warnings);
    }

    #[test]
    fn what_is_no_text_matters_only_where_it_is_ours() {
        let bytes = || OsString::from_vec(vec![0xff]);
        assert!(read([(bytes(), bytes()), ("A".into(), bytes())].into_iter()).is_ok());
        let error = read([("YARDMASTER_NAMESPACE".into(), bytes())].into_iter()).unwrap_err();
        assert!(error.to_string().contains("YARDMASTER_NAMESPACE is not UTF-8"), "{error}");
    }

    #[test]
    fn letters_that_differ() {
        assert_eq!((distance("LEASE", "LEASE"), distance("LEASE", "LESAE"), distance("", "ab")), (0, 2, 2));
    }
}
