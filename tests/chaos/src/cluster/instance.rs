//! One instance of the program: a process with a name, a state directory, an address and a proxy that stay over its lives.

use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Http, await_some, await_that, last_lines, made};
use crate::proxy::free_port;

/// A named instance; dropping it kills its process.
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) http: Http,
    program: PathBuf,
    dir: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    child: Option<Child>,
    /// How often it was started.
    pub(crate) lives: u32,
}

impl Instance {
    /// Not started yet.
    pub(crate) fn new(
        program: &Path,
        dir: PathBuf,
        (namespace, name, kafka): (&str, &str, &str),
        variables: &[(String, String)],
    ) -> Result<Self> {
        let dir = made(dir)?;
        let port = free_port()?;
        let state = dir.join("state").display().to_string();
        let words = ["server", "--kafka", kafka, "--namespace", namespace, "--state-dir", &state];
        let mut arguments: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        // It ends with this process, however that ends.
        arguments.extend(["--follow-stdin".to_owned(), "--http".to_owned(), format!("127.0.0.1:{port}")]);
        let mut variables = variables.to_vec();
        variables.push(("YARDMASTER_INSTANCE_ID".to_owned(), name.to_owned()));
        Ok(Self {
            name: name.to_owned(),
            http: Http::new(port),
            program: program.to_owned(),
            dir,
            arguments,
            variables,
            child: None,
            lives: 0,
        })
    }

    /// Starts the process; `armed` are variables of this life only.
    pub(crate) fn start(&mut self, armed: &[(&str, String)]) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("YARDMASTER_")) {
            command.env_remove(name);
        }
        command.args(&self.arguments).envs(self.variables.iter().cloned()).envs(armed.iter().cloned());
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("starting {}", self.program.display()))?;
        self.child = Some(child);
        self.lives += 1;
        Ok(())
    }

    fn pid(&self) -> Result<Pid> {
        let child = self.child.as_ref().ok_or_else(|| anyhow!("{} does not run", self.name))?;
        Ok(Pid::from_raw(i32::try_from(child.id())?))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.pid()?, signal)?)
    }

    /// How the process ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?),
            None => Ok(None),
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.is_some() && matches!(self.ended(), Ok(None))
    }

    /// SIGKILL; an error when there was nothing to kill, since then the fault did not happen.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().ok_or_else(|| anyhow!("{} does not run", self.name))?;
        if let Some(status) = child.try_wait()? {
            bail!("{} had ended by itself with {status}; {}", self.name, self.last_words());
        }
        child.kill()?;
        let status = child.wait()?;
        match status.signal() {
            Some(number) if number == Signal::SIGKILL as i32 => Ok(()),
            _ => bail!("{} ended with {status} and not by the kill", self.name),
        }
    }

    /// SIGTERM; how long it took to end, and with which code.
    pub(crate) fn stop(&mut self) -> Result<(Duration, Option<i32>)> {
        let began = Instant::now();
        self.signal(Signal::SIGTERM)?;
        let name = format!("the end of {} after SIGTERM", self.name);
        let status = await_some(&name, Duration::from_secs(60), || self.ended().ok().flatten())?;
        self.child = None;
        Ok((began.elapsed(), status.code()))
    }

    /// Waits until it has killed itself at a failpoint.
    pub(crate) fn await_own_death(&mut self, patience: Duration) -> Result<ExitStatus> {
        let what = format!("the failpoint of {}", self.name);
        let status = await_some(&what, patience, || self.ended().ok().flatten())?;
        self.child = None;
        Ok(status)
    }

    /// Whether all of it stands still.
    pub(crate) fn is_stopped(&self) -> bool {
        let Ok(pid) = self.pid() else { return false };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Resident memory in KiB.
    pub(crate) fn rss_kb(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid().ok()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Whether it says that everything is served.
    pub(crate) fn is_ready(&self) -> bool {
        self.child.is_some() && self.http.get("/readyz").is_some_and(|answer| answer.status == 200)
    }

    pub(crate) fn await_ready(&mut self, patience: Duration) -> Result<()> {
        let name = self.name.clone();
        let ready = await_that(&format!("{name} to be ready"), patience, || self.is_ready());
        ready.with_context(|| self.last_words())
    }

    /// The partitions that it says it serves.
    pub(crate) fn owned(&self) -> Vec<i32> {
        let answer = self.http.get("/readyz").map(|answer| answer.json()).unwrap_or_default();
        let owned = answer.get("owned").and_then(|owned| owned.as_array()).cloned().unwrap_or_default();
        owned.iter().filter_map(|one| i32::try_from(one.get("partition")?.as_i64()?).ok()).collect()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    pub(crate) fn last_words(&self) -> String {
        last_lines(&self.log_path(), 30)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            child.kill().ok();
            child.wait().ok();
        }
    }
}
