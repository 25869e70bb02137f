//! Records of an input that are gone before they were taken. Nobody but a person may go on behind them, and names the range.

use std::fmt;
use std::str::FromStr;

use crate::kafka::KafkaFailure;

/// A range of lost records, written `TOPIC:PARTITION:FROM-TO`: `FROM` is the first offset, `TO` the one after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataLoss {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset after the last.
    pub to: i64,
}

impl fmt::Display for DataLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, from, to } = self;
        write!(f, "{topic}:{partition}:{from}-{to}")
    }
}

impl FromStr for DataLoss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` must be TOPIC:PARTITION:FROM-TO, as the server printed it");
        let (rest, range) = text.rsplit_once(':').ok_or_else(wrong)?;
        let (topic, partition) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let (from, to) = range.split_once('-').ok_or_else(wrong)?;
        let (from, to): (i64, i64) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
        let partition = partition.parse().map_err(|_| wrong())?;
        if topic.is_empty() || from < 0 || from >= to || partition < 0 {
            return Err(wrong());
        }
        Ok(Self { topic: topic.to_owned(), partition, from, to })
    }
}

impl DataLoss {
    /// What is lost, and the offset behind it from which a partition could go on. None when the failure is another one, or
    /// its particulars are not known.
    ///
    /// Usually the beginning is gone: the log starts behind the position. When the log ends before the position, what
    /// was taken from its end is gone, and new records will stand at those offsets.
    pub(super) fn of(failure: &KafkaFailure) -> Option<(Self, i64)> {
        let KafkaFailure::Lost { topic, partition, wanted, first, last } = failure else {
            return None;
        };
        let (from, to, next) = if *first < 0 || *last < 0 {
            return None;
        } else if wanted < first {
            (*wanted, *first, *first)
        } else if wanted > last {
            (*last, *wanted, *last)
        } else {
            return None;
        };
        Some((Self { topic: topic.clone(), partition: *partition, from, to }, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(wanted: i64, first: i64, last: i64) -> KafkaFailure {
        KafkaFailure::Lost { topic: "ns.tasks".into(), partition: 3, wanted, first, last }
    }

    #[test]
    fn what_is_printed_is_what_is_taken() {
        let (loss, next) = DataLoss::of(&lost(10, 25, 40)).unwrap();
        assert_eq!((loss.to_string().as_str(), next), ("ns.tasks:3:10-25", 25));
        assert_eq!(loss.to_string().parse(), Ok(loss));
        let (cut, next) = DataLoss::of(&lost(50, 0, 40)).unwrap();
        assert_eq!((cut.to_string().as_str(), next), ("ns.tasks:3:40-50", 40));
    }

    #[test]
    fn nothing_is_lost_that_is_there_or_not_known() {
        for here in [lost(10, 10, 40), lost(40, 10, 40), lost(10, -1, -1), KafkaFailure::Fenced] {
            assert_eq!(DataLoss::of(&here), None, "{here}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "t:1", "t:1:5", "t:1:5-5", "t:1:6-5", ":1:1-2", "t:x:1-2", "t:-1:1-2", "t:1:-1-2"] {
            let error = text.parse::<DataLoss>().unwrap_err();
            assert!(error.contains("TOPIC:PARTITION:FROM-TO"), "{text}: {error}");
        }
    }
}
