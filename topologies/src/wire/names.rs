//! Words on the wire for closed enums of the domain, read back.

use crate::task::{Outcome, Reason};

const OUTCOMES: [Outcome; 6] = [
    Outcome::Succeeded,
    Outcome::Failed,
    Outcome::TimedOut,
    Outcome::Lost,
    Outcome::Rejected,
    Outcome::Cancelled,
];

const REASONS: [Reason; 16] = [
    Reason::Submitted,
    Reason::Requeued,
    Reason::Completed,
    Reason::Failed,
    Reason::RunTimeout,
    Reason::LeaseExpired,
    Reason::Forgotten,
    Reason::Replaced,
    Reason::Goodbye,
    Reason::Drained,
    Reason::ChannelLost,
    Reason::Rejected,
    Reason::TaskCancelled,
    Reason::JobCancelled,
    Reason::QueueTtl,
    Reason::Backoff,
];

/// The outcome that a wire name means.
#[must_use]
pub fn outcome_from_name(name: &str) -> Option<Outcome> {
    OUTCOMES.into_iter().find(|outcome| outcome.name() == name)
}

/// The reason that a wire name means.
#[must_use]
pub fn reason_from_name(name: &str) -> Option<Reason> {
    REASONS.into_iter().find(|reason| reason.name() == name)
}
