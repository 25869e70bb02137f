//! Who owns what: a pure decision that moves as little as it can. Safety never depends on it: an owner fences.

use std::collections::{BTreeMap, BTreeSet};

/// Gives every partition to a live instance. Owners that live keep what they have, up to an even share; what is left goes
/// to those with the least. Deterministic: ties go to the lower name and the lower partition.
#[must_use]
pub fn place(
    partitions: i32,
    live: &BTreeSet<String>,
    owners: &BTreeMap<i32, String>,
) -> BTreeMap<i32, String> {
    let mut placed = BTreeMap::new();
    if live.is_empty() {
        return placed;
    }
    let count = usize::try_from(partitions).unwrap_or_default();
    let (least, more) = (count / live.len(), count % live.len());
    let mut loads: BTreeMap<&String, usize> = live.iter().map(|id| (id, 0)).collect();
    let mut full_shares = more;
    for partition in 0..partitions {
        let Some((id, load)) = owners.get(&partition).and_then(|id| loads.get_key_value(id)) else {
            continue;
        };
        let (id, load) = (*id, *load);
        // `more` instances may have one above the even share.
        let may_keep = load < least || (load == least && full_shares > 0);
        if may_keep {
            if load == least {
                full_shares -= 1;
            }
            loads.insert(id, load + 1);
            placed.insert(partition, id.clone());
        }
    }
    for partition in 0..partitions {
        if placed.contains_key(&partition) {
            continue;
        }
        let Some((id, load)) = loads.iter().min_by_key(|(id, load)| (**load, **id)) else {
            continue;
        };
        let (id, load) = (*id, *load);
        loads.insert(id, load + 1);
        placed.insert(partition, id.clone());
    }
    placed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn one_instance_gets_everything() {
        assert_eq!(place(3, &ids(&["a"]), &BTreeMap::new()).len(), 3);
        assert!(place(3, &ids(&[]), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn a_newcomer_gets_its_share_and_nothing_else_moves() {
        let before = place(8, &ids(&["a"]), &BTreeMap::new());
        let after = place(8, &ids(&["a", "b"]), &before);
        assert_eq!(after.values().filter(|id| *id == "b").count(), 4);
        assert_eq!((0..8).filter(|p| before.get(p) != after.get(p)).count(), 4);
        assert_eq!(place(8, &ids(&["a", "b"]), &after), after, "what is even stays");
    }

    #[test]
    fn the_dead_one_s_partitions_go_to_the_living() {
        let before = place(8, &ids(&["a", "b", "c"]), &BTreeMap::new());
        let after = place(8, &ids(&["a", "c"]), &before);
        let moved = (0..8).filter(|p| before.get(p) != after.get(p));
        assert!(moved.into_iter().all(|p| before.get(&p).unwrap() == "b"));
    }

    proptest! {
        #[test]
        fn every_partition_has_one_live_owner_and_the_load_is_even(
            partitions in 1..40_i32,
            live in proptest::collection::btree_set("[a-e]", 1..5),
            old in proptest::collection::btree_map(0..40_i32, "[a-g]", 0..40),
        ) {
            let placed = place(partitions, &live, &old);
            prop_assert_eq!(placed.len(), usize::try_from(partitions).unwrap());
            prop_assert!(placed.values().all(|id| live.contains(id)));
            let load = |id: &String| placed.values().filter(|owner| *owner == id).count();
            let loads: Vec<usize> = live.iter().map(load).collect();
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
            // Minimal: with the loads as they came out, nobody holds a partition that its own live owner could have kept.
            prop_assert_eq!(place(partitions, &live, &placed), placed.clone());
        }
    }
}
