//! A server and workers as children of this program, in groups of their own, ended in order: for the demo and the bench.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::log_end::log_end;
use super::output::say;

const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Of the times in `/proc`: the same on every Linux of today (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Where the parts are.
pub(crate) struct Place {
    pub(crate) data: PathBuf,
    pub(crate) bootstrap: String,
    pub(crate) namespace: String,
    pub(crate) http: String,
}

impl Place {
    /// Of the server.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }
}

/// All children, in the order of their start.
#[derive(Default)]
pub(crate) struct Children {
    all: Mutex<Vec<Running>>,
}

struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Children {
    /// A server whose stores lie under the place's data; `settings` are KEY=VALUE of its configuration.
    pub(crate) fn add_server(&self, place: &Place, settings: &[&str]) -> Result<(), Failure> {
        let state = place.data.join("state").display().to_string();
        let mut arguments = vec!["server", "--http", &place.http, "--state-dir", &state];
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        self.add(place, "server", &arguments)
    }

    /// A child that gets the place's broker and namespace. Its stdin is held open: it ends when this process does, however
    /// that comes.
    pub(crate) fn add(&self, place: &Place, name: &'static str, arguments: &[&str]) -> Result<(), Failure> {
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

    /// The processor time that the child of this name has used, in seconds; none when it is gone.
    pub(crate) fn cpu_seconds(&self, name: &str) -> Option<f64> {
        let pid = self.lock().iter().find(|running| running.name == name)?.child.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything: state is the first field, user and system time the 12th and 13th.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
    }

    /// Whether one of them is not there any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().iter_mut().any(|running| matches!(running.child.try_wait(), Ok(Some(_))))
    }

    /// The first that is not there any more, and what it wrote last.
    pub(crate) fn death(&self) -> Option<Failure> {
        self.lock().iter_mut().find_map(|running| {
            let status = running.child.try_wait().ok()??;
            let end = log_end(&running.log);
            Some(Failure::Incomplete(format!("the {} ended with {status}; {end}", running.name)))
        })
    }

    /// The death of a child instead of what followed from it.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        self.death().unwrap_or(failure)
    }

    /// The last one first, so that workers can say goodbye.
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

/// The usual port if it is free, else any.
pub(crate) fn free_address() -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:9733").or_else(|_| TcpListener::bind("127.0.0.1:0"))?;
    Ok(listener.local_addr()?.to_string())
}
