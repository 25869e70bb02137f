//! The broker's jars: resolved once by Maven into the user's cache folder, whole or not at all.
//!
//! Two processes that start at once must not race: a lock file serialises them, Maven writes into a partial folder,
//! and a rename makes it visible. The folder keeps the pom it came from, so that a changed pom resolves again.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::KAFKA_VERSION;
use super::error::{EmbeddedError, last_lines};

/// Names every jar; Maven reads it.
const POM: &str = include_str!("kafka-pom.xml");

/// A fixed version, so that the same pom gives the same run everywhere.
const COPY_GOAL: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// The folder with the jars; resolves them on first use, which `on_progress` is told about.
///
/// # Errors
/// Maven missing or failing, or a cache folder that can't be written.
pub(super) fn resolve_jars(on_progress: &mut dyn FnMut(&str)) -> Result<PathBuf, EmbeddedError> {
    let cache = cache_dir();
    let jars = cache.join(format!("kafka-{KAFKA_VERSION}"));
    if is_current(&jars) {
        return Ok(jars);
    }
    fs::create_dir_all(&cache).map_err(EmbeddedError::io("create", &cache))?;
    let lock_path = cache.join(format!("kafka-{KAFKA_VERSION}.lock"));
    let lock = File::create(&lock_path).map_err(EmbeddedError::io("create", &lock_path))?;
    lock.lock().map_err(EmbeddedError::io("lock", &lock_path))?;
    // Somebody else may have resolved them while this process waited for the lock.
    if !is_current(&jars) {
        on_progress(&format!("resolving the jars of Apache Kafka {KAFKA_VERSION} (once, about 45 MB)"));
        fill(&jars, &cache)?;
    }
    Ok(jars)
}

/// `$XDG_CACHE_HOME/yardmaster`, else `~/.cache/yardmaster`.
fn cache_dir() -> PathBuf {
    let xdg = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env::home_dir().unwrap_or_else(env::temp_dir).join(".cache");
    xdg.unwrap_or_else(home).join("yardmaster")
}

/// Whether the folder is there and was made from this very pom.
fn is_current(jars: &Path) -> bool {
    fs::read_to_string(jars.join("pom.xml")).is_ok_and(|pom| pom == POM)
}

/// Resolves into a partial folder and renames it; only called with the lock held.
fn fill(jars: &Path, cache: &Path) -> Result<(), EmbeddedError> {
    let partial = cache.join(format!("kafka-{KAFKA_VERSION}.partial"));
    remove_dir(&partial)?;
    fs::create_dir_all(&partial).map_err(EmbeddedError::io("create", &partial))?;
    let pom = partial.join("pom.xml");
    fs::write(&pom, POM).map_err(EmbeddedError::io("write", &pom))?;
    run_maven(&pom, &partial, cache)?;
    remove_dir(jars)?;
    fs::rename(&partial, jars).map_err(EmbeddedError::io("rename", &partial))
}

fn run_maven(pom: &Path, into: &Path, cache: &Path) -> Result<(), EmbeddedError> {
    let output = Command::new("mvn")
        .args(["-B", "-q", "-Dstyle.color=never", "-DincludeScope=runtime", "-f"])
        .arg(pom)
        .arg(COPY_GOAL)
        .arg(format!("-DoutputDirectory={}", into.display()))
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(EmbeddedError::MavenMissing { cache: cache.to_owned() });
        }
        Err(error) => return Err(EmbeddedError::io("run", Path::new("mvn"))(error)),
    };
    if output.status.success() {
        return Ok(());
    }
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(EmbeddedError::Jars { lines: last_lines(&text, 15) })
}

/// Removes a folder that may not be there.
pub(super) fn remove_dir(path: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(EmbeddedError::io("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_names_the_version_that_the_program_names() {
        assert!(POM.contains(&format!("<version>{KAFKA_VERSION}</version>")));
    }
}
