//! Who keeps copies: enough of each partition, none beside its owner, in other racks where there are some, and evenly.

use std::collections::{BTreeMap, VecDeque};

use super::owners::Owners;
use super::{Place, Situation, Standing};

/// The copies of all partitions while they are chosen.
struct Copies<'s> {
    situation: &'s Situation,
    owners: &'s Owners,
    /// Who keeps a copy, by partition.
    kept: BTreeMap<i32, Vec<&'s str>>,
    loads: BTreeMap<&'s str, usize>,
}

/// Adds copies to the owners: those that are wanted, and the next owner's.
pub(super) fn with_copies(situation: &Situation, owners: &Owners, wanted: &Owners) -> BTreeMap<i32, Place> {
    let keepers = situation.instances.iter().filter(|(_, candidate)| candidate.standing.may_keep());
    let loads = keepers.map(|(id, _)| (id.as_str(), 0)).collect();
    let mut copies = Copies { situation, owners, kept: BTreeMap::new(), loads };
    copies.keep();
    copies.fill();
    copies.spread();
    copies.even_out();
    owners.iter().map(|(partition, owner)| (*partition, copies.place(*partition, owner, wanted))).collect()
}

impl<'s> Copies<'s> {
    fn owner(&self, partition: i32) -> &'s str {
        self.owners.get(&partition).map(String::as_str).unwrap_or_default()
    }

    fn of(&self, partition: i32) -> &[&'s str] {
        self.kept.get(&partition).map(Vec::as_slice).unwrap_or_default()
    }

    fn load(&self, id: &str) -> usize {
        self.loads.get(id).copied().unwrap_or_default()
    }

    /// How many copies a partition can have.
    fn count(&self, partition: i32) -> usize {
        let owner = self.owner(partition);
        let others = self.loads.keys().filter(|id| **id != owner).count();
        self.situation.replicas.min(others)
    }

    fn may_take(&self, id: &str, partition: i32) -> bool {
        self.is_open(id) && id != self.owner(partition) && !self.of(partition).contains(&id)
    }

    /// Whether an instance may be given copies.
    fn is_open(&self, id: &str) -> bool {
        matches!(self.situation.standing(id), Some(Standing::Settled | Standing::New))
    }

    fn add(&mut self, partition: i32, id: &'s str) {
        self.kept.entry(partition).or_default().push(id);
        *self.loads.entry(id).or_default() += 1;
    }

    fn replace(&mut self, partition: i32, from: &str, to: &'s str) {
        let copy = self.kept.get_mut(&partition).and_then(|kept| kept.iter_mut().find(|id| **id == from));
        let Some(copy) = copy else { return };
        *copy = to;
        if let Some(load) = self.loads.get_mut(from) {
            *load -= 1;
        }
        *self.loads.entry(to).or_default() += 1;
    }

    /// The copies that there are stay. Who has just owned the partition has the best one of all.
    fn keep(&mut self) {
        for (partition, place) in &self.situation.placed {
            if !self.owners.contains_key(partition) {
                continue;
            }
            for id in place.standbys.iter().chain([&place.owner]) {
                let Some((id, _)) = self.loads.get_key_value(id.as_str()) else { continue };
                let id = *id;
                let is_other = id != self.owner(*partition) && !self.of(*partition).contains(&id);
                if is_other && self.of(*partition).len() < self.count(*partition) {
                    self.add(*partition, id);
                }
            }
        }
    }

    fn fill(&mut self) {
        for partition in self.owners.keys().copied() {
            while self.of(partition).len() < self.count(partition)
                && let Some(id) = self.best(partition, None)
            {
                self.add(partition, id);
            }
        }
    }

    /// Who should keep one more copy, or one instead of another.
    fn best(&self, partition: i32, instead_of: Option<&str>) -> Option<&'s str> {
        let takers = self.loads.iter().filter(|(id, _)| self.may_take(id, partition));
        let best = takers.min_by_key(|(id, load)| {
            let has_copy = self.situation.copy(id, partition).is_some();
            (self.is_crowded(id, partition, instead_of), !has_copy, **load, **id)
        });
        best.map(|(id, _)| *id)
    }

    /// Whether the owner or another copy is in the same rack; `without` is not counted.
    fn is_crowded(&self, id: &str, partition: i32, without: Option<&str>) -> bool {
        let rack = |id: &str| self.situation.instances.get(id).map(|candidate| candidate.rack.as_str());
        let Some(own) = rack(id).filter(|rack| !rack.is_empty()) else { return false };
        let others = self.of(partition).iter().copied().chain([self.owner(partition)]);
        others.filter(|other| *other != id && Some(*other) != without).any(|other| rack(other) == Some(own))
    }

    /// Copies that share a rack go to another one where that is free.
    fn spread(&mut self) {
        for partition in self.owners.keys().copied() {
            for id in self.of(partition).to_vec() {
                if !self.is_crowded(id, partition, None) {
                    continue;
                }
                let better = self.best(partition, Some(id));
                if let Some(better) = better.filter(|other| !self.is_crowded(other, partition, Some(id))) {
                    self.replace(partition, id, better);
                }
            }
        }
    }

    /// Hands copies on, if need be through others, from those with many to those with few. Who is away keeps what it has.
    fn even_out(&mut self) {
        while let Some(path) = self.path() {
            for (partition, from, to) in path {
                self.replace(partition, from, to);
            }
        }
    }

    /// The shortest chain of single moves that makes the loads more even.
    fn path(&self) -> Option<Vec<(i32, &'s str, &'s str)>> {
        let open = self.loads.iter().filter(|(id, _)| self.is_open(id));
        let least = open.clone().map(|(_, load)| *load).min()?;
        let mut starts: Vec<&'s str> =
            open.filter(|(_, load)| **load >= least + 2).map(|(id, _)| *id).collect();
        starts.sort_by_key(|id| (std::cmp::Reverse(self.load(id)), *id));
        starts.into_iter().find_map(|start| self.path_from(start))
    }

    fn path_from(&self, start: &'s str) -> Option<Vec<(i32, &'s str, &'s str)>> {
        let mut came: BTreeMap<&'s str, (i32, &'s str)> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            for to in self.loads.keys().copied() {
                if to == start || came.contains_key(to) {
                    continue;
                }
                let Some(partition) = self.movable(from, to) else { continue };
                came.insert(to, (partition, from));
                if self.load(to) + 2 <= self.load(start) {
                    return Some(walk_back(&came, start, to));
                }
                queue.push_back(to);
            }
        }
        None
    }

    /// A copy that may go from one to the other; one that is there already rather than a new one.
    fn movable(&self, from: &str, to: &str) -> Option<i32> {
        let of_both = self.kept.iter().filter(|(partition, kept)| {
            kept.contains(&from)
                && self.may_take(to, **partition)
                && (!self.is_crowded(to, **partition, Some(from)) || self.is_crowded(from, **partition, None))
        });
        of_both.map(|(partition, _)| *partition).min_by_key(|partition| {
            (
                self.situation.copy(to, *partition).is_none(),
                self.situation.is_warm(from, *partition),
                *partition,
            )
        })
    }

    /// A partition's place: while a copy is not warm yet, one that it replaces stays, and so does the next owner's.
    fn place(&self, partition: i32, owner: &str, wanted: &Owners) -> Place {
        let mut standbys: Vec<String> = self.of(partition).iter().map(|id| (*id).to_owned()).collect();
        let is_cold = |id: &String| !self.situation.is_warm(id, partition);
        let before = self.situation.placed.get(&partition).map(|place| place.standbys.as_slice());
        let replaced = before.unwrap_or_default().iter().find(|id| {
            id.as_str() != owner
                && !standbys.contains(id)
                && !is_cold(id)
                && self.loads.contains_key(id.as_str())
        });
        if let Some(replaced) = replaced.filter(|_| !standbys.is_empty() && standbys.iter().all(is_cold)) {
            standbys.push(replaced.clone());
        }
        let next = wanted.get(&partition).filter(|next| *next != owner && !standbys.contains(next));
        standbys.extend(next.cloned());
        Place { owner: owner.to_owned(), standbys }
    }
}

fn walk_back<'s>(
    came: &BTreeMap<&'s str, (i32, &'s str)>,
    start: &str,
    end: &'s str,
) -> Vec<(i32, &'s str, &'s str)> {
    let mut path = Vec::new();
    let mut at = end;
    while at != start
        && let Some((partition, from)) = came.get(at)
    {
        path.push((*partition, *from, at));
        at = from;
    }
    path
}
