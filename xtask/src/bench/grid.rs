//! A server and workers as a user starts them, for what no `yardmaster bench` drives.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::child::Child;
use super::ground::Ground;

const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two looks at something that is not timed.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A server in a namespace of its own.
pub(crate) struct Grid<'g> {
    ground: &'g Ground,
    bootstrap: String,
    namespace: String,
    directory: PathBuf,
    /// `IP:PORT`, for HTTP.
    pub(crate) http: String,
    /// Ended before the server, so that they can say goodbye.
    workers: Vec<Child>,
    /// The server.
    pub(crate) server: Child,
}

impl<'g> Grid<'g> {
    /// Returns when the server is ready.
    pub(crate) fn start(
        ground: &'g Ground,
        bootstrap: &str,
        namespace: &str,
        partitions: u32,
    ) -> Result<Self> {
        let directory = ground.directory(namespace)?;
        let http = free_address()?;
        let mut command = ground.yardmaster("server --follow-stdin");
        command.args(["--kafka", bootstrap, "--namespace", namespace, "--http", &http, "--state-dir"]);
        command.arg(directory.join("state")).args(["--set", &format!("partitions={partitions}")]);
        let mut server = Child::start("server", command, &directory)?;
        until("the server", READY_TIMEOUT, LOOK_INTERVAL, || {
            server.check()?;
            Ok(get(&http, "/readyz").is_ok_and(|(status, _)| status == 200))
        })?;
        let (bootstrap, namespace) = (bootstrap.to_owned(), namespace.to_owned());
        Ok(Self { ground, bootstrap, namespace, directory, http, workers: Vec::new(), server })
    }

    /// A worker; `pools` are `NAME=SLOTS`.
    pub(crate) fn add_worker(&mut self, name: &str, pools: &[String]) -> Result<()> {
        let mut command = self.ground.yardmaster("worker --follow-stdin");
        command.args(["--kafka", &self.bootstrap, "--namespace", &self.namespace, "--name", name]);
        command.args(pools.iter().flat_map(|pool| ["--pool", pool]));
        self.workers.push(Child::start(name, command, &self.directory)?);
        Ok(())
    }

    /// Fails when a part of it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.workers.iter_mut().chain([&mut self.server]).try_for_each(Child::check)
    }

    /// What the server answers; none when it does not know of it, or not yet.
    pub(crate) fn json(&self, path: &str) -> Result<Option<Value>> {
        match get(&self.http, path)? {
            (200, body) => serde_json::from_str(&body)
                .with_context(|| format!("the server's answer to {path} is not JSON"))
                .map(Some),
            (404, _) => Ok(None),
            (status, body) => bail!("the server answered {status} to {path}: {body}"),
        }
    }

    /// Where its files lie.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Grid<'_> {
    fn drop(&mut self) {
        self.workers.clear();
    }
}

/// Looks again and again; fails when it takes too long.
pub(crate) fn until(
    what: &str,
    patience: Duration,
    interval: Duration,
    mut is_so: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !is_so()? {
        if Instant::now() > deadline {
            bail!("{what} did not come within {} s", patience.as_secs());
        }
        thread::sleep(interval);
    }
    Ok(())
}

fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port on loopback")?;
    Ok(listener.local_addr()?.to_string())
}

/// A GET in its simplest form: HTTP/1.0, so the answer's end is the end of the connection.
pub(crate) fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("nobody listens at {address}"))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("no answer from {address} to {path}"))?;
    read_answer(&answer).with_context(|| format!("the answer from {address} to {path} is not HTTP"))
}

fn read_answer(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(read_answer(answer), Some((200, "{}".to_owned())));
        assert_eq!(read_answer("HTTP/1.0"), None);
    }

    #[test]
    fn a_get_reads_to_the_end_of_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 512];
            let length = stream.read(&mut head).unwrap();
            stream.write_all(b"HTTP/1.0 503 Busy\r\n\r\nlater").unwrap();
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        assert_eq!(get(&address, "/readyz").unwrap(), (503, "later".to_owned()));
        assert!(server.join().unwrap().starts_with("GET /readyz HTTP/1.0\r\n"));
    }
}
