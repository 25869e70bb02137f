//! `yardmaster server`: one instance.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::config::Config;
use crate::runtime::Server;

/// How long a stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Flags of `server`; each stands over the environment and the file.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// Configuration file (TOML); `yardmaster config show` lists the keys
    #[arg(long, value_name = "FILE", env = "YARDMASTER_CONFIG")]
    config: Option<PathBuf>,
    /// Brokers, HOST:PORT[,HOST:PORT]
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Directory of the stores
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Prefix of all topics
    #[arg(long)]
    namespace: Option<String>,
    /// Address of the HTTP endpoint
    #[arg(long, value_name = "IP:PORT")]
    http: Option<String>,
    /// Any other key, for instance --set worker.lease=30s
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ServerArgs {
    /// The configuration that file, environment and flags make.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        let mut overrides = Vec::new();
        let mut over = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                overrides.push((key.to_owned(), value));
            }
        };
        over("kafka.bootstrap", self.kafka.clone());
        over("state_dir", self.state_dir.as_ref().map(|dir| dir.display().to_string()));
        over("namespace", self.namespace.clone());
        over("http.listen", self.http.clone());
        for pair in &self.set {
            let (key, value) = pair.split_once('=').with_context(|| format!("--set {pair}: must be KEY=VALUE"))?;
            over(key, Some(value.to_owned()));
        }
        Ok(Config::load(self.config.as_deref(), &overrides)?)
    }
}

/// Runs until SIGTERM or SIGINT.
pub(super) fn run(args: &ServerArgs) -> anyhow::Result<()> {
    let config = args.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let server = Server::start(config).context("the server can't start")?;
    let outcome = runtime.block_on(crate::http::serve(Arc::clone(&server), stop_signal()));
    tracing::info!("stopping");
    let has_stopped = server.stop(STOP_PATIENCE);
    outcome?;
    if !has_stopped {
        // Everything that counts is in Kafka: leaving now loses nothing.
        tracing::warn!("not everything stopped in {} s, leaving anyway", STOP_PATIENCE.as_secs());
        std::process::exit(0);
    }
    Ok(())
}

/// Ends at the first SIGTERM or SIGINT.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM can't be watched, SIGINT can");
            drop(tokio::signal::ctrl_c().await);
        }
    }
}
