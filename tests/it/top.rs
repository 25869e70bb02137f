//! `yardmaster top` in a real terminal: tmux draws it, keys go in, the screen is read.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::cluster::{
    Fleet, FleetOptions, Server, ServerOptions, await_some, guarded_program, run_dir, submit,
};

/// A terminal with a shell in it, on a tmux server of its own.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn open(name: &str) -> Self {
        let version = Command::new("tmux").arg("-V").output();
        assert!(version.is_ok(), "tmux is not installed: apt-get install tmux, or use `./yard test`");
        let terminal = Self { socket: run_dir().join(format!("{name}.tmux")) };
        let settings = ["-f", "/dev/null", "-u", "new-session", "-d", "-x", "80", "-y", "24"];
        terminal.tmux(&[&settings[..], &["env", "PS1=ready> ", "LC_ALL=C.UTF-8", "sh"]].concat());
        terminal.await_line("the shell", |line| line.starts_with("ready>"));
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(words).env_remove("TMUX").stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("YARDMASTER_")) {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "tmux {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types letters as they are.
    fn type_in(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Presses a key by its name: `Enter`, `Escape`, `Down`.
    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Types a line for the shell.
    fn run(&self, line: &str) {
        self.type_in(line);
        self.press("Enter");
    }

    fn lines(&self) -> Vec<String> {
        self.tmux(&["capture-pane", "-p"]).lines().map(|line| line.trim_end().to_owned()).collect()
    }

    fn await_screen(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let shown = || format!("the screen:\n{}", self.lines().join("\n"));
        await_some(what, shown, || Some(self.lines()).filter(|lines| wanted(lines)))
    }

    fn await_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        self.await_screen(what, |lines| lines.iter().any(|line| wanted(line)))
    }

    /// Waits for a row of a table: its name first, then these words somewhere.
    fn await_row(&self, name: &str, words: &[&str]) {
        let is_row = |line: &str| {
            let mut shown = line.split_whitespace();
            shown.next() == Some(name) && words.iter().all(|word| shown.clone().any(|one| one == *word))
        };
        self.await_line(&format!("{name} with {words:?}"), is_row);
    }

    fn await_text(&self, text: &str) {
        self.await_line(text, |line| line.contains(text));
    }

    fn resize(&self, width: &str, height: &str) {
        self.tmux(&["resize-window", "-x", width, "-y", height]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ends this tmux server alone; it may have ended with its shell.
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).arg("kill-server").output().ok();
    }
}

/// A line that starts it.
fn top(server: &Server, more: &str) -> String {
    format!("'{}' top --url {} --interval 0.2 {more}", env!("CARGO_BIN_EXE_yardmaster"), server.http.url)
}

/// A server with a pool whose task has run, and a pool whose task waits for a worker that never comes.
fn grid(test: &str) -> (Server, Fleet) {
    let server = Server::start(&ServerOptions::new(test));
    let namespace = &server.options.namespace;
    let fleet = Fleet::start(FleetOptions::new(namespace, "works"));
    submit(namespace, "works", "ran", &json!({"command": ["true"]}));
    submit(namespace, "waits", "stays", &json!({"command": ["true"], "job": "night"}));
    await_state(&server, "works", "ran", "COMPLETED");
    await_state(&server, "waits", "stays", "QUEUED");
    (server, fleet)
}

fn state(server: &Server, pool: &str, id: &str) -> Option<String> {
    let answer = server.http.try_get(&format!("/v1/pools/{pool}/tasks/{id}"))?;
    (answer.status == 200).then(|| answer.json()["state"].as_str().unwrap().to_owned())
}

fn await_state(server: &Server, pool: &str, id: &str, wanted: &str) {
    let look = || state(server, pool, id).filter(|state| state == wanted);
    await_some(&format!("{pool}/{id} to be {wanted}"), || server.last_words(), look);
}

#[test]
fn top_drills_down_and_changes_what_it_is_told_to() {
    let (server, _fleet) = grid("top-keys");
    let terminal = Terminal::open("top-keys");
    terminal.run(&top(&server, ""));
    terminal.await_row("works", &[]);
    terminal.await_row("waits", &["1"]);
    // The pool in which something waits stands first.
    terminal.press("Enter");
    terminal.await_text("grid › waits");
    terminal.type_in("4");
    terminal.await_row("stays", &["QUEUED"]);
    terminal.type_in("c");
    terminal.await_text("Cancel task stays?");
    terminal.type_in("n");
    terminal.await_screen("the question's end", |lines| !lines.iter().any(|line| line.contains("sure?")));
    assert_eq!(state(&server, "waits", "stays").as_deref(), Some("QUEUED"));
    terminal.type_in("c");
    terminal.await_text("Cancel task stays?");
    terminal.type_in("y");
    terminal.await_text("cancel of task stays: applied");
    terminal.await_row("stays", &["CANCELLED"]);
    assert_eq!(state(&server, "waits", "stays").as_deref(), Some("CANCELLED"));
    terminal.press("Enter");
    terminal.await_line("the end of its timeline", |line| line.contains(" cancelled "));
    terminal.type_in("r");
    terminal.await_text("Requeue task stays?");
    terminal.type_in("y");
    terminal.await_text("requeue of task stays: applied");
    await_state(&server, "waits", "stays", "QUEUED");
    terminal.type_in("q");
    terminal.await_line("the shell", |line| line.starts_with("ready>"));
}

#[test]
fn top_shows_every_attempt_and_drains_a_worker() {
    let (server, _fleet) = grid("top-drain");
    let terminal = Terminal::open("top-drain");
    terminal.run(&top(&server, "--pool works"));
    terminal.await_text("grid › works");
    terminal.type_in("4");
    terminal.await_row("ran", &["COMPLETED"]);
    terminal.press("Enter");
    let lines = terminal.await_line("the end of its attempt", |line| line.contains("SUCCEEDED"));
    for what in ["submitted", "assigned", "started", "closed", "completed"] {
        assert!(lines.iter().any(|line| line.contains(&format!(" {what}"))), "no {what} in {lines:#?}");
    }
    assert!(lines.iter().any(|line| line.contains("closed") && line.contains("sim-")), "{lines:#?}");
    terminal.press("Escape");
    terminal.await_row("ran", &["COMPLETED"]);
    terminal.type_in("3");
    terminal.await_row("sim-0", &["ACTIVE"]);
    terminal.type_in("/sim-1");
    terminal.await_screen("the filter", |lines| !lines.iter().any(|line| line.trim().starts_with("sim-0")));
    terminal.press("Enter");
    terminal.type_in("d");
    terminal.await_text("Drain worker sim-1?");
    terminal.type_in("y");
    terminal.await_row("sim-1", &["DRAINING", "yes"]);
}

#[test]
fn top_bears_another_size_and_a_server_that_goes_away() {
    let (mut server, _fleet) = grid("top-size");
    let terminal = Terminal::open("top-size");
    terminal.run(&top(&server, ""));
    terminal.await_row("works", &[]);
    terminal.resize("120", "40");
    terminal.await_screen("the keys in the last of 40 lines", |lines| {
        lines.len() == 40 && lines.last().is_some_and(|line| line.contains("q quit"))
    });
    terminal.await_text("WORKERS");
    terminal.resize("80", "24");
    terminal.await_screen("the keys in the last of 24 lines", |lines| {
        lines.len() == 24 && lines.last().is_some_and(|line| line.contains("q quit"))
    });
    server.kill();
    terminal.await_text("NO ANSWER for");
    terminal.await_text("trying again");
    terminal.await_row("works", &[]);
    server.restart();
    terminal.await_screen("an answer", |lines| !lines.iter().any(|line| line.contains("NO ANSWER")));
    terminal.type_in("?");
    terminal.await_text("keys (any key closes this)");
}

#[test]
fn top_gives_the_terminal_back_however_it_ends() {
    let (server, _fleet) = grid("top-ends");
    let terminal = Terminal::open("top-ends");
    let pid_file = run_dir().join("top-ends.pid");
    let line = top(&server, "");
    terminal.run("echo written-before");
    terminal.await_line("the shell's words", |line| line == "written-before");
    for (number, is_killed) in [(1, false), (2, true)] {
        std::fs::remove_file(&pid_file).ok();
        terminal
            .run(&format!("sh -c 'echo $$ > {}; exec {line}'; echo ended-$?-{number}", pid_file.display()));
        terminal.await_row("works", &[]);
        assert!(!terminal.lines().iter().any(|line| line == "written-before"), "it has a screen of its own");
        if is_killed {
            let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
            kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        } else {
            terminal.type_in("q");
        }
        let lines = terminal.await_line("its end", |line| line == format!("ended-0-{number}"));
        assert!(lines.iter().any(|line| line == "written-before"), "the screen is as it was: {lines:#?}");
        // What is typed is seen again, and lines are lines.
        terminal.run(&format!("echo $((40 + {number}))"));
        terminal.await_line("a sum", |line| line == format!("{}", 40 + number));
    }
}

#[test]
fn top_without_a_terminal() {
    let (server, _fleet) = grid("top-once");
    let run = |words: &[&str]| {
        let output =
            guarded_program().arg("top").args(words).env("YARDMASTER_URL", &server.http.url).output();
        let output = output.unwrap();
        let words = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), words(&output.stdout), words(&output.stderr))
    };
    let (code, stdout, stderr) = run(&[]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("stdout is none") && stderr.contains("--once"), "{stderr}");
    let (code, stdout, stderr) = run(&["--once"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for word in ["works", "waits", "PARTITION"] {
        assert!(stdout.contains(word), "no {word} in\n{stdout}");
    }
    let (_, stdout, _) = run(&["--once", "--pool", "waits"]);
    let row = stdout.lines().find(|line| line.trim_start().starts_with("stays"));
    assert!(row.is_some_and(|row| row.contains("QUEUED")), "{stdout}");
    assert!(!stdout.contains('\u{1b}'), "plain text");
    let (code, stdout, _) = run(&["--once", "--url", "http://127.0.0.1:1"]);
    assert_eq!((code, stdout.as_str()), (Some(3), ""));
}
