//! Processes that a measurement needs: each follows its stdin, so it ends when this program does, however that comes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::ground::{Ground, log_end};

const STOP_TIMEOUT: Duration = Duration::from_secs(15);
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// Of the times in `/proc`: the same on every Linux of today (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Ends what it runs when stdin ends. A shell's background command does not hear Ctrl-C and has no stdin of its own.
const FOLLOWED: &str = r#"trap '' INT; "$0" "$@" & read -r _; kill "$!" 2>/dev/null; wait"#;

/// A running process; it is ended when this is dropped.
pub(crate) struct Child {
    name: String,
    child: process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts a command that follows its stdin by itself; what it prints lies in the directory.
    pub(crate) fn start(name: &str, mut command: Command, directory: &Path) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("could not create {}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("could not start the {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Fails when it is not there any more, with what it said last.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => bail!("the {} ended by itself ({status}):\n{}", self.name, log_end(&self.log)),
        }
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("could not look after the {}", self.name))
    }

    /// Processor seconds that it has used.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        cpu_seconds(&stat)
            .with_context(|| format!("the kernel's times of the {} have another form", self.name))
    }

    /// Memory that it holds, in MiB.
    pub(crate) fn rss_mib(&self) -> Result<f64> {
        let status = self.proc("status")?;
        rss_mib(&status).with_context(|| format!("the kernel's sizes of the {} have another form", self.name))
    }

    fn proc(&self, file: &str) -> Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))
            .with_context(|| format!("the {} is not there any more", self.name))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The end of stdin is the order to stop.
        drop(self.child.stdin.take());
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            eprintln!("the {} does not end, killing it", self.name);
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// A Kafka for one measurement, with a heap that does not limit.
pub(crate) struct Broker {
    child: Child,
    /// `HOST:PORT`.
    pub(crate) bootstrap: String,
}

impl Broker {
    /// Returns when it is ready.
    pub(crate) fn start(ground: &Ground) -> Result<Self> {
        let directory = ground.directory("kafka")?;
        let mut kafka = ground.yardmaster("kafka --heap 1024 --json --data");
        kafka.arg(&directory);
        let mut command = Command::new("sh");
        command.args(["-c", FOLLOWED]).arg(kafka.get_program()).args(kafka.get_args());
        let mut child = Child::start("broker", command, &directory)?;
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if let Some(bootstrap) = bootstrap(&fs::read_to_string(&child.log).unwrap_or_default()) {
                return Ok(Self { child, bootstrap });
            }
            child.check()?;
            if Instant::now() > deadline {
                bail!("the broker was not ready in time:\n{}", log_end(&child.log));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Fails when it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.child.check()
    }
}

/// The address in what `yardmaster kafka --json` has printed so far.
fn bootstrap(printed: &str) -> Option<String> {
    let address = |line: &str| {
        let ready: Value = serde_json::from_str(line).ok()?;
        Some(ready.get("bootstrap")?.as_str()?.to_owned())
    };
    printed.lines().find_map(address)
}

/// After the name, which may hold anything, state is the first field, user and system time are the 12th and 13th.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn rss_mib(status: &str) -> Option<f64> {
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?;
    Some(kib.parse::<f64>().ok()? / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_read() {
        let stat = "12 (a) b (c) S 1 1 1 0 -1 4194304 5 0 0 0 250 50 0 0 20 0 9 0 100 1 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(rss_mib("VmPeak: 9 kB\nVmRSS:\t   51200 kB\n"), Some(50.0));
        assert_eq!((cpu_seconds("nothing"), rss_mib("nothing")), (None, None));
    }

    #[test]
    fn the_address_is_found_among_other_lines_once_it_is_whole() {
        let line = r#"{"bootstrap":"127.0.0.1:9092","data":"/d"}"#;
        assert_eq!(bootstrap(&format!("starting\n{line}\n")).as_deref(), Some("127.0.0.1:9092"));
        assert_eq!(bootstrap(r#"{"bootstrap":"127.0"#), None);
    }

    #[test]
    fn what_does_not_follow_stdin_ends_with_it_all_the_same() {
        let directory = std::env::temp_dir().join(format!("xtask-child-{}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", FOLLOWED, "sh", "-c", "echo $$; exec sleep 600"]);
        let child = Child::start("sleeper", command, &directory).unwrap();
        let log = child.log.clone();
        let deadline = Instant::now() + READY_TIMEOUT;
        let said = loop {
            let said = fs::read_to_string(&log).unwrap();
            if said.ends_with('\n') || Instant::now() > deadline {
                break said;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let proc = format!("/proc/{}", said.trim());
        assert!(Path::new(&proc).exists(), "it runs: {said:?}");
        drop(child);
        assert!(!Path::new(&proc).exists(), "it is gone with the one that followed");
        fs::remove_dir_all(directory).unwrap();
    }
}
