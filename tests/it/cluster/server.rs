//! The real binary as a child process, killed by its pid when it is dropped.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Http, await_some, bootstrap, fresh_namespace, run_dir};

/// How to start one.
#[derive(Debug, Clone)]
pub(crate) struct ServerOptions {
    pub(crate) namespace: String,
    /// Tells the servers of a namespace apart.
    pub(crate) name: String,
    /// `YARDMASTER_*` variables.
    pub(crate) variables: Vec<(String, String)>,
    /// Another broker than the one of all tests.
    pub(crate) bootstrap: Option<String>,
    /// Further words of its command line.
    flags: Vec<String>,
    /// What happens to its process where, as `YARDMASTER_FAILPOINT` has it.
    failpoint: Option<String>,
}

impl ServerOptions {
    /// In a namespace of its own.
    pub(crate) fn new(test: &str) -> Self {
        Self {
            namespace: fresh_namespace(test),
            name: "one".to_owned(),
            variables: Vec::new(),
            bootstrap: None,
            flags: Vec::new(),
            failpoint: None,
        }
    }

    /// In its first life something happens to it there.
    pub(crate) fn armed(mut self, failpoint: &str) -> Self {
        self.failpoint = Some(failpoint.to_owned());
        self
    }

    /// With one more variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With one more flag.
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Another server of the same namespace.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) http: Http,
    pub(crate) options: ServerOptions,
    dir: PathBuf,
    port: u16,
    /// What its log had before this start.
    log_before: usize,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(options: &ServerOptions) -> Self {
        let mut server = Self::launch(options, free_port());
        server.wait_ready();
        server
    }

    /// Starts one that must not start; returns its last words.
    pub(crate) fn refused(options: &ServerOptions) -> String {
        let mut server = Self::launch(options, free_port());
        let code = server.await_end();
        assert!(code.is_some_and(|code| code != 0), "{code:?}\n{}", server.last_words());
        server.last_words()
    }

    /// Starts it; it need not get ready.
    pub(crate) fn start_unready(options: &ServerOptions) -> Self {
        Self::launch(options, free_port())
    }

    /// Starts it, on this port.
    fn launch(options: &ServerOptions, port: u16) -> Self {
        let dir = run_dir().join(&options.namespace).join(&options.name);
        fs::create_dir_all(&dir).unwrap();
        let log = log_file(&dir);
        let log_before = usize::try_from(log.metadata().unwrap().len()).unwrap();
        let address = format!("127.0.0.1:{port}");
        let mut command = if options.failpoint.is_some() { chaos_program() } else { program() };
        command.envs(options.failpoint.iter().map(|text| ("YARDMASTER_FAILPOINT", text)));
        let kafka = options.bootstrap.clone().unwrap_or_else(bootstrap);
        command.args(["server", "--kafka", &kafka, "--namespace", &options.namespace]);
        command.args(["--http", &address, "--state-dir"]).arg(dir.join("state")).args(&options.flags);
        command.envs(options.variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("the program starts");
        let http = Http::new(&format!("http://{address}"));
        Self { child, http, options: options.clone(), dir, port, log_before }
    }

    /// Until `/readyz` says 200.
    pub(crate) fn wait_ready(&mut self) {
        let deadline = std::time::Instant::now() + super::PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}\n{}", self.last_words());
            }
            if self.http.try_get("/readyz").is_some_and(|answer| answer.status == 200) {
                return;
            }
            let in_time = std::time::Instant::now() < deadline;
            assert!(in_time, "waited in vain for /readyz\n{}", self.last_words());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether a failpoint has killed it by now.
    pub(crate) fn has_died(&mut self) -> bool {
        let status = self.child.try_wait().unwrap();
        if let Some(status) = status {
            let killed = status.signal() == Some(nix::sys::signal::Signal::SIGKILL as i32);
            let words = self.last_words();
            assert!(killed && words.contains("failpoint "), "it ended with {status}\n{words}");
        }
        status.is_some()
    }

    /// Its next life has this failpoint, or none.
    pub(crate) fn arm(&mut self, failpoint: Option<&str>) {
        self.options.failpoint = failpoint.map(str::to_owned);
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.ask_to_stop();
        self.await_end()
    }

    /// SIGTERM.
    pub(crate) fn ask_to_stop(&self) {
        self.signal(nix::sys::signal::Signal::SIGTERM);
    }

    /// SIGHUP, as a terminal sends it that is closed.
    pub(crate) fn hang_up(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGHUP);
    }

    /// Waits for the end, and says with which code.
    pub(crate) fn await_end(&mut self) -> Option<i32> {
        let words = last_lines(&self.log_path());
        await_some("the server's end after a signal", || words.clone(), || self.child.try_wait().unwrap())
            .code()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// After a kill or stop: again, with the same state, on the same port.
    pub(crate) fn restart(&mut self) {
        self.restart_unready();
        self.wait_ready();
    }

    /// As [`Server::restart`], when it is not going to be ready.
    pub(crate) fn restart_unready(&mut self) {
        *self = Self::launch(&self.options, self.port);
    }

    /// After a kill or stop: as if the disk had been lost.
    pub(crate) fn wipe(&self) {
        fs::remove_dir_all(self.state_dir()).unwrap();
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// `<namespace>.<name>`.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.options.namespace)
    }

    /// Records of the changelog that each partition's restore has read since this start, from the log.
    pub(crate) fn restored(&self) -> Vec<u64> {
        let text = fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(text.get(self.log_before..).unwrap_or_default()).into_owned();
        let is_restore = |line: &&str| line.contains("restored to the changelog's end");
        text.lines().filter(is_restore).filter_map(|line| logged_number(line, "records")).collect()
    }

    /// What it has logged since this start.
    pub(crate) fn log_since_start(&self) -> String {
        self.log().split_off(self.log_before)
    }

    /// What a failure should show.
    pub(crate) fn last_words(&self) -> String {
        last_lines(&self.log_path())
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("server.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The program, without what this process may have been told. `YARDMASTER_TEST_PROGRAM` names another build of it.
pub(crate) fn program() -> Command {
    without_settings(Command::new(program_path()))
}

fn program_path() -> OsString {
    std::env::var_os("YARDMASTER_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_yardmaster").into())
}

/// The build of it that has failpoints.
fn chaos_program() -> Command {
    let path = std::env::var_os("YARDMASTER_TEST_CHAOS_PROGRAM").expect(
        "YARDMASTER_TEST_CHAOS_PROGRAM names no program that was built with `--features chaos`: use `./yard test`",
    );
    without_settings(Command::new(path))
}

/// The program, ended with exit code 124 if it does not end by itself: a hang guard for commands that should.
pub(crate) fn guarded_program() -> Command {
    let mut command = Command::new("timeout");
    command.arg("120").arg(program_path());
    without_settings(command)
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("YARDMASTER_")) {
        command.env_remove(name);
    }
    // A mistake that the tests should find.
    command.envs(std::env::var_os("YARDMASTER_TEST_MUTANT").map(|mutant| ("YARDMASTER_MUTANT", mutant)));
    command
}

/// Free at this moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `records=12` or `"records":12`, with or without colours.
fn logged_number(line: &str, field: &str) -> Option<u64> {
    let mut plain = String::new();
    let mut is_colour = false;
    for letter in line.chars() {
        match letter {
            '\u{1b}' => is_colour = true,
            'm' if is_colour => is_colour = false,
            _ if is_colour => {}
            _ => plain.push(letter),
        }
    }
    let (_, rest) =
        plain.split_once(&format!(" {field}=")).or_else(|| plain.split_once(&format!("\"{field}\":")))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[test]
fn numbers_are_read_from_logs_of_each_format() {
    assert_eq!(logged_number("x: restored partition=3 records=12 took_ms=4", "records"), Some(12));
    assert_eq!(
        logged_number(
            "\u{1b}[3mpartition\u{1b}[0m=3 \u{1b}[3mrecords\u{1b}[0m\u{1b}[2m=\u{1b}[0m12",
            "records"
        ),
        Some(12)
    );
    assert_eq!(logged_number(r#"{"partition":3,"records":12}"#, "records"), Some(12));
    assert_eq!(logged_number("nothing", "records"), None);
}

fn log_file(dir: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(dir.join("server.log")).unwrap()
}

fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(40);
    format!("the last lines of {}:\n{}", path.display(), lines[from..].join("\n"))
}
