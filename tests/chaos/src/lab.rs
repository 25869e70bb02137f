//! What all trials of one call share: the run's directory, a broker, its proxies, the history, and what was found.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::cluster::{TestBroker, made};
use crate::history::History;
use crate::proxy::Proxy;

/// So many instances can stand behind a proxy of their own.
const PROXIES: usize = 6;

/// What the command line asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) trials: Option<u32>,
    pub(crate) minutes: Option<f64>,
    pub(crate) tasks: Option<u64>,
    pub(crate) workers: Option<usize>,
    /// Given to every instance as `YARDMASTER_MUTANT`.
    pub(crate) mutant: Option<String>,
    /// The checkout: where docs/ and the integration tests are.
    pub(crate) root: PathBuf,
}

impl Plan {
    pub(crate) fn trials(&self, default: u32) -> u32 {
        self.trials.unwrap_or(default).max(1)
    }

    pub(crate) fn minutes(&self, default: f64) -> std::time::Duration {
        std::time::Duration::from_secs_f64(60.0 * self.minutes.unwrap_or(default).max(0.05))
    }
}

/// What stands in violations that an observer's sequence shows.
pub(crate) const OBSERVER: &str = "I4: observer";

/// What a scenario found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) trials: u32,
    pub(crate) violations: Vec<String>,
    /// Trials in which the fault left no trace, or nothing was completed: they prove nothing.
    pub(crate) invalid: Vec<String>,
    pub(crate) recoveries_ms: Vec<u64>,
    pub(crate) seeds: Vec<u64>,
    /// Figures in words.
    pub(crate) notes: Vec<String>,
    /// Grids whose observers were compared with each other and with the topics: S32 goes with every scenario.
    pub(crate) compared: u32,
    /// Why it was not run at all.
    pub(crate) not_run: Option<String>,
}

impl Outcome {
    pub(crate) fn not_run(why: &str) -> Self {
        Self { not_run: Some(why.to_owned()), ..Self::default() }
    }

    /// The part of it that belongs to S32.
    pub(crate) fn of_readers(&self) -> Self {
        let is_theirs = |violation: &&String| violation.contains(OBSERVER);
        Self {
            trials: self.compared,
            violations: self.violations.iter().filter(is_theirs).cloned().collect(),
            seeds: self.seeds.clone(),
            ..Self::default()
        }
    }
}

/// Broker and proxies of one call.
pub(crate) struct Lab {
    pub(crate) dir: PathBuf,
    pub(crate) program: PathBuf,
    pub(crate) broker: TestBroker,
    pub(crate) proxies: Vec<Proxy>,
    /// What the nemesis did; each grid has a history of its own.
    pub(crate) history: Arc<History>,
    pub(crate) plan: Plan,
    namespaces: AtomicU64,
}

impl Lab {
    pub(crate) fn open(dir: &Path, program: &Path, plan: Plan) -> Result<Self> {
        let dir = made(dir.to_owned())?;
        let proxies = (0..PROXIES).map(|_| Proxy::start()).collect::<Result<Vec<_>>>()?;
        let broker = TestBroker::start(dir.join("kafka"), &proxies)?;
        Ok(Self {
            history: Arc::new(History::create(&dir, "lab")?),
            program: program.to_owned(),
            broker,
            proxies,
            plan,
            dir,
            namespaces: AtomicU64::new(0),
        })
    }

    /// That no other grid of this broker has.
    pub(crate) fn fresh_namespace(&self, word: &str) -> String {
        format!("{word}-{}", self.namespaces.fetch_add(1, Ordering::SeqCst))
    }

    /// All faults of all proxies off.
    pub(crate) fn heal(&self) {
        for proxy in &self.proxies {
            proxy.faults.heal();
        }
    }
}

/// A line for the person who waits.
pub(crate) fn say(scenario: &str, line: &str) {
    eprintln!("{scenario}: {line}");
}
