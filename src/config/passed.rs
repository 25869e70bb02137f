//! `kafka.*` properties that are passed through to librdkafka: which may be, and where secrets come from.

use super::ConfigError;
use crate::kafka::{insecurity, is_secret, refusal};

/// How a key that names a file ends: in a file of configuration, and as the environment spells it.
const FILE_ENDINGS: [&str; 2] = ["_file", ".file"];

/// Shown in errors in the place of what nobody may see.
const HIDDEN: &str = "(hidden)";

/// A property and its value; that of a secret may lie in a file, which `kafka.sasl.password_file` names.
pub(super) fn property(name: &str, value: String) -> Result<(String, String), ConfigError> {
    let base = FILE_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
    let Some(secret) = base.filter(|base| is_secret(base)) else {
        return Ok((name.to_owned(), value));
    };
    let text = std::fs::read_to_string(&value).map_err(|error| ConfigError::Value {
        key: format!("kafka.{name}"),
        value: value.clone(),
        cause: format!("the file of a secret can't be read: {error}"),
    })?;
    // Editors end a file with a line's end; no password does.
    Ok((secret.to_owned(), text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Whether these properties may be passed on.
pub(super) fn check(properties: &[(String, String)], insecure: bool) -> Result<(), ConfigError> {
    let mut last: Option<&str> = None;
    for (name, value) in properties {
        let bad = |cause: String| {
            let value = if is_secret(name) { HIDDEN.to_owned() } else { value.clone() };
            Err(ConfigError::Value { key: format!("kafka.{name}"), value, cause })
        };
        if let Some(why) = refusal(name) {
            return bad(format!("can't be set: {why}. Remove it"));
        }
        if let Some(what) = insecurity(name, value).filter(|_| !insecure) {
            return bad(format!("{what}; or set kafka.insecure=true if that is really meant"));
        }
        if last == Some(name) {
            return bad("is given both as a value and as a file: keep one of the two".to_owned());
        }
        last = Some(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str, value: &str, insecure: bool) -> Result<(), ConfigError> {
        check(&[(name.to_owned(), value.to_owned())], insecure)
    }

    #[test]
    fn what_is_ours_is_refused_by_its_name() {
        let error = checked("transactional.id", "mine", true).unwrap_err().to_string();
        assert!(error.starts_with("kafka.transactional.id = mine: can't be set: exactly-once"), "{error}");
        assert!(checked("plugin.library.paths", "/tmp/x.so", true).is_err());
        assert_eq!(checked("client.rack", "a", false), Ok(()));
    }

    #[test]
    fn a_door_is_opened_only_by_its_own_word() {
        let error = checked("enable.ssl.certificate.verification", "false", false).unwrap_err().to_string();
        assert!(error.contains("kafka.insecure=true"), "{error}");
        assert_eq!(checked("enable.ssl.certificate.verification", "false", true), Ok(()));
        assert_eq!(checked("enable.ssl.certificate.verification", "true", false), Ok(()));
        assert!(checked("ssl.endpoint.identification.algorithm", "none", false).is_err());
    }

    #[test]
    fn a_secret_may_lie_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "hunter2\n").unwrap();
        let file = path.display().to_string();
        let expected = ("sasl.password".to_owned(), "hunter2".to_owned());
        assert_eq!(property("sasl.password_file", file.clone()).unwrap(), expected);
        assert_eq!(
            property("sasl.password.file", file.clone()).unwrap(),
            expected,
            "the environment's spelling"
        );
        let error = property("sasl.password_file", format!("{file}.not")).unwrap_err().to_string();
        assert!(error.contains("kafka.sasl.password_file") && error.contains("can't be read"), "{error}");
        let plain = property("ssl.ca.location", "/ca".to_owned()).unwrap();
        assert_eq!(plain, ("ssl.ca.location".to_owned(), "/ca".to_owned()));
    }

    #[test]
    fn a_secret_that_is_said_twice_is_refused_and_not_repeated() {
        let twice = [("a", "hunter2"), ("b", "hunter3")]
            .map(|(_, value)| ("sasl.password".to_owned(), value.to_owned()));
        let error = check(&twice, false).unwrap_err().to_string();
        assert!(error.contains("keep one of the two") && !error.contains("hunter"), "{error}");
    }
}
