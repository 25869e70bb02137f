//! Asking again: a failover or a restart of a server is no reason to give up at once.

use std::time::{Duration, Instant};

use super::client::{Answer, problem};
use super::failure::Failure;
use super::output::say;

/// How long nobody may answer, where no deadline was given.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Between two attempts.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long a command goes on asking.
#[derive(Debug)]
pub(crate) struct Patience {
    deadline: Option<Instant>,
    silence_max: Duration,
    silent_since: Option<Instant>,
}

impl Patience {
    /// Until the deadline; without one until nobody has answered for a minute.
    pub(crate) fn until(deadline: Option<Instant>) -> Self {
        Self { deadline, silence_max: SILENCE_MAX, silent_since: None }
    }

    /// The answer, or nothing when it is worth asking again.
    pub(crate) fn weigh(&mut self, got: Result<Answer, Failure>) -> Result<Option<Answer>, Failure> {
        match got {
            // The pool moves, or whoever has it can't be reached from there yet.
            Ok(answer) if matches!(answer.status, 421 | 502 | 503 | 504) => {
                self.bear(problem(&answer)).map(|()| None)
            }
            Ok(answer) => {
                self.silent_since = None;
                Ok(Some(answer))
            }
            Err(failure @ Failure::Unreachable(_)) => self.bear(failure).map(|()| None),
            Err(failure @ (Failure::Incomplete(_) | Failure::Usage(_) | Failure::TimedOut(_))) => {
                Err(failure)
            }
        }
    }

    /// Takes something for an answer that is not there yet; the failure itself when that has been so for too long.
    pub(crate) fn bear(&mut self, failure: Failure) -> Result<(), Failure> {
        let since = match self.silent_since {
            Some(since) => since,
            None => {
                let until =
                    if self.deadline.is_some() { "until the deadline" } else { "for a minute at most" };
                let words = failure.message().lines().next().unwrap_or_default();
                say(&format!("{words}; asking again {until}"));
                *self.silent_since.insert(Instant::now())
            }
        };
        let is_over = match self.deadline {
            // Whoever waits ends the wait itself, and says so.
            Some(_) => false,
            None => since.elapsed() >= self.silence_max,
        };
        if is_over { Err(failure) } else { Ok(()) }
    }

    /// A moment between two attempts.
    pub(crate) fn pause(&self) {
        std::thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Result<Answer, Failure> {
        Ok(Answer { status, body: "{}".to_owned() })
    }

    #[test]
    fn what_passes_is_borne_and_what_stays_is_not() {
        let mut patience = Patience::until(None);
        for again in [answer(503), answer(421), Err(Failure::Unreachable(String::new()))] {
            assert!(patience.weigh(again).unwrap().is_none());
        }
        assert_eq!(patience.weigh(answer(404)).unwrap().unwrap().status, 404, "an answer, whatever it says");
        assert!(patience.silent_since.is_none(), "an answer ends the silence");
        assert!(patience.weigh(Err(Failure::Usage(String::new()))).is_err());
    }

    #[test]
    fn silence_has_an_end_where_no_deadline_has() {
        let over = |deadline| Patience { silence_max: Duration::ZERO, ..Patience::until(deadline) };
        assert!(matches!(over(None).weigh(answer(503)), Err(Failure::Unreachable(_))));
        assert!(over(Some(Instant::now())).weigh(answer(503)).unwrap().is_none(), "the deadline decides");
    }
}
