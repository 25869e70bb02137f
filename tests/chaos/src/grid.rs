//! A grid under test: instances in one namespace, the workload on it, and two observers. At its end it is drained and judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::cluster::{Instance, PATIENCE, WorkerProcess, await_that};
use crate::history::{History, Kind};
use crate::lab::Lab;
use crate::rng::Rng;
use crate::workload::{
    Acknowledged, Client, Fleet, FleetOptions, Manners, Observer, Outbox, Submitter, SubmitterOptions,
    pools_of_each_partition, task,
};

/// How large, how busy, how patient.
#[derive(Debug, Clone)]
pub(crate) struct GridOptions {
    pub(crate) instances: usize,
    pub(crate) partitions: usize,
    pub(crate) instance_timeout: Duration,
    pub(crate) lease: Duration,
    /// In each pool; none: no fleet.
    pub(crate) workers: usize,
    pub(crate) slots: usize,
    pub(crate) manners: Manners,
    /// Real ones, beside them.
    pub(crate) processes: usize,
    /// Tasks in each command; none: no submitter.
    pub(crate) each: usize,
    pub(crate) every: Duration,
    /// Also over HTTP.
    pub(crate) over_http: bool,
    /// Observers remember each task; not for millions of them.
    pub(crate) keeps_names: bool,
}

impl GridOptions {
    pub(crate) fn new(instances: usize) -> Self {
        Self {
            instances,
            partitions: 4,
            instance_timeout: Duration::from_secs(3),
            lease: Duration::from_secs(8),
            workers: 3,
            slots: 8,
            manners: Manners::bad(),
            processes: 0,
            each: 3,
            every: Duration::from_millis(150),
            over_http: true,
            keeps_names: true,
        }
    }
}

/// Everything in one namespace.
pub(crate) struct Grid {
    pub(crate) client: Client,
    pub(crate) instances: Vec<Instance>,
    pub(crate) options: GridOptions,
    pub(crate) pools: Vec<String>,
    pub(crate) fleet: Option<Fleet>,
    pub(crate) processes: Vec<WorkerProcess>,
    pub(crate) submitter: Option<Submitter>,
    pub(crate) acknowledged: Acknowledged,
    pub(crate) observers: [Observer; 2],
    probes: Outbox,
    probed: AtomicU64,
    history: Arc<History>,
}

impl Grid {
    /// Started, ready, and at work.
    pub(crate) fn start(lab: &Lab, word: &str, options: GridOptions, rng: &mut Rng) -> Result<Self> {
        lab.heal();
        let namespace = lab.fresh_namespace(word);
        let client = Client { bootstrap: lab.broker.bootstrap(), namespace: namespace.clone() };
        let mut instances = Vec::new();
        for number in 0..options.instances {
            let mut instance = new_instance(lab, &client.namespace, number, &options)?;
            instance.start(&[])?;
            instances.push(instance);
        }
        for instance in &mut instances {
            instance.await_ready(PATIENCE)?;
        }
        let pools = pools_of_each_partition(options.partitions);
        let observers =
            [Observer::start(&client, options.keeps_names)?, Observer::start(&client, options.keeps_names)?];
        let probes = client.outbox("tasks")?;
        let mut grid = Self {
            client,
            instances,
            pools,
            fleet: None,
            processes: Vec::new(),
            submitter: None,
            acknowledged: Acknowledged::default(),
            observers,
            probes,
            probed: AtomicU64::new(0),
            history: Arc::new(History::create(&lab.dir, &namespace)?),
            options,
        };
        grid.begin_work(lab, rng)?;
        Ok(grid)
    }

    fn begin_work(&mut self, lab: &Lab, rng: &mut Rng) -> Result<()> {
        if self.options.workers > 0 {
            let isolation =
                if lab.plan.mutant.as_deref() == Some("M7") { "read_uncommitted" } else { "read_committed" };
            let fleet = FleetOptions {
                pools: self.pools.clone(),
                workers: self.options.workers,
                slots: self.options.slots,
                lease: self.options.lease,
                manners: self.options.manners.clone(),
                isolation,
            };
            let wanted = self.options.workers * self.pools.len();
            let fleet = self.fleet.insert(Fleet::start(&self.client, fleet, rng.fork("fleet"))?);
            await_that("the fleet's welcome", PATIENCE, || fleet.welcome() * 2 > wanted)?;
        }
        for number in 0..self.options.processes {
            let name = format!("real-{number}");
            let log = lab.dir.join(&self.client.namespace).join(format!("{name}.log"));
            let place = (self.client.bootstrap.as_str(), self.client.namespace.as_str(), name.as_str());
            self.processes.push(WorkerProcess::start(&lab.program, &log, place, &self.pools)?);
        }
        if self.options.each > 0 {
            let https = self.instances.iter().map(|instance| instance.http.clone()).collect();
            let options = SubmitterOptions {
                pools: self.pools.clone(),
                each: self.options.each,
                every: self.options.every,
                https: if self.options.over_http { https } else { Vec::new() },
                doubled: 10,
                cancelled: 10,
                poison: 3,
            };
            let submitter = Submitter::start(
                &self.client,
                &options,
                rng.fork("submitter"),
                &self.acknowledged,
                &self.history,
            );
            self.submitter = Some(submitter?);
        }
        Ok(())
    }

    /// One more, behind a proxy of its own; not started.
    pub(crate) fn add_instance(&mut self, lab: &Lab) -> Result<usize> {
        let number = self.instances.len();
        self.instances.push(new_instance(lab, &self.client.namespace, number, &self.options)?);
        Ok(number)
    }

    /// The instance of this number.
    pub(crate) fn at(&mut self, number: usize) -> Result<&mut Instance> {
        let count = self.instances.len();
        self.instances.get_mut(number).with_context(|| format!("instance {number} of {count}"))
    }

    /// Starts whatever does not run, and waits until all are ready.
    pub(crate) fn all_ready(&mut self) -> Result<()> {
        for instance in &mut self.instances {
            if !instance.is_running() {
                instance.start(&[])?;
            }
        }
        for instance in &mut self.instances {
            instance.await_ready(PATIENCE)?;
        }
        Ok(())
    }

    /// A quiet window: one new task in each pool from submit to its end. How long that took.
    pub(crate) fn probe(&self) -> Result<Duration> {
        let began = Instant::now();
        let number = self.probed.fetch_add(1, Ordering::SeqCst);
        let names: Vec<String> = self.pools.iter().map(|pool| format!("{pool}/probe-{number}")).collect();
        self.history.log("probe", Kind::Invoke, "submit", &json!({"number":number}));
        for (pool, name) in self.pools.iter().zip(&names) {
            let mut task = task(&format!("probe-{number}"));
            task["priority"] = json!(1_000);
            let record = json!({"v":1,"type":"submit","pool":pool,"task":task}).to_string();
            self.probes.send(pool, &record, vec![name.clone()])?;
        }
        let ended = await_that(&format!("the ends of {names:?}"), PATIENCE, || {
            self.acknowledged.extend(self.probes.take_delivered());
            let seen = self.observers[0].seen();
            names.iter().all(|name| seen.ended.contains_key(name))
        });
        let kind = if ended.is_ok() { Kind::Ok } else { Kind::Fail };
        self.history.log("probe", kind, "submit", &json!({"number":number}));
        ended.map(|()| began.elapsed())
    }

    /// How many tasks have ended.
    pub(crate) fn ends(&self) -> u64 {
        self.observers[0].seen().count("ended")
    }

    /// Nothing new is submitted; waits until all that was acknowledged has ended. What has not by then, in words.
    pub(crate) fn drain(&mut self) -> Vec<String> {
        if let Some(submitter) = self.submitter.take() {
            submitter.finish();
        }
        // Once these are taken everything that was sent before them is, also what nobody waits for.
        let mut faults = Vec::new();
        if self.options.workers > 0
            && let Err(error) = self.probe()
        {
            faults.push(format!("I11: {error:#}"));
        }
        let acknowledged = self.acknowledged.all();
        let left = || {
            let seen = self.observers[0].seen();
            let mut left: Vec<String> =
                acknowledged.iter().filter(|name| !seen.ended.contains_key(*name)).cloned().collect();
            left.extend(seen.accepted.iter().filter(|name| !seen.ended.contains_key(*name)).cloned());
            left
        };
        // Only a standstill is an error, however long the queue is.
        let (mut last, mut moved_at) = (left().len(), Instant::now());
        while last > 0 && moved_at.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
            let now = left().len();
            if now < last {
                (last, moved_at) = (now, Instant::now());
            }
        }
        let left = left();
        if !left.is_empty() {
            let some: Vec<&String> = left.iter().take(5).collect();
            let text = format!("I11: {} acknowledged tasks have not ended, among them {some:?}", left.len());
            faults.push(text);
        }
        faults
    }
}

fn new_instance(lab: &Lab, namespace: &str, number: usize, options: &GridOptions) -> Result<Instance> {
    let name = format!("i{number}");
    let proxy = lab.proxies.get(number).with_context(|| format!("no proxy for instance {number}"))?;
    let value = |name: &str, value: String| (format!("YARDMASTER_{name}"), value);
    let mut variables = vec![
        value("PARTITIONS", options.partitions.to_string()),
        value("INSTANCE_TIMEOUT", format!("{}ms", options.instance_timeout.as_millis())),
        value("WORKER_LEASE", format!("{}ms", options.lease.as_millis())),
        value("STORE_CACHE_BYTES", (32 << 20).to_string()),
    ];
    if let Some(mutant) = &lab.plan.mutant {
        variables.push(value("MUTANT", mutant.clone()));
    }
    let dir = lab.dir.join(namespace).join(&name);
    Instance::new(&lab.program, dir, (namespace, &name, &proxy.address()), &variables)
}
