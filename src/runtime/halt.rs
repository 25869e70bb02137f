//! Why a partition stands still until a person, or the disk, has done something: said in the log, in `/readyz` and as a
//! metric.

use crate::kafka::KafkaFailure;

use super::data_loss::DataLoss;

/// What kind of thing holds a partition: a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HaltCause {
    /// A topic is not the one that the state follows from, or not as it must be.
    Topics,
    /// The state directory is another one's.
    Directory,
    /// The state was written by a newer program.
    TooNew,
    /// Records of an input are gone.
    InputLost,
    /// Records of the changelog are gone.
    ChangelogLost,
    /// The store can't be rebuilt.
    Damaged,
    /// The disk is full; goes on by itself.
    NoSpace,
}

impl HaltCause {
    /// The label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Directory => "directory",
            Self::TooNew => "too_new",
            Self::InputLost => "input_lost",
            Self::ChangelogLost => "changelog_lost",
            Self::Damaged => "damaged",
            Self::NoSpace => "no_space",
        }
    }
}

/// Why a partition stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// The kind of reason.
    pub cause: HaltCause,
    /// What was found, what was expected, and the way out.
    pub text: String,
}

impl Halt {
    pub(super) fn new(cause: HaltCause, text: impl Into<String>) -> Self {
        Self { cause, text: text.into() }
    }

    /// Records of an input are gone: the way out is to put them back, or to accept the loss.
    pub(super) fn input_lost(failure: &KafkaFailure) -> Option<Self> {
        let (loss, _) = DataLoss::of(failure)?;
        let DataLoss { topic, partition, from, to } = &loss;
        let text = format!(
            "{failure}: the records of {topic}-{partition} from offset {from} up to, and without, {to} are gone (retention was \
             too short, or the topic was cut), and what they asked for was not taken or can't be checked any more. Nothing is \
             skipped by itself: bring the records back, or go on without them by starting the server once with \
             --accept-data-loss {loss}"
        );
        Some(Self::new(HaltCause::InputLost, text))
    }

    /// Records of the changelog are gone.
    pub(super) fn changelog_lost(failure: &KafkaFailure) -> Self {
        let text = format!(
            "{failure}: the changelog has lost records (deleted ones, an unclean election of a leader, or a topic that was cut), and \
             the store goes on at an offset that is not there. To go on without them would lose rows, and decide again what was \
             decided: bring the topic back from a replica or a backup. Only when that can't be done, begin anew in another \
             namespace (--namespace NAME); the state directory is kept, nothing in it is changed"
        );
        Self::new(HaltCause::ChangelogLost, text)
    }
}
