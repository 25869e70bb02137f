//! How a command ends: the exit codes that scripts may rely on.

use std::process::ExitCode;

use crate::kafka::KafkaFailure;

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Some of it did not complete, or something went wrong: 1.
    Incomplete(String),
    /// It was asked for in a way that can't be: 2.
    Usage(String),
    /// Nobody answers: 3.
    Unreachable(String),
    /// The time for waiting is over: 4.
    TimedOut(String),
}

/// What commands return.
pub(crate) type Outcome = Result<(), Failure>;

impl Failure {
    /// The code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Incomplete(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::TimedOut(_) => 4,
        })
    }

    /// The lines for a person.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Incomplete(message)
            | Self::Usage(message)
            | Self::Unreachable(message)
            | Self::TimedOut(message) => message,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Incomplete(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Incomplete(error.to_string())
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<KafkaFailure> for Failure {
    fn from(error: KafkaFailure) -> Self {
        let message = error.to_string();
        if matches!(error, KafkaFailure::Unreachable(_)) {
            Self::Unreachable(message)
        } else {
            Self::Incomplete(message)
        }
    }
}

impl From<crate::verify::VerifyError> for Failure {
    fn from(error: crate::verify::VerifyError) -> Self {
        match error {
            crate::verify::VerifyError::Kafka(failure) => failure.into(),
            crate::verify::VerifyError::State(error) => Self::Incomplete(error.to_string()),
            crate::verify::VerifyError::Refused(why) => Self::Usage(why),
        }
    }
}

impl From<crate::worker::LinkError> for Failure {
    fn from(error: crate::worker::LinkError) -> Self {
        Self::Incomplete(error.to_string())
    }
}

impl From<crate::embedded::EmbeddedError> for Failure {
    fn from(error: crate::embedded::EmbeddedError) -> Self {
        Self::Incomplete(error.to_string())
    }
}
