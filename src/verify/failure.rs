//! Why a partition's audit ended before its end.

use yardmaster_state::StateError;

use super::report::Difference;
use crate::kafka::KafkaFailure;

/// Why an audit could not be made.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaFailure),
    /// A store, or a record that can't be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// What was asked for can't be done, with the way out.
    #[error("{0}")]
    Refused(String),
}

/// What ends a pass.
#[derive(Debug)]
pub(super) enum Halt {
    /// Something is not as it must be.
    Different(Box<Difference>),
    /// It could not be found out.
    Failed(VerifyError),
}

impl From<KafkaFailure> for Halt {
    fn from(failure: KafkaFailure) -> Self {
        Self::Failed(failure.into())
    }
}

impl From<StateError> for Halt {
    fn from(error: StateError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Difference> for Halt {
    fn from(difference: Difference) -> Self {
        Self::Different(Box::new(difference))
    }
}
