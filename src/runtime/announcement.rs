//! What an instance says about itself, on `<ns>.instances`, every half second and whenever it serves something else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use yardmaster_state::NextOffset;

/// A copy that is so close to the changelog's end can take over in no time worth mentioning: a restore reads more than
/// 100,000 records in a second.
const NEAR_MAX: i64 = 10_000;

/// How far a copy of a partition has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The next changelog offset that it needs.
    pub next: NextOffset,
    /// Where the changelog ended, as it last heard.
    pub end: NextOffset,
}

impl Progress {
    /// How many offsets it has still to read.
    #[must_use]
    pub fn behind(&self) -> i64 {
        self.end.0.saturating_sub(self.next.0).max(0)
    }

    /// Whether it could take over at once.
    #[must_use]
    pub fn is_near(&self) -> bool {
        self.behind() <= NEAR_MAX
    }
}

/// What an instance says. Fields that an older program leaves out have a default, and what a newer one adds is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announcement {
    pub(super) v: u32,
    pub(super) instance: String,
    /// This life of it; later lives sort higher.
    #[serde(default)]
    pub(super) incarnation: String,
    pub(super) url: String,
    /// Its rack or zone; empty when that is not known.
    #[serde(default)]
    pub(super) rack: String,
    /// When this life began, wall clock, in milliseconds since 1970; 0 when it does not say.
    #[serde(default)]
    pub(super) since_ms: u64,
    /// The partitions that it serves now.
    pub(super) partitions: Vec<i32>,
    /// The copies that it keeps of others' partitions.
    #[serde(default)]
    pub(super) standbys: BTreeMap<i32, Progress>,
    /// It is about to stop, and serves until others have taken over.
    #[serde(default)]
    pub(super) stopping: bool,
    /// It has stopped: this is its last word.
    pub(super) leaving: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_program_says_is_understood() {
        let old = r#"{"v":1,"instance":"a","incarnation":"01J","url":"http://a","partitions":[0,3],"leaving":false}"#;
        let said: Announcement = serde_json::from_str(old).unwrap();
        assert_eq!((said.partitions.as_slice(), said.rack.as_str()), ([0, 3].as_slice(), ""));
        assert!(said.standbys.is_empty() && !said.stopping);
    }

    #[test]
    fn what_a_newer_program_adds_is_ignored() {
        let new = r#"{"v":1,"instance":"a","incarnation":"01J","url":"http://a","rack":"r1","since_ms":7,"partitions":[],
            "standbys":{"4":{"next":10,"end":12,"more":true}},"stopping":true,"leaving":false,"mood":"good"}"#;
        let said: Announcement = serde_json::from_str(new).unwrap();
        let kept = Progress { next: NextOffset(10), end: NextOffset(12) };
        assert_eq!((said.standbys, kept.behind()), (BTreeMap::from([(4, kept)]), 2));
    }

    #[test]
    fn a_copy_that_knows_of_no_later_end_is_near() {
        let ahead = Progress { next: NextOffset(50_000), end: NextOffset(10) };
        assert!(ahead.is_near() && ahead.behind() == 0);
        assert!(!Progress { next: NextOffset(10), end: NextOffset(50_000) }.is_near());
    }
}
