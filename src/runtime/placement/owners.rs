//! Who is to own each partition, and who owns it until then.

use std::collections::BTreeMap;

use super::{Situation, Standing};

/// Partitions that move at once for balance: of each so many. A takeover is work, and clients wait meanwhile.
const MOVED_TOGETHER: usize = 4;
/// But so many may always.
const MOVED_TOGETHER_MIN: usize = 2;
/// Copies that are so many records apart are equally close to the end.
const SAME: i64 = 1_000;

/// Names by partition.
pub(super) type Owners = BTreeMap<i32, String>;

/// How many partitions each instance has that may own some.
struct Loads<'s> {
    situation: &'s Situation,
    owners: Owners,
    loads: BTreeMap<&'s str, usize>,
}

/// Who is to own each partition, once everybody is warm.
pub(super) fn wanted(situation: &Situation) -> Owners {
    let may_own = |standing: &Standing| standing.may_own();
    let live = situation.instances.iter().filter(|(_, candidate)| candidate.standing.is_live());
    let mut takers: Vec<(&str, Standing)> =
        live.map(|(id, candidate)| (id.as_str(), candidate.standing)).collect();
    if takers.iter().any(|(_, standing)| may_own(standing)) {
        takers.retain(|(_, standing)| may_own(standing));
    }
    let loads = takers.into_iter().map(|(id, _)| (id, 0)).collect();
    let mut all = Loads { situation, owners: Owners::new(), loads };
    all.keep();
    all.give();
    all.even_out();
    all.owners
}

impl<'s> Loads<'s> {
    fn load(&self, id: &str) -> usize {
        self.loads.get(id).copied().unwrap_or_default()
    }

    fn set(&mut self, partition: i32, id: &'s str) {
        if let Some(before) = self.owners.insert(partition, id.to_owned())
            && let Some(load) = self.loads.get_mut(before.as_str())
        {
            *load -= 1;
        }
        *self.loads.entry(id).or_default() += 1;
    }

    /// What a live owner has, it keeps, unless it is to be emptied.
    fn keep(&mut self) {
        for partition in 0..self.situation.partitions {
            let owner = self.situation.live_owner(partition);
            if let Some((owner, _)) = owner.and_then(|owner| self.loads.get_key_value(owner)) {
                let owner = *owner;
                self.set(partition, owner);
            }
        }
    }

    /// The rest goes to the copies that are closest to the end, then to those with the least.
    fn give(&mut self) {
        for partition in 0..self.situation.partitions {
            if self.owners.contains_key(&partition) {
                continue;
            }
            let copies = self.loads.keys().filter_map(|id| self.situation.copy(id, partition));
            let furthest = copies.map(|copy| copy.next.0).max().unwrap_or_default();
            let best = self.loads.iter().min_by_key(|(id, load)| {
                let distance = |next: i64| (furthest - next) / SAME;
                let copy = self.situation.copy(id, partition).map(|copy| distance(copy.next.0));
                let is_standby = self.situation.is_standby(id, partition);
                let standing = self.situation.standing(id);
                (copy.is_none(), copy, !is_standby, standing, **load, **id)
            });
            if let Some((id, _)) = best {
                let id = *id;
                self.set(partition, id);
            }
        }
    }

    /// Takes from those with the most what those with the least have warm, while that is more than one apart.
    fn even_out(&mut self) {
        while let Some((partition, to)) = self.next_move() {
            self.set(partition, to);
        }
    }

    fn next_move(&self) -> Option<(i32, &'s str)> {
        let most = *self.loads.values().max()?;
        let is_settled = |id: &str| self.situation.standing(id) == Some(Standing::Settled);
        let receivers: Vec<&'s str> = self.loads.keys().copied().filter(|id| is_settled(id)).collect();
        let least = receivers.iter().map(|id| self.load(id)).min()?;
        if most < least + 2 {
            return None;
        }
        let givers = self.owners.iter().filter(|(_, owner)| self.load(owner) == most);
        let pairs = givers.flat_map(|(partition, _)| {
            let takers = receivers.iter().filter(|id| self.load(id) == least);
            takers.map(move |id| (*partition, *id))
        });
        // Where nobody is served until the new owner is, a warm copy counts for more than an even load.
        let is_worse = |(partition, to): &(i32, &str)| {
            let situation = self.situation;
            let from = self.owners.get(partition).map(String::as_str).unwrap_or_default();
            let is_served = situation.live_owner(*partition).is_some();
            !is_served && situation.is_warm(from, *partition) && !situation.is_warm(to, *partition)
        };
        pairs.filter(|pair| !is_worse(pair)).min_by_key(|(partition, to)| {
            let situation = self.situation;
            let is_begun = situation.is_standby(to, *partition);
            // What has no live owner costs nothing to give to another one.
            let is_served = situation.live_owner(*partition).is_some();
            (!situation.is_warm(to, *partition), !is_begun, is_served, *partition, *to)
        })
    }
}

/// Who owns each partition now: a live owner stays until who is to follow is warm, and until its turn comes. First come
/// those that nobody serves.
pub(super) fn now(situation: &Situation, wanted: &Owners) -> Owners {
    let count = usize::try_from(situation.partitions).unwrap_or_default();
    let together = (count / MOVED_TOGETHER).max(MOVED_TOGETHER_MIN);
    let is_whole = wanted.keys().all(|partition| situation.live_owner(*partition).is_some());
    let mut room = if is_whole { together.saturating_sub(situation.moving.len()) } else { 0 };
    let mut owners = wanted.clone();
    for (partition, owner) in &mut owners {
        let Some(before) = situation.live_owner(*partition).filter(|before| before != owner) else {
            continue;
        };
        if room > 0 && situation.is_warm(owner, *partition) {
            room -= 1;
        } else {
            before.clone_into(owner);
        }
    }
    owners
}
