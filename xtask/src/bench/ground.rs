//! Where a run works: the program that is measured, a directory that is emptied before and after, and only one run at a time.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// What every measurement gets.
pub(crate) struct Ground {
    /// The `yardmaster` that is measured.
    pub(crate) program: PathBuf,
    /// Where what is installed for the peers stays.
    pub(crate) peers: PathBuf,
    /// Fewer rounds of fewer tasks.
    pub(crate) is_quick: bool,
    data: PathBuf,
    /// Held as long as this lives: two runs at once would measure each other.
    _lock: File,
}

impl Ground {
    /// Takes the place; refuses while another run has it.
    pub(crate) fn take(program: PathBuf, is_quick: bool) -> Result<Self> {
        Self::take_in(&cache_dir(), program, is_quick)
    }

    fn take_in(cache: &Path, program: PathBuf, is_quick: bool) -> Result<Self> {
        fs::create_dir_all(cache).with_context(|| format!("could not create {}", cache.display()))?;
        let path = cache.join("bench.lock");
        let lock = File::create(&path).with_context(|| format!("could not create {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another bench is running; wait for its end: two would measure each other")
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("could not lock {}", path.display()));
            }
        }
        let ground =
            Self { program, peers: cache.join("peers"), is_quick, data: cache.join("bench"), _lock: lock };
        // What a run left that was killed.
        ground.clear()?;
        Ok(ground)
    }

    /// Rounds that count.
    pub(crate) fn rounds(&self) -> u32 {
        if self.is_quick { 2 } else { 5 }
    }

    /// A new directory of this name.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.data.join(name);
        fs::create_dir_all(&path).with_context(|| format!("could not create {}", path.display()))?;
        Ok(path)
    }

    /// Deletes everything that was written.
    pub(crate) fn clear(&self) -> Result<()> {
        if self.data.exists() {
            fs::remove_dir_all(&self.data)
                .with_context(|| format!("could not delete {}", self.data.display()))?;
        }
        Ok(())
    }

    /// A command of the program that is measured, without what the environment says about it.
    pub(crate) fn yardmaster(&self, words: &str) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("YARDMASTER_"))
        {
            command.env_remove(name);
        }
        command.args(words.split_whitespace()).env("NO_COLOR", "1");
        command
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // The next run empties it, too.
        self.clear().ok();
    }
}

/// `$XDG_CACHE_HOME/yardmaster`, else `~/.cache/yardmaster`: where the program keeps its jars, too.
fn cache_dir() -> PathBuf {
    let xdg = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env::home_dir().unwrap_or_else(env::temp_dir).join(".cache");
    xdg.unwrap_or_else(home).join("yardmaster")
}

/// The end of a log, for an error that a person reads.
pub(crate) fn log_end(path: &Path) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A ground of its own whose program is a shell script; it goes away with the guard.
    pub(crate) struct Stage {
        pub(crate) ground: Ground,
        cache: PathBuf,
    }

    impl Stage {
        pub(crate) fn new(name: &str, script: &str) -> Self {
            let cache = env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(&cache).unwrap();
            let program = cache.join("yardmaster");
            // Written by another process: a file that this one has open for writing may be inherited by what another test
            // starts at that moment, and can't be run meanwhile.
            let write = r#"printf '%s\n' "$1" >"$0" && chmod +x "$0""#;
            let script = format!("#!/bin/sh\n{script}");
            assert!(
                Command::new("sh").args(["-c", write]).arg(&program).arg(script).status().unwrap().success()
            );
            Self { ground: Ground::take_in(&cache, program, true).unwrap(), cache }
        }
    }

    impl Drop for Stage {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.cache).unwrap();
        }
    }

    #[test]
    fn two_at_once_are_refused_and_what_a_killed_run_left_is_deleted() {
        let stage = Stage::new("two", "true");
        let refused = Ground::take_in(&stage.cache, PathBuf::new(), true).err().unwrap().to_string();
        assert!(refused.contains("another bench is running"), "{refused}");
        let left = stage.ground.directory("left").unwrap();
        stage.ground.clear().unwrap();
        assert!(!left.exists());
        assert!(stage.cache.join("bench.lock").exists());
    }

    #[test]
    fn of_a_log_the_last_lines_are_shown_in_their_order() {
        let stage = Stage::new("log", "true");
        let path = stage.cache.join("log");
        fs::write(&path, "1\n2\n3\n4\n5\n6\n").unwrap();
        assert_eq!(log_end(&path), "2\n3\n4\n5\n6");
    }
}
