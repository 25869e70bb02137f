//! Finds the `java` that runs the broker, and refuses one that is too old before it fails in a stranger way.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::error::EmbeddedError;

/// Apache Kafka 4 brokers need Java 17 (KIP-1013).
const JAVA_VERSION_MIN: u32 = 17;

/// The `java` of `JAVA_HOME`, else the one on the path.
///
/// # Errors
/// [`EmbeddedError::Java`] when there is none or it is older than 17.
pub(super) fn find_java() -> Result<PathBuf, EmbeddedError> {
    let java = match env::var_os("JAVA_HOME") {
        Some(home) if !home.is_empty() => PathBuf::from(home).join("bin").join("java"),
        Some(_) | None => PathBuf::from("java"),
    };
    let output = Command::new(&java).arg("-version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| EmbeddedError::Java {
        found: format!("`{}` does not run ({error})", java.display()),
    })?;
    let text = String::from_utf8_lossy(&output.stderr);
    match major_version(&text) {
        Some(version) if version >= JAVA_VERSION_MIN => Ok(java),
        Some(version) => {
            Err(EmbeddedError::Java { found: format!("`{}` is Java {version}", java.display()) })
        }
        None => Err(EmbeddedError::Java { found: format!("`{} -version` names no version", java.display()) }),
    }
}

/// The major version in the text of `java -version`; `1.8` is 8.
fn major_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let mut numbers = quoted.split(|character: char| !character.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_versions_old_and_new() {
        assert_eq!(major_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(major_version("java version \"1.8.0_392\""), Some(8));
        assert_eq!(major_version("openjdk version \"25-ea\" 2025-09-16"), Some(25));
        assert_eq!(major_version("command not found"), None);
    }
}
