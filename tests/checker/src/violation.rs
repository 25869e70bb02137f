//! What was found, and against which promise.

use std::fmt;

/// The promises, as the project's scorecard numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Each accepted task has one terminal state.
    OneEnd,
    /// No two attempts of a task are open at once, and nobody acts on what was not committed.
    OneAttempt,
    /// What readers see is what the events say.
    SameState,
    /// What workers were told is what was decided, once and in order.
    SameAssignments,
    /// A batch is there as a whole, and batches follow each other.
    WholeBatches,
    /// A store is the fold of its changelog.
    SameStore,
    /// Nobody sees time go back.
    Forward,
    /// What was acknowledged is there.
    Kept,
    /// The sums agree: nothing goes silently.
    Counted,
    /// What it uses stays bounded.
    Bounded,
    /// After a fault it goes on.
    Alive,
    /// No secret is anywhere to be read.
    Secret,
    /// The logs have no panic and no error that nobody expects.
    Log,
}

impl Invariant {
    /// `I1` to `I12`, and `log`.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Self::OneEnd => "I1",
            Self::OneAttempt => "I2",
            Self::SameState => "I3",
            Self::SameAssignments => "I4",
            Self::WholeBatches => "I5",
            Self::SameStore => "I6",
            Self::Forward => "I7",
            Self::Kept => "I8",
            Self::Counted => "I9",
            Self::Bounded => "I10",
            Self::Alive => "I11",
            Self::Secret => "I12",
            Self::Log => "log",
        }
    }
}

/// One promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// Where to look: a record, a file and line, a path.
    pub place: String,
    /// What is wrong there, in a sentence.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} ({})", self.invariant.number(), self.text, self.place)
    }
}

/// Collects them.
#[derive(Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Violation>);

impl Faults {
    pub(crate) fn add(&mut self, invariant: Invariant, place: impl Into<String>, text: impl Into<String>) {
        self.0.push(Violation { invariant, place: place.into(), text: text.into() });
    }
}
