//! Starting attempts, and saying what became of them.

use std::time::Instant;

use yardmaster_topologies::event::{AttemptRef, Status, StatusKind};
use yardmaster_topologies::id::Token;
use yardmaster_topologies::task::{Json, Report};
use yardmaster_topologies::wire::{NOTE_BYTES_MAX, TAIL_BYTES_MAX};

use super::{Action, NOTES_INTERVAL, Phase, STARTED_DELAY, Session};
use crate::worker::control::{Control, Stop, StopReason};
use crate::worker::handler::{End, Finish};
use crate::worker::held::{Key, Stage};

impl Session {
    /// A handler has returned.
    pub(crate) fn take_finish(&mut self, key: &Key, finish: Finish) {
        let Some(held) = self.holdings.attempts.get_mut(key) else {
            return;
        };
        match &held.stage {
            Stage::Running { control, .. } => {
                let (stop, last_note) = (control.stop_asked(), control.take_note());
                let attempt = name(key, &held.token);
                held.stage = Stage::Ended(Box::new(settle(finish, stop)));
                self.tell_note(attempt, last_note);
                self.report(key);
            }
            Stage::Abandoned => self.holdings.remove(key),
            Stage::Waiting(_) | Stage::Ended(_) | Stage::Reported(_) => {}
        }
    }

    /// What running attempts have said since the last time, now and then.
    pub(super) fn tell_notes(&mut self, now: Instant) {
        if self.phase != Phase::Joined || now < self.next_notes {
            return;
        }
        self.next_notes = now + NOTES_INTERVAL;
        let mut notes = Vec::new();
        for (key, held) in &mut self.holdings.attempts {
            if let Stage::Running { control, tell_at, .. } = &mut held.stage
                && let Some(note) = control.take_note()
            {
                // A note says that it runs, too.
                *tell_at = None;
                notes.push((name(key, &held.token), note));
            }
        }
        for (attempt, note) in notes {
            self.tell_note(attempt, Some(note));
        }
    }

    fn tell_note(&mut self, attempt: AttemptRef, note: Option<Json>) {
        if note.is_some() && self.phase == Phase::Joined {
            self.say(StatusKind::Progress { attempt, note });
        }
    }

    /// Says of attempts that they run, when they do so for a while: of short ones the end says enough.
    pub(super) fn tell_started(&mut self, now: Instant) {
        if self.phase != Phase::Joined {
            return;
        }
        let mut started = Vec::new();
        for (key, held) in &mut self.holdings.attempts {
            if let Stage::Running { tell_at, .. } = &mut held.stage
                && tell_at.is_some_and(|at| now >= at)
            {
                *tell_at = None;
                started.push(name(key, &held.token));
            }
        }
        for attempt in started {
            self.say(StatusKind::Started { attempt });
        }
    }

    /// The broker has these. What was sent before `sent_at` is known to have been sent then.
    pub(crate) fn take_acknowledged(&mut self, statuses: &[Status], sent_at: Instant) {
        for status in statuses.iter().filter(|status| status.incarnation == self.incarnation) {
            match &status.kind {
                StatusKind::Hello { .. } => {
                    if let Phase::Joining { acknowledged_at, .. } = &mut self.phase {
                        *acknowledged_at = Some(sent_at);
                    }
                }
                StatusKind::Heartbeat { .. } => {
                    self.is_beat_under_way = false;
                    if let Some(lease) = &mut self.lease {
                        lease.renew(sent_at);
                    }
                }
                StatusKind::Completed { attempt, .. }
                | StatusKind::Failed { attempt, .. }
                | StatusKind::Rejected { attempt, .. }
                | StatusKind::Cancelled { attempt, .. } => {
                    let key = (attempt.task.clone(), attempt.attempt);
                    let held = self.holdings.attempts.get(&key);
                    if held.is_some_and(|held| matches!(held.stage, Stage::Reported(_))) {
                        self.holdings.remove(&key);
                    }
                }
                StatusKind::Started { .. } | StatusKind::Progress { .. } | StatusKind::Goodbye => {}
            }
        }
    }

    /// The broker has not got these. Reports are sent again without our doing.
    pub(crate) fn take_lost(&mut self, statuses: &[Status]) {
        if statuses.iter().any(|status| matches!(status.kind, StatusKind::Heartbeat { .. })) {
            self.is_beat_under_way = false;
        }
    }

    /// Starts what waits, while there are free slots.
    pub(super) fn start_waiting(&mut self, now: Instant) {
        if self.phase != Phase::Joined {
            return;
        }
        let slots = usize::try_from(self.registrant.slots).unwrap_or(usize::MAX);
        while self.holdings.busy() < slots
            && let Some(key) = self.holdings.next_waiting()
            && let Some(held) = self.holdings.attempts.get_mut(&key)
        {
            let control = Control::default();
            let tell_at = Some(now + STARTED_DELAY);
            let running = Stage::Running { control: control.clone(), stop_at: None, tell_at };
            let Stage::Waiting(mut assignment) = std::mem::replace(&mut held.stage, running) else {
                return;
            };
            assignment.token = held.token.clone();
            if let Stage::Running { stop_at, .. } = &mut held.stage {
                *stop_at = assignment.run_timeout.and_then(|limit| now.checked_add(limit));
            }
            self.actions.push(Action::Start(assignment, control));
        }
    }

    /// Stops what ran longer than it may.
    pub(super) fn check_timeouts(&mut self, now: Instant) {
        let grace = self.terms.grace;
        for held in self.holdings.attempts.values_mut() {
            if let Stage::Running { control, stop_at, .. } = &mut held.stage
                && stop_at.is_some_and(|at| now >= at)
            {
                *stop_at = None;
                control.stop(Stop { reason: StopReason::TimedOut, grace });
            }
        }
    }

    /// Gives an attempt back that was not begun.
    pub(super) fn reject(&mut self, key: &Key, why: &str) {
        if let Some(held) = self.holdings.attempts.get_mut(key) {
            held.stage = Stage::Ended(Box::new(Finish::rejected(why)));
            self.report(key);
        }
    }

    /// After a welcome: what was reported to the last life's account, or could not be, is reported now.
    pub(super) fn report_again(&mut self, key: &Key) {
        let Some(held) = self.holdings.attempts.get_mut(key) else {
            return;
        };
        if let Stage::Reported(finish) = &held.stage {
            held.stage = Stage::Ended(finish.clone());
        }
        self.report(key);
    }

    /// Reports an end, when there is somebody to report to.
    fn report(&mut self, key: &Key) {
        if self.phase != Phase::Joined {
            return;
        }
        let Some(held) = self.holdings.attempts.get_mut(key) else {
            return;
        };
        let Stage::Ended(finish) = &held.stage else { return };
        let kind = speak(name(key, &held.token), finish, self.terms.result_bytes_max);
        held.stage = Stage::Reported(finish.clone());
        self.say(kind);
    }
}

fn name(key: &Key, token: &Token) -> AttemptRef {
    AttemptRef { task: key.0.clone(), attempt: key.1, token: token.clone() }
}

/// A handler that was stopped for its time is a failure; one that stopped unasked is one too.
fn settle(finish: Finish, stop: Option<Stop>) -> Finish {
    let (kind, message) = match (finish.end, stop.map(|stop| stop.reason)) {
        (End::Stopped, Some(StopReason::TimedOut)) => ("timeout", "stopped after its run timeout"),
        (End::Stopped, None) => ("handler", "the handler stopped without being asked to"),
        _as_it_says => return finish,
    };
    let report = Report {
        error_kind: Some(kind.to_owned()),
        error_message: Some(message.to_owned()),
        ..finish.report
    };
    Finish { end: End::Failed, report }
}

fn speak(attempt: AttemptRef, finish: &Finish, result_bytes_max: usize) -> StatusKind {
    let mut report = finish.report.clone();
    limit(&mut report, result_bytes_max);
    report.error_message = report.error_message.map(|message| shorten(&message));
    match finish.end {
        End::Completed => StatusKind::Completed { attempt, report },
        End::Failed => StatusKind::Failed { attempt, report },
        End::Stopped => StatusKind::Cancelled { attempt, report },
        End::Rejected => {
            let message = report.error_message.unwrap_or_default();
            StatusKind::Rejected { attempt, message }
        }
    }
}

/// Whatever a handler returns has to fit a record: one that does not would hold up everything behind it, heartbeats too.
fn limit(report: &mut Report, result_bytes_max: usize) {
    for tail in [&mut report.stdout_tail, &mut report.stderr_tail].into_iter().flatten() {
        let mut from = tail.len().saturating_sub(TAIL_BYTES_MAX);
        while !tail.is_char_boundary(from) {
            from += 1;
        }
        tail.drain(..from);
    }
    let bytes = report.result.as_ref().map_or(0, |result| result.0.len());
    if bytes <= result_bytes_max {
        return;
    }
    report.result = None;
    let note = format!(
        "the result of {bytes} bytes was dropped: result_bytes_max is {result_bytes_max}; use result_ref"
    );
    report.error_message = Some(match report.error_message.take() {
        Some(message) => format!("{note}; {message}"),
        None => note,
    });
}

fn shorten(message: &str) -> String {
    let mut end = message.len().min(NOTE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default().to_owned()
}
