//! A real `yardmaster worker` beside the simulated ones; dropping it kills it.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// A process that serves some pools with two slots each.
pub(crate) struct WorkerProcess {
    child: Child,
}

impl WorkerProcess {
    pub(crate) fn start(
        program: &Path,
        log: &Path,
        (kafka, namespace, name): (&str, &str, &str),
        pools: &[String],
    ) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("YARDMASTER_")) {
            command.env_remove(name);
        }
        command.args([
            "worker",
            "--kafka",
            kafka,
            "--namespace",
            namespace,
            "--name",
            name,
            "--follow-stdin",
        ]);
        for pool in pools {
            command.args(["--pool", &format!("{pool}=2")]);
        }
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { child })
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
