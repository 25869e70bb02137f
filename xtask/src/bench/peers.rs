//! The peers: what they need, how they are started, and the line of JSON that each gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::ground::Ground;
use crate::cargo::{root, run};
use crate::python::environment;

/// A fixed version, so that the same pom gives the same run everywhere.
const COPY_GOAL: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// A system to compare with. Its sources are in `benches/peers`.
pub(crate) struct Peer {
    name: &'static str,
    kind: Kind,
    /// Tasks of a round: seconds of work for it.
    tasks: u32,
    quick_tasks: u32,
}

enum Kind {
    Python {
        script: &'static str,
        requirements: &'static str,
        /// A program that it starts.
        needs: Option<&'static str>,
    },
    /// What it does.
    Streams(&'static str),
}

impl Peer {
    /// Kafka Streams, from submit to completed.
    pub(crate) const STREAMS_LIVES: Self =
        Self { name: "kafka-streams", kind: Kind::Streams("lives"), tasks: 100_000, quick_tasks: 20_000 };
    /// Kafka Streams, from submit to dispatch.
    pub(crate) const STREAMS_DISPATCH: Self =
        Self { name: "kafka-streams", kind: Kind::Streams("dispatch"), tasks: 200_000, quick_tasks: 40_000 };
    /// HyperQueue with real processes.
    pub(crate) const HYPERQUEUE: Self = Self {
        name: "hyperqueue",
        kind: Kind::Python {
            script: "peer_hyperqueue.py",
            requirements: "requirements-hyperqueue.txt",
            needs: None,
        },
        tasks: 3_000,
        quick_tasks: 1_000,
    };
    /// Celery with Redis.
    pub(crate) const CELERY: Self = Self {
        name: "celery",
        kind: Kind::Python {
            script: "peer_celery.py",
            requirements: "requirements-celery.txt",
            needs: Some("redis-server"),
        },
        tasks: 10_000,
        quick_tasks: 3_000,
    };
    /// Dask distributed.
    pub(crate) const DASK: Self = Self {
        name: "dask",
        kind: Kind::Python { script: "peer_dask.py", requirements: "requirements-dask.txt", needs: None },
        tasks: 5_000,
        quick_tasks: 2_000,
    };

    /// How many tasks a round of either side has.
    pub(crate) fn tasks(&self, ground: &Ground) -> u32 {
        if ground.is_quick { self.quick_tasks } else { self.tasks }
    }

    /// Installs what is missing. Quick when nothing is.
    pub(crate) fn prepare(&self, ground: &Ground) -> Result<()> {
        self.command(ground).map(|_| ())
    }

    /// Runs it once; the line that it prints.
    pub(crate) fn run(&self, ground: &Ground, bootstrap: &str) -> Result<Value> {
        let mut command = self.command(ground)?;
        if matches!(self.kind, Kind::Streams(_)) {
            command.args(["--bootstrap", bootstrap]);
        }
        let directory = ground.directory(self.name)?;
        command.arg("--data").arg(directory).args([
            "--tasks",
            &self.tasks(ground).to_string(),
            "--follow-stdin",
        ]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not run the peer {}", self.name))?;
        // Held open until the end: the peer ends when it is closed.
        let stdin = child.stdin.take();
        let output = child.wait_with_output()?;
        drop(stdin);
        if !output.status.success() {
            bail!("the peer {} failed ({})", self.name, output.status);
        }
        read_line(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| format!("the peer {} printed no line of JSON with tasks_per_s", self.name))
    }

    fn command(&self, ground: &Ground) -> Result<Command> {
        let place = ground.peers.join(self.name);
        match &self.kind {
            Kind::Python { script, requirements, needs } => {
                if let Some(program) = needs {
                    find(program)?;
                }
                let folder = Path::new("benches/peers/python");
                let python = environment(&place, &[&folder.join(requirements)])?;
                let mut command = Command::new(python);
                // Nothing is written into the checkout.
                command.arg(root().join(folder).join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
                Ok(command)
            }
            Kind::Streams(work) => {
                let class_path = prepare_streams(&place)?;
                let mut command = Command::new("java");
                command.args([
                    "-Xmx1g",
                    "-XX:+UseParallelGC",
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                ]);
                command.args(["-cp", &class_path, "Peer", "--work", work]);
                Ok(command)
            }
        }
    }
}

/// The last line, if it is what the contract says.
fn read_line(printed: &str) -> Option<Value> {
    let line: Value = serde_json::from_str(printed.lines().last()?).ok()?;
    (line.get("tasks_per_s")?.as_f64()? > 0.0).then_some(line)
}

fn find(program: &str) -> Result<()> {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(_) => Ok(()),
        Err(_) => bail!("{program} is missing: `./yard bench --yes` installs it on Debian and Ubuntu"),
    }
}

/// Fetches the jars and compiles the sources, once per state of both; returns the class path.
fn prepare_streams(place: &Path) -> Result<String> {
    let sources = root().join("benches/peers/kafka-streams");
    let (lib, classes, stamp) = (place.join("lib"), place.join("classes"), place.join("sources.txt"));
    let class_path = format!("{}:{}", classes.display(), lib.join("*").display());
    let mut files: Vec<PathBuf> = fs::read_dir(&sources)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| format!("could not read {}", sources.display()))?;
    files.sort();
    let mut state = String::new();
    for file in &files {
        state += &fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
    }
    if fs::read_to_string(&stamp).is_ok_and(|made| made == state) {
        return Ok(class_path);
    }
    find("javac")?;
    eprintln!("fetching the jars of Kafka Streams and compiling its peer in {}", place.display());
    for folder in [&lib, &classes] {
        fs::remove_dir_all(folder).ok();
        fs::create_dir_all(folder).with_context(|| format!("could not create {}", folder.display()))?;
    }
    run(Command::new("mvn")
        .args(["-B", "-q", "-Dstyle.color=never", "-DincludeScope=runtime", "-f"])
        .arg(sources.join("pom.xml"))
        .arg(COPY_GOAL)
        .arg(format!("-DoutputDirectory={}", lib.display())))?;
    let is_java = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "java");
    run(Command::new("javac")
        // What the broker needs at least, whichever Java compiles: the one that runs may be an older one.
        .args(["--release", "17", "-d"])
        .arg(&classes)
        .args(["-cp", &lib.join("*").display().to_string()])
        .args(files.iter().filter(is_java)))?;
    // Written last: what was cut short is made again.
    fs::write(&stamp, state).with_context(|| format!("could not write {}", stamp.display()))?;
    Ok(class_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_must_have_a_rate() {
        let line = r#"{"peer":"dask","tasks_per_s":637.5}"#;
        let read = read_line(&format!("a banner\n{line}\n")).unwrap();
        assert_eq!(read.get("peer").and_then(Value::as_str), Some("dask"));
        for bad in ["", "{}", r#"{"tasks_per_s":0}"#, "not JSON"] {
            assert_eq!(read_line(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_file_that_a_peer_names_is_there() {
        for peer in [Peer::HYPERQUEUE, Peer::CELERY, Peer::DASK] {
            let Kind::Python { script, requirements, .. } = peer.kind else {
                panic!("{} is Python", peer.name)
            };
            for file in [script, requirements] {
                assert!(root().join("benches/peers/python").join(file).exists(), "{file}");
            }
        }
        assert!(root().join("benches/peers/kafka-streams/Peer.java").exists());
    }
}
