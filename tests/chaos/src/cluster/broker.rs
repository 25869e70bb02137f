//! The real broker, with a listener behind each proxy; killed, paused and started again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use yardmaster::embedded::{Broker, BrokerOptions, ProxiedListener};

use crate::proxy::{Proxy, free_port};

/// A broker that keeps its data and its ports over all of its lives.
pub(crate) struct TestBroker {
    broker: Option<Broker>,
    dir: PathBuf,
    port: u16,
    listeners: Vec<ProxiedListener>,
}

impl TestBroker {
    pub(crate) fn start(dir: PathBuf, proxies: &[Proxy]) -> Result<Self> {
        let listener = |proxy: &Proxy| ProxiedListener { port: proxy.broker_port, advertised: proxy.port };
        let mut broker =
            Self { broker: None, dir, port: free_port()?, listeners: proxies.iter().map(listener).collect() };
        broker.restart()?;
        Ok(broker)
    }

    /// For clients that don't go through a proxy.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it again; how long that took until it was ready.
    pub(crate) fn restart(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let mut options = BrokerOptions::new(&self.dir);
        options.port = Some(self.port);
        options.proxied.clone_from(&self.listeners);
        options.heap_mb = 1024;
        self.broker = Some(Broker::start(options)?);
        Ok(began.elapsed())
    }

    /// SIGKILL; the evidence is its process id.
    pub(crate) fn kill(&mut self) -> Result<u32> {
        let mut broker = self.broker.take().ok_or_else(|| anyhow!("the broker does not run"))?;
        broker.kill();
        Ok(broker.pid())
    }

    pub(crate) fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    pub(crate) fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let broker = self.broker.as_ref().ok_or_else(|| anyhow!("the broker does not run"))?;
        Ok(kill(Pid::from_raw(i32::try_from(broker.pid())?), signal)?)
    }
}
