//! Who owns what, and who keeps copies: a pure decision that moves as little as it can. Safety never depends on it: an
//! owner fences.
//!
//! A partition moves for balance, or away from an instance that is to be emptied, only to one whose copy is near the end
//! of the changelog; so the other becomes a standby first, and a later decision moves the ownership. What nobody live
//! owns is given away at once, to the copy that is closest to the end.

mod copies;
mod owners;
mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::record::PlacementRecord;

use super::announcement::Progress;

/// What may be expected of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It has been there for a while: it may be given anything.
    Settled,
    /// It has just come: it keeps what it has and gets copies, but no partition is moved there for balance.
    New,
    /// Its partitions go to others; its copies are kept for it, since it will come back.
    Stopping,
    /// All of it goes to others.
    Drained,
    /// It is not there, and may come back soon: its copies are kept for it.
    Away,
}

impl Standing {
    /// As people are shown it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::New => "new",
            Self::Stopping => "stopping",
            Self::Drained => "drained",
            Self::Away => "away",
        }
    }

    /// Whether it is there.
    #[must_use]
    pub fn is_live(self) -> bool {
        match self {
            Self::Settled | Self::New | Self::Stopping | Self::Drained => true,
            Self::Away => false,
        }
    }

    /// Whether it may be given partitions, or keep those that it has.
    fn may_own(self) -> bool {
        match self {
            Self::Settled | Self::New => true,
            Self::Stopping | Self::Drained | Self::Away => false,
        }
    }

    /// Whether copies that it has are kept there.
    fn may_keep(self) -> bool {
        match self {
            Self::Settled | Self::New | Self::Stopping | Self::Away => true,
            Self::Drained => false,
        }
    }
}

/// One instance, as the placer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What may be expected of it.
    pub standing: Standing,
    /// Its rack or zone; empty when that is not known.
    pub rack: String,
    /// The copies that it says it has.
    pub copies: BTreeMap<i32, Progress>,
}

/// Where a partition is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The instance that processes it.
    pub owner: String,
    /// The instances that keep copies.
    pub standbys: Vec<String>,
}

/// All that a placement is decided by.
#[derive(Debug, Clone, Default)]
pub struct Situation {
    /// How many partitions there are.
    pub partitions: i32,
    /// How many copies of each are wanted, where there are so many other instances.
    pub replicas: usize,
    /// Who is there, or was a moment ago.
    pub instances: BTreeMap<String, Candidate>,
    /// The placement as it is.
    pub placed: BTreeMap<i32, Place>,
    /// Partitions that were given to a new owner a moment ago and are not yet served by their new owner.
    pub moving: BTreeSet<i32>,
}

/// Gives every partition an owner and copies. Nothing, when nobody is there. Deterministic: ties go to the lower name and
/// the lower partition.
#[must_use]
pub fn place(situation: &Situation) -> BTreeMap<i32, Place> {
    if !situation.instances.values().any(|candidate| candidate.standing.is_live()) {
        return BTreeMap::new();
    }
    let wanted = owners::wanted(situation);
    let owners = owners::now(situation, &wanted);
    copies::with_copies(situation, &owners, &wanted)
}

impl Situation {
    fn standing(&self, id: &str) -> Option<Standing> {
        self.instances.get(id).map(|candidate| candidate.standing)
    }

    fn is_live(&self, id: &str) -> bool {
        self.standing(id).is_some_and(Standing::is_live)
    }

    /// How far the copy is that a live instance has.
    fn copy(&self, id: &str, partition: i32) -> Option<Progress> {
        let candidate = self.instances.get(id).filter(|candidate| candidate.standing.is_live())?;
        candidate.copies.get(&partition).copied()
    }

    fn is_warm(&self, id: &str, partition: i32) -> bool {
        self.copy(id, partition).is_some_and(|copy| copy.is_near())
    }

    /// The live owner of a partition.
    fn live_owner(&self, partition: i32) -> Option<&str> {
        let owner = self.placed.get(&partition)?.owner.as_str();
        self.is_live(owner).then_some(owner)
    }

    fn is_standby(&self, id: &str, partition: i32) -> bool {
        self.placed.get(&partition).is_some_and(|place| place.standbys.iter().any(|standby| standby == id))
    }
}
