//! The protocol without IO: exactly what is said and started after each message.

use yardmaster_topologies::event::AttemptRef;
use yardmaster_topologies::id::{Attempt, TaskId, Token};
use yardmaster_topologies::task::{Json, Reason};
use yardmaster_topologies::time::Millis;
use yardmaster_topologies::wire::{Address, ToWorker, Work};

use super::*;
use crate::worker::control::StopReason;
use crate::worker::handler::Finish;

struct Bench {
    session: Session,
    now: Instant,
    controls: Vec<Control>,
    said: Vec<Status>,
}

fn bench(policy: OnServerLost) -> Bench {
    let registrant = Registrant {
        pool: Pool::trusted("p"),
        worker: WorkerName::trusted("w"),
        slots: 2,
        labels: BTreeMap::new(),
        on_server_lost: policy,
    };
    let now = Instant::now();
    Bench { session: Session::new(registrant, now), now, controls: Vec::new(), said: Vec::new() }
}

/// Joined, with nothing said since.
fn joined(policy: OnServerLost) -> Bench {
    let mut bench = bench(policy);
    bench.join("one");
    bench.welcome("one", &[]);
    bench.run();
    bench
}

fn attempt(task: &str, number: u32) -> AttemptRef {
    AttemptRef { task: TaskId::trusted(task), attempt: Attempt(number), token: Token::trusted("a0") }
}

impl Bench {
    fn join(&mut self, incarnation: &str) {
        self.session.join(Incarnation::trusted(incarnation), self.now);
    }

    fn to(&self, incarnation: &str, seq: u64) -> Address {
        Address {
            pool: Pool::trusted("p"),
            worker: WorkerName::trusted("w"),
            incarnation: Incarnation::trusted(incarnation),
            seq: MessageSeq(seq),
        }
    }

    fn welcome(&mut self, incarnation: &str, adopt: &[AttemptRef]) {
        let message = ToWorker::Welcome {
            to: self.to(incarnation, 1),
            protocol: 1,
            heartbeat: Millis(2_000),
            lease: Millis(15_000),
            grace: Millis(5_000),
            result_bytes_max: 100,
            adopt: adopt.to_vec(),
        };
        self.session.take(message, self.now);
    }

    fn assign(&mut self, task: &str, number: u32, seq: u64) {
        let work = Box::new(Work { run_timeout: Some(Millis(1_000)), ..Work::default() });
        let message = ToWorker::Assign { to: self.to("one", seq), attempt: attempt(task, number), work };
        self.session.take(message, self.now);
    }

    /// Ticks; returns one word per action.
    fn run(&mut self) -> Vec<String> {
        self.session.tick(self.now);
        let mut words = Vec::new();
        for action in self.session.take_actions() {
            match action {
                Action::Say(status) => {
                    words.push(word(&status.kind));
                    self.said.push(status);
                }
                Action::ClearOutbox => {
                    words.clear();
                    self.said.clear();
                }
                Action::Start(assignment, control) => {
                    words.push(format!("start {}.{}", assignment.task, assignment.attempt));
                    self.controls.push(control);
                }
            }
        }
        words
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn acknowledge(&mut self) {
        let said = std::mem::take(&mut self.said);
        self.session.take_acknowledged(&said, self.now);
    }

    fn finish(&mut self, task: &str, number: u32, finish: Finish) {
        self.session.take_finish(&(TaskId::trusted(task), Attempt(number)), finish);
    }

    fn stop_reason(&self, index: usize) -> Option<StopReason> {
        self.controls[index].stop_asked().map(|stop| stop.reason)
    }
}

fn word(kind: &StatusKind) -> String {
    let name = |what: &str, attempt: &AttemptRef| format!("{what} {}.{}", attempt.task, attempt.attempt);
    match kind {
        StatusKind::Hello { running, .. } => format!("hello {}", running.len()),
        StatusKind::Heartbeat { read_seq, free_slots, draining, running } => {
            format!("beat {read_seq} free {free_slots} draining {draining} running {}", running.len())
        }
        StatusKind::Started { attempt } => name("started", attempt),
        StatusKind::Progress { attempt, .. } => name("progress", attempt),
        StatusKind::Completed { attempt, .. } => name("completed", attempt),
        StatusKind::Failed { attempt, report } => {
            format!("{} {}", name("failed", attempt), report.error_kind.clone().unwrap_or_default())
        }
        StatusKind::Rejected { attempt, .. } => name("rejected", attempt),
        StatusKind::Cancelled { attempt, .. } => name("cancelled", attempt),
        StatusKind::Goodbye => "goodbye".to_owned(),
    }
}

#[test]
fn nothing_counts_before_the_welcome_of_this_incarnation() {
    let mut bench = bench(OnServerLost::Stop);
    assert!(bench.session.wants_join());
    bench.join("one");
    assert_eq!(bench.run(), ["hello 0"]);
    bench.assign("t", 1, 9);
    bench.welcome("other", &[]);
    assert_eq!(bench.run(), [""; 0]);
    bench.pass(10_000);
    assert_eq!(bench.run(), ["hello 0"], "the same incarnation says it again");
    bench.welcome("one", &[]);
    bench.assign("t", 1, 2);
    assert_eq!(bench.run(), ["start t.1"]);
}

#[test]
fn an_attempt_runs_once_and_is_listed_until_its_report_is_acknowledged() {
    let mut bench = joined(OnServerLost::Stop);
    bench.assign("t", 1, 2);
    bench.assign("t", 1, 3);
    assert_eq!(bench.run(), ["start t.1"]);
    bench.finish("t", 1, Finish::completed(None));
    bench.pass(2_000);
    assert_eq!(bench.run(), ["completed t.1", "beat 3 free 2 draining false running 1"]);
    bench.acknowledge();
    bench.pass(2_000);
    assert_eq!(bench.run(), ["beat 3 free 2 draining false running 0"]);
    bench.assign("t", 1, 4);
    assert_eq!(bench.run(), [""; 0], "a duplicate, however late");
}

#[test]
fn more_than_the_slots_waits_and_a_higher_attempt_ends_the_old_one() {
    let mut bench = joined(OnServerLost::Stop);
    ["a", "b", "c"].iter().enumerate().for_each(|(at, task)| bench.assign(task, 1, 2 + at as u64));
    assert_eq!(bench.run(), ["start a.1", "start b.1"], "two of three");
    bench.finish("a", 1, Finish::completed(None));
    assert_eq!(bench.run(), ["completed a.1", "start c.1"]);
    bench.assign("b", 2, 5);
    assert_eq!(bench.run(), [""; 0], "the slot is not free before the old one is gone");
    assert_eq!(bench.stop_reason(1), Some(StopReason::Abandoned));
    bench.finish("b", 1, Finish::stopped());
    assert_eq!(bench.run(), ["start b.2"]);
}

#[test]
fn cancels_and_timeouts_are_reported_as_what_they_are() {
    let mut bench = joined(OnServerLost::Stop);
    bench.assign("a", 1, 2);
    bench.assign("b", 1, 3);
    bench.run();
    let cancel = ToWorker::Cancel {
        to: bench.to("one", 4),
        attempt: attempt("a", 1),
        grace: Millis(1),
        reason: Reason::TaskCancelled,
    };
    bench.session.take(cancel, bench.now);
    assert_eq!(bench.stop_reason(0), Some(StopReason::Cancelled));
    bench.pass(1_000);
    bench.run();
    assert_eq!(bench.stop_reason(1), Some(StopReason::TimedOut));
    bench.finish("a", 1, Finish::stopped());
    bench.finish("b", 1, Finish::stopped());
    assert_eq!(bench.run(), ["cancelled a.1", "failed b.1 timeout"]);
}

#[test]
fn when_the_lease_is_over_everything_stops_and_a_new_life_begins() {
    let mut bench = joined(OnServerLost::Stop);
    bench.assign("t", 1, 2);
    bench.run();
    bench.pass(12_999);
    bench.run();
    assert_eq!(bench.stop_reason(0), Some(StopReason::TimedOut), "only its own timeout so far");
    assert!(!bench.session.wants_join());
    bench.pass(1);
    bench.run();
    assert_eq!(bench.stop_reason(0), Some(StopReason::Abandoned));
    assert!(bench.session.wants_join());
    bench.join("two");
    assert_eq!(bench.run(), ["hello 0"]);
    bench.finish("t", 1, Finish::stopped());
    bench.welcome("two", &[]);
    assert_eq!(bench.run(), [""; 0], "nothing is reported about it");
}

#[test]
fn acknowledged_heartbeats_renew_the_lease() {
    let mut bench = joined(OnServerLost::Stop);
    for _ in 0..20 {
        bench.pass(2_000);
        assert_eq!(bench.run().len(), 1);
        bench.acknowledge();
    }
    assert!(!bench.session.wants_join());
}

#[test]
fn what_goes_on_is_offered_and_reported_under_the_new_token() {
    let mut bench = joined(OnServerLost::FinishRunning);
    bench.assign("a", 1, 2);
    bench.assign("b", 1, 3);
    bench.run();
    bench.finish("a", 1, Finish::completed(None));
    let rehello = ToWorker::Rehello { to: bench.to("one", 0) };
    bench.session.take(rehello, bench.now);
    assert!(bench.session.wants_join());
    bench.join("two");
    assert_eq!(bench.run(), ["hello 2"]);
    let adopted = AttemptRef { token: Token::trusted("b1"), ..attempt("a", 1) };
    bench.welcome("two", &[adopted]);
    assert_eq!(bench.run(), ["completed a.1"]);
    let StatusKind::Completed { attempt, .. } = &bench.said.last().unwrap().kind else {
        panic!("{:?}", bench.said)
    };
    assert_eq!(attempt.token, Token::trusted("b1"));
    assert_eq!(bench.stop_reason(1), Some(StopReason::Abandoned), "what was not adopted is stopped");
}

#[test]
fn a_handler_that_says_too_much_holds_nothing_up() {
    let mut bench = joined(OnServerLost::Stop);
    bench.assign("a", 1, 2);
    bench.run();
    let mut finish = Finish::completed(Some(Json("9".repeat(2_000_000).into())));
    finish.report.stderr_tail = Some("é".repeat(1_000_000));
    bench.finish("a", 1, finish);
    assert_eq!(bench.run(), ["completed a.1"]);
    let StatusKind::Completed { report, .. } = &bench.said.last().unwrap().kind else {
        panic!("{:?}", bench.said)
    };
    assert!(
        report.result.is_none()
            && report.error_message.as_deref().unwrap().contains("2000000 bytes was dropped")
    );
    assert_eq!(report.stderr_tail.as_ref().map(String::len), Some(4_096));
}

#[test]
fn a_drain_finishes_and_says_goodbye_last() {
    let mut bench = joined(OnServerLost::Stop);
    bench.assign("a", 1, 2);
    bench.run();
    bench.session.drain(bench.now);
    bench.assign("b", 1, 3);
    assert_eq!(bench.run(), ["rejected b.1", "beat 3 free 1 draining true running 2"]);
    bench.acknowledge();
    bench.finish("a", 1, Finish::completed(None));
    assert_eq!(bench.run(), ["completed a.1"]);
    assert!(!bench.session.is_over());
    bench.acknowledge();
    assert_eq!(bench.run(), ["goodbye"]);
    assert!(bench.session.is_over());
}

#[test]
fn replaced_ends_without_a_word() {
    let mut bench = joined(OnServerLost::Stop);
    bench.assign("a", 1, 2);
    bench.run();
    let replaced = ToWorker::Replaced { to: bench.to("one", 0) };
    bench.session.take(replaced, bench.now);
    assert_eq!(bench.stop_reason(0), Some(StopReason::Abandoned));
    assert!(!bench.session.is_over());
    bench.finish("a", 1, Finish::stopped());
    assert_eq!(bench.run(), [""; 0]);
    assert!(bench.session.is_over());
}

#[test]
fn only_what_runs_for_a_while_is_said_to_run() {
    let mut bench = joined(OnServerLost::Stop);
    bench.assign("short", 1, 2);
    bench.assign("long", 1, 3);
    assert_eq!(bench.run(), ["start long.1", "start short.1"]);
    assert_eq!(bench.session.next_due(), Some(bench.now + STARTED_DELAY));
    bench.pass(49);
    assert_eq!(bench.run(), [""; 0]);
    bench.finish("short", 1, Finish::completed(None));
    bench.pass(1);
    assert_eq!(bench.run(), ["completed short.1", "started long.1"]);
    bench.pass(100);
    assert_eq!(bench.run(), [""; 0], "once");
    bench.assign("listed", 1, 4);
    bench.pass(1_850);
    assert_eq!(bench.run(), ["start listed.1", "beat 4 free 0 draining false running 3"]);
    bench.pass(50);
    assert_eq!(bench.run(), [""; 0], "the heartbeat has said it");
}

#[test]
fn notes_are_told_now_and_then_and_the_last_one_before_the_end() {
    let mut bench = joined(OnServerLost::Stop);
    bench.assign("t", 1, 2);
    bench.run();
    bench.pass(200);
    (0..1_000).for_each(|at| bench.controls[0].progress(Json(at.to_string().into())));
    assert_eq!(bench.run(), ["progress t.1"], "which says that it runs, too");
    bench.controls[0].progress(Json("1000".into()));
    bench.pass(199);
    assert_eq!(bench.run(), [""; 0]);
    bench.finish("t", 1, Finish::completed(None));
    assert_eq!(bench.run(), ["progress t.1", "completed t.1"]);
    let notes: Vec<_> = bench.said.iter().filter_map(|status| note_of(&status.kind)).collect();
    assert_eq!(notes, ["999", "1000"]);
}

fn note_of(kind: &StatusKind) -> Option<&str> {
    let StatusKind::Progress { note, .. } = kind else { return None };
    note.as_ref().map(|note| &*note.0)
}

#[test]
fn an_id_may_be_used_again_some_time_after_its_end() {
    let mut bench = joined(OnServerLost::Stop);
    bench.assign("t", 2, 2);
    bench.run();
    bench.finish("t", 2, Finish::completed(None));
    bench.run();
    bench.acknowledge();
    let mut passed = 0;
    while passed < 598_000 {
        bench.pass(2_000);
        passed += 2_000;
        bench.run();
        bench.acknowledge();
    }
    bench.assign("t", 1, 3);
    assert_eq!(bench.run(), [""; 0], "a duplicate");
    for _ in 0..3 {
        bench.pass(2_000);
        bench.run();
        bench.acknowledge();
    }
    bench.assign("t", 1, 4);
    assert!(bench.run().contains(&"start t.1".to_owned()));
}

#[test]
fn a_heartbeat_has_the_workers_own_word_about_draining_only() {
    let mut bench = joined(OnServerLost::Stop);
    let drain = ToWorker::Drain { to: bench.to("one", 2) };
    bench.session.take(drain, bench.now);
    bench.pass(2_000);
    assert_eq!(bench.run(), ["beat 2 free 2 draining false running 0"]);
}

#[test]
fn a_drain_apart_from_the_server_ends_when_its_attempts_have() {
    let mut bench = joined(OnServerLost::FinishRunning);
    bench.assign("a", 1, 2);
    bench.run();
    bench.session.drain(bench.now);
    bench.run();
    bench.pass(13_000);
    bench.run();
    assert!(bench.session.wants_join(), "what runs may be offered");
    assert!(!bench.session.are_words_left_only());
    bench.finish("a", 1, Finish::completed(None));
    bench.run();
    assert!(bench.session.are_words_left_only() && !bench.session.is_over(), "its end is still to be said");
    bench.join("two");
    assert_eq!(bench.run(), ["hello 1"]);
    bench.pass(10_000);
    assert_eq!(bench.run(), ["hello 1"], "again");
    bench.welcome("two", &[attempt("a", 1)]);
    assert_eq!(bench.run(), ["completed a.1", "beat 1 free 2 draining true running 1"]);
    bench.acknowledge();
    assert_eq!(bench.run(), ["goodbye"]);
    assert!(bench.session.is_over());
}

#[test]
fn a_hello_without_an_answer_names_likely_causes() {
    assert!(why_no_welcome(true).contains("limits.workers_max"));
    assert!(why_no_welcome(false).contains("kafka.bootstrap"));
}
