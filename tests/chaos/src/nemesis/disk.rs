//! A disk that can be full: a tmpfs over a state directory, made smaller and larger while it is in use. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Unmounted when it is dropped.
pub(crate) struct SmallDisk {
    dir: PathBuf,
}

impl SmallDisk {
    /// Whether this process may mount at all.
    pub(crate) fn is_possible() -> bool {
        let id = Command::new("id").arg("-u").output();
        id.is_ok_and(|output| output.stdout.starts_with(b"0\n"))
    }

    pub(crate) fn mount(dir: &Path, mebibytes: u64) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let size = format!("size={mebibytes}m,mode=0700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "chaos"]).arg(dir))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Of the whole disk, in KiB: what is used and what is free.
    pub(crate) fn figures(&self) -> Result<(u64, u64)> {
        let output = Command::new("df").args(["-k", "--output=used,avail"]).arg(&self.dir).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut numbers = text.lines().nth(1).unwrap_or_default().split_whitespace();
        let mut next = || numbers.next().and_then(|number| number.parse().ok());
        next().zip(next()).with_context(|| format!("df said {text}"))
    }

    pub(crate) fn resize_kb(&self, kibibytes: u64) -> Result<()> {
        let size = format!("remount,size={kibibytes}k");
        run(Command::new("mount").args(["-o", &size]).arg(&self.dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process may still hold a file of it.
        if let Err(error) = run(Command::new("umount").arg("-l").arg(&self.dir)) {
            eprintln!("{error:#}");
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
