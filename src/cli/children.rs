//! The demo's server and workers: children of this program, in groups of their own, ended in order.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Place;
use crate::cli::failure::Failure;
use crate::cli::output::say;

const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// All children, workers last.
pub(crate) struct Children {
    all: Mutex<Vec<Running>>,
}

struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Children {
    /// One server, two workers with 4 slots. Their stdin is held open: they end when this process does, however it does.
    pub(crate) fn start(place: &Place) -> Result<Self, Failure> {
        let children = Self { all: Mutex::new(Vec::new()) };
        let state = place.data.join("state").display().to_string();
        children.add(place, "server", &["server", "--http", &place.http, "--state-dir", &state])?;
        for name in ["worker-1", "worker-2"] {
            let logs = place.data.join("task-logs").display().to_string();
            children.add(
                place,
                name,
                &["worker", "--pool", super::POOL, "--slots", "4", "--name", name, "--log-dir", &logs],
            )?;
        }
        Ok(children)
    }

    fn add(&self, place: &Place, name: &'static str, arguments: &[&str]) -> Result<(), Failure> {
        let log = place.data.join(format!("{name}.log"));
        let file = File::create(&log)?;
        let mut command = Command::new(std::env::current_exe()?);
        for (variable, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("YARDMASTER_"))
        {
            command.env_remove(variable);
        }
        command.args(arguments).args([
            "--kafka",
            &place.bootstrap,
            "--namespace",
            &place.namespace,
            "--follow-stdin",
        ]);
        command.env("NO_COLOR", "1").process_group(0);
        command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn()?;
        self.lock().push(Running { name, child, log });
        Ok(())
    }

    /// Whether one of them is not there any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().iter_mut().any(|running| matches!(running.child.try_wait(), Ok(Some(_))))
    }

    /// Adds to a failure what the ones that ended wrote last.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        for running in self.lock().iter_mut() {
            if let Ok(Some(status)) = running.child.try_wait() {
                let text = std::fs::read_to_string(&running.log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().rev().take(10).collect();
                say(&format!(
                    "the {} ended with {status}; the end of {}:",
                    running.name,
                    running.log.display()
                ));
                lines.iter().rev().for_each(|line| say(&format!("  {line}")));
            }
        }
        failure
    }

    /// Workers first, so that they can say goodbye.
    pub(crate) fn stop(&mut self) {
        let mut all = std::mem::take(&mut *self.lock());
        while let Some(mut running) = all.pop() {
            // The end of stdin is the order to stop.
            drop(running.child.stdin.take());
            let deadline = Instant::now() + STOP_TIMEOUT;
            while matches!(running.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            if matches!(running.child.try_wait(), Ok(None)) {
                say(&format!("the {} does not end, killing it", running.name));
                running.child.kill().ok();
                running.child.wait().ok();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Running>> {
        self.all.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.stop();
    }
}
