//! An independent judge of a run: reads what lies on the topics, in the stores and in the logs when it is over, and decides
//! whether each promise was kept.
//!
//! **Invariant:** shares no code with the program: only rdkafka, RocksDB, `serde_json` and the standard library, the words of
//! `docs/protocol.md`, and the form of the batch record.
//!
//! A run in which nothing happened, or in which a fault left no trace, is invalid: it has shown nothing.

mod answers;
mod assigned;
mod batches;
mod changelog;
mod event;
mod forward;
mod heard;
mod history;
mod inputs;
mod lives;
mod logs;
mod read;
mod record;
mod states;
mod stores;
#[cfg(test)]
mod teeth;
#[cfg(test)]
mod teeth_beyond;
mod varint;
mod violation;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

pub use answers::Answer;
pub use history::{FaultTrace, Op, QuietWindow, parse_history};
pub use logs::LogFile;
pub use read::{end_offsets, read_all};
pub use record::{Raw, Topics, text};
pub use stores::{StoreDirectory, find_stores};
pub use violation::{Invariant, Violation};

use violation::Faults;

/// What was counted in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Distinct tasks that commands named and that could be read.
    pub submitted: usize,
    /// Distinct tasks taken in.
    pub accepted: usize,
    /// `refused` events.
    pub refused: usize,
    /// Terminal tasks by state.
    pub ended: BTreeMap<String, usize>,
    /// Attempts that were opened.
    pub attempts: usize,
    /// Attempts that ended without ending their task, by outcome.
    pub closed: BTreeMap<String, usize>,
    /// Input records that became dead letters.
    pub dead_letters: usize,
    /// Batches.
    pub batches: usize,
    /// Rows that were compared with stores.
    pub rows_compared: usize,
    /// Numbers of HTTP answers that were compared with the events.
    pub numbers_compared: usize,
    /// Faults that left a trace.
    pub faults: usize,
}

impl Report {
    /// Tasks that ended in this state.
    #[must_use]
    pub fn ended_as(&self, state: &str) -> usize {
        self.ended.get(state).copied().unwrap_or(0)
    }
}

/// Everything that is known about a run. Only the topics are needed; what is empty is not judged.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// All committed records, when nothing changes any more.
    pub topics: Topics,
    /// The same, by another reader.
    pub again: Option<Topics>,
    /// Pool and id of each submit that was acknowledged, by the broker or by HTTP.
    pub acknowledged: BTreeSet<(String, String)>,
    /// What clients did and saw.
    pub history: Vec<Op>,
    /// HTTP answers from the end of the run.
    pub answers: Vec<Answer>,
    /// The stores, closed; owners' and warm ones.
    pub stores: Vec<StoreDirectory>,
    /// What the processes logged.
    pub logs: Vec<LogFile>,
    /// Parts of error lines that these faults explain.
    pub explained: Vec<String>,
    /// Texts that must be nowhere.
    pub secrets: Vec<String>,
    /// What was broken, and whether it can be seen that it was.
    pub faults: Vec<FaultTrace>,
    /// Times without a fault.
    pub quiet: Vec<QuietWindow>,
}

/// What came out.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Promises that were not kept.
    pub violations: Vec<Violation>,
    /// Why the run shows nothing, if that is so.
    pub invalid: Vec<String>,
    /// What was counted.
    pub figures: Report,
}

impl Verdict {
    /// Valid and without a violation.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.invalid.is_empty()
    }

    /// At most 40 lines for a person.
    #[must_use]
    pub fn words(&self) -> String {
        let mut text = format!("the checker found {} violations", self.violations.len());
        let invalid = self.invalid.iter().map(|why| format!("invalid: {why}"));
        for line in invalid.chain(self.violations.iter().map(ToString::to_string)).take(40) {
            // A String takes everything.
            write!(text, "\n  {line}").ok();
        }
        text
    }
}

/// Decides.
#[must_use]
pub fn judge(evidence: &Evidence) -> Verdict {
    let (mut faults, mut report) = (Faults::default(), Report::default());
    let topics = &evidence.topics;
    let events = event::parse_events(topics, &mut faults);
    lives::check_lives(&events, &mut report, &mut faults);
    assigned::check_assignments(topics, &events, &mut faults);
    inputs::check_inputs(topics, &events, &mut report, &mut faults);
    batches::check_batches(topics, &events, &mut report, &mut faults);
    heard::check_heard(topics, &events, &mut faults);
    changelog::check_changelog(&topics.changelog, &events, &mut faults);
    let sum: usize = report.ended.values().sum();
    if sum != report.accepted {
        let text = format!("{} tasks were accepted, {sum} have ended", report.accepted);
        faults.add(Invariant::Counted, "events", text);
    }
    history::check_acknowledged(evidence, &events, &mut faults);
    history::check_quiet(&evidence.quiet, &events, &mut faults);
    forward::check_forward(&evidence.history, &mut faults);
    if let Some(again) = &evidence.again {
        forward::check_same(topics, again, &mut faults);
    }
    answers::check_answers(&evidence.answers, &states::fold(&events), &mut report, &mut faults);
    stores::check_stores(&evidence.stores, &topics.changelog, &mut report, &mut faults);
    logs::check_logs(evidence, &mut faults);
    let invalid = reasons_against(evidence, &mut report);
    Verdict { violations: faults.0, invalid, figures: report }
}

fn reasons_against(evidence: &Evidence, report: &mut Report) -> Vec<String> {
    let mut invalid = Vec::new();
    if report.accepted + report.refused + report.dead_letters == 0 {
        invalid.push("the run is empty: nothing was accepted, refused or put aside".to_owned());
    }
    for fault in &evidence.faults {
        if fault.left_trace {
            report.faults += 1;
        } else {
            invalid.push(format!("{} left no trace: it may not have happened", fault.name));
        }
    }
    invalid
}

/// Decides by the topics alone.
///
/// # Errors
/// Each violation in a sentence of its own. A run in which nothing happened is at fault too.
pub fn check(topics: &Topics) -> Result<Report, Vec<String>> {
    let verdict = judge(&Evidence { topics: topics.clone(), ..Evidence::default() });
    if verdict.is_clean() {
        return Ok(verdict.figures);
    }
    let violations = verdict.violations.iter().map(ToString::to_string);
    Err(violations.chain(verdict.invalid).collect())
}

/// [`check`] for tests.
///
/// # Panics
/// With what was found, unless the run was clean.
pub fn must_be_clean(topics: &Topics) -> Report {
    let verdict = judge(&Evidence { topics: topics.clone(), ..Evidence::default() });
    assert!(verdict.is_clean(), "{}", verdict.words());
    verdict.figures
}
