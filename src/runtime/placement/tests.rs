//! What every placement must hold, whatever it is decided from.

use proptest::prelude::*;
use yardmaster_state::NextOffset;

use super::*;

const WARM: Progress = Progress { next: NextOffset(100_000), end: NextOffset(100_000) };
const COLD: Progress = Progress { next: NextOffset(0), end: NextOffset(100_000) };

fn candidate(standing: Standing, rack: &str) -> Candidate {
    Candidate { standing, rack: rack.to_owned(), copies: BTreeMap::new() }
}

/// Settled instances and nothing placed yet.
fn situation(partitions: i32, replicas: usize, ids: &[&str]) -> Situation {
    let instances = ids.iter().map(|id| ((*id).to_owned(), candidate(Standing::Settled, ""))).collect();
    Situation { partitions, replicas, instances, ..Situation::default() }
}

/// Everybody who keeps a copy has it warm.
fn warm_up(situation: &mut Situation) {
    for (partition, place) in &situation.placed {
        for standby in &place.standbys {
            if let Some(candidate) = situation.instances.get_mut(standby) {
                candidate.copies.insert(*partition, WARM);
            }
        }
    }
}

/// Decides, lets copies get warm, and again, until nothing changes. Returns how often that took.
fn settle(situation: &mut Situation) -> usize {
    for round in 0..100 {
        warm_up(situation);
        let placed = place(situation);
        if placed == situation.placed {
            return round;
        }
        situation.placed = placed;
    }
    panic!("the placement does not come to rest: {:?}", situation.placed);
}

fn owned(situation: &Situation, id: &str) -> usize {
    situation.placed.values().filter(|place| place.owner == id).count()
}

fn kept(situation: &Situation, id: &str) -> usize {
    situation.placed.values().filter(|place| place.standbys.iter().any(|standby| standby == id)).count()
}

fn owners(placed: &BTreeMap<i32, Place>) -> Vec<&str> {
    placed.values().map(|place| place.owner.as_str()).collect()
}

fn spread(counts: impl Iterator<Item = usize> + Clone) -> usize {
    counts.clone().max().unwrap_or_default() - counts.min().unwrap_or_default()
}

#[test]
fn one_instance_gets_everything_and_no_copies() {
    let mut one = situation(3, 1, &["a"]);
    settle(&mut one);
    assert_eq!(owners(&one.placed), ["a"; 3]);
    assert_eq!(kept(&one, "a"), 0);
    assert!(place(&situation(3, 1, &[])).is_empty());
}

#[test]
fn a_newcomer_copies_first_and_takes_its_share_when_it_is_warm() {
    let mut world = situation(8, 1, &["a"]);
    settle(&mut world);
    world.instances.insert("b".to_owned(), candidate(Standing::Settled, ""));
    world.placed = place(&world);
    assert_eq!((owned(&world, "b"), kept(&world, "b")), (0, 8), "it has only copies, and they are cold");
    assert_eq!(place(&world), world.placed, "that lasts until they are warm");
    settle(&mut world);
    assert_eq!((owned(&world, "a"), owned(&world, "b")), (4, 4));
    assert_eq!((kept(&world, "a"), kept(&world, "b")), (4, 4));
}

#[test]
fn without_standbys_a_partition_moves_over_a_copy_too() {
    let mut world = situation(4, 0, &["a"]);
    settle(&mut world);
    world.instances.insert("b".to_owned(), candidate(Standing::Settled, ""));
    world.placed = place(&world);
    assert_eq!((owned(&world, "b"), kept(&world, "b")), (0, 2));
    settle(&mut world);
    assert_eq!((owned(&world, "b"), kept(&world, "a"), kept(&world, "b")), (2, 0, 0));
}

#[test]
fn a_newcomer_that_is_not_settled_gets_only_copies() {
    let mut world = situation(8, 1, &["a"]);
    settle(&mut world);
    world.instances.insert("b".to_owned(), candidate(Standing::New, ""));
    settle(&mut world);
    assert_eq!((owned(&world, "b"), kept(&world, "b")), (0, 8));
}

#[test]
fn the_dead_one_s_partitions_go_to_the_copy_that_is_closest_to_the_end() {
    let mut world = situation(6, 2, &["a", "b", "c"]);
    settle(&mut world);
    let before = world.placed.clone();
    for (id, next) in [("b", 40_000), ("c", 90_000)] {
        let copy = Progress { next: NextOffset(next), end: NextOffset(95_000) };
        let copies = &mut world.instances.get_mut(id).unwrap().copies;
        copies.values_mut().for_each(|known| *known = copy);
    }
    world.instances.get_mut("a").unwrap().standing = Standing::Away;
    let after = place(&world);
    for (partition, place) in &after {
        let was = &before[partition].owner;
        assert_eq!(place.owner, if was == "a" { "c" } else { was.as_str() }, "{partition}");
    }
    // Its copies are kept for it: it may be back in a moment.
    assert!(after.values().all(|place| place.standbys.iter().any(|standby| standby == "a")), "{after:?}");
    world.instances.remove("a");
    world.placed = after;
    settle(&mut world);
    assert_eq!((owned(&world, "b"), owned(&world, "c")), (3, 3), "{:?}", world.placed);
}

#[test]
fn who_stops_hands_over_what_others_have_warm_some_at_a_time() {
    let mut world = situation(8, 1, &["a", "b"]);
    settle(&mut world);
    world.instances.get_mut("a").unwrap().standing = Standing::Stopping;
    world.placed = place(&world);
    assert_eq!(owned(&world, "a"), 2, "two at a time");
    world.moving = (0..8).filter(|partition| world.placed[partition].owner == "b").take(2).collect();
    assert_eq!(place(&world), world.placed, "not before those two are served");
    world.moving.clear();
    settle(&mut world);
    assert_eq!((owned(&world, "b"), kept(&world, "a")), (8, 8));
    // Without a warm copy it goes on until it is gone.
    let mut cold = situation(8, 1, &["a", "b"]);
    settle(&mut cold);
    cold.instances.values_mut().for_each(|candidate| candidate.copies.clear());
    cold.instances.get_mut("a").unwrap().standing = Standing::Stopping;
    assert_eq!(owners(&place(&cold)), owners(&cold.placed));
}

#[test]
fn who_is_drained_keeps_nothing() {
    let mut world = situation(8, 1, &["a", "b", "c"]);
    settle(&mut world);
    world.instances.get_mut("a").unwrap().standing = Standing::Drained;
    settle(&mut world);
    assert_eq!((owned(&world, "a"), kept(&world, "a"), owned(&world, "b")), (0, 0, 4), "{:?}", world.placed);
    // But when all are drained somebody has to do it.
    world.instances.values_mut().for_each(|candidate| candidate.standing = Standing::Drained);
    assert_eq!(place(&world).len(), 8);
}

#[test]
fn a_warm_copy_stays_until_the_one_that_replaces_it_is_warm() {
    let mut world = situation(8, 1, &["a", "b"]);
    settle(&mut world);
    world.instances.insert("c".to_owned(), candidate(Standing::New, ""));
    world.placed = place(&world);
    let with_c: Vec<&Place> =
        world.placed.values().filter(|place| place.standbys.iter().any(|id| id == "c")).collect();
    assert!(!with_c.is_empty());
    assert!(with_c.iter().all(|place| place.standbys.len() == 2), "{with_c:?}");
    settle(&mut world);
    assert!(world.placed.values().all(|place| place.standbys.len() == 1), "{:?}", world.placed);
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        6 => Just(Standing::Settled),
        2 => Just(Standing::New),
        1 => Just(Standing::Stopping),
        1 => Just(Standing::Drained),
        1 => Just(Standing::Away),
    ]
}

fn copies() -> impl Strategy<Value = BTreeMap<i32, Progress>> {
    proptest::collection::btree_map(0..24_i32, prop_oneof![Just(WARM), Just(COLD)], 0..16)
}

prop_compose! {
    fn any_place()(owner in "[a-g]", standbys in proptest::collection::btree_set("[a-g]", 0..3)) -> Place {
        Place { standbys: standbys.into_iter().filter(|id| *id != owner).collect(), owner }
    }
}

prop_compose! {
    fn any_candidate()(standing in standing(), rack in "[xy]?", copies in copies()) -> Candidate {
        Candidate { standing, rack, copies }
    }
}

prop_compose! {
    fn any_situation()(
        partitions in 1..24_i32,
        replicas in 0..3_usize,
        instances in proptest::collection::btree_map("[a-e]", any_candidate(), 1..5),
        placed in proptest::collection::btree_map(0..24_i32, any_place(), 0..24),
    ) -> Situation {
        Situation { partitions, replicas, instances, placed, moving: BTreeSet::new() }
    }
}

prop_compose! {
    /// Settled instances without racks, at rest.
    fn at_rest()(partitions in 1..24_i32, replicas in 0..3_usize, count in 1..6_usize) -> Situation {
        let mut world = situation(partitions, replicas, &["a", "b", "c", "d", "e"][..count]);
        settle(&mut world);
        world
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_partition_has_one_live_owner_and_no_copy_beside_it(world in any_situation()) {
        let placed = place(&world);
        let someone = world.instances.values().any(|candidate| candidate.standing.is_live());
        let all = if someone { world.partitions } else { 0 };
        prop_assert_eq!(placed.keys().copied().collect::<Vec<_>>(), (0..all).collect::<Vec<_>>());
        for place in placed.values() {
            prop_assert!(world.is_live(&place.owner), "{:?}", place);
            prop_assert!(!place.standbys.contains(&place.owner), "{:?}", place);
            let distinct: BTreeSet<&String> = place.standbys.iter().collect();
            prop_assert_eq!(distinct.len(), place.standbys.len(), "{:?}", place);
            prop_assert!(place.standbys.iter().all(|id| world.instances.contains_key(id)), "{:?}", place);
        }
    }

    #[test]
    fn what_was_decided_stays_while_nothing_changes(mut world in any_situation()) {
        let mut rounds = 0;
        loop {
            let placed = place(&world);
            if placed == world.placed { break }
            world.placed = placed;
            rounds += 1;
            prop_assert!(rounds < 40, "no rest: {:?}", world.placed);
        }
    }

    #[test]
    fn it_comes_to_rest_and_is_even_then(mut world in any_situation()) {
        world.instances.values_mut().for_each(|it| { it.standing = Standing::Settled; it.rack.clear(); });
        settle(&mut world);
        let ids: Vec<String> = world.instances.keys().cloned().collect();
        prop_assert!(spread(ids.iter().map(|id| owned(&world, id))) <= 1, "{:?}", world.placed);
        prop_assert!(spread(ids.iter().map(|id| kept(&world, id))) <= 1, "{:?}", world.placed);
        let count = world.replicas.min(ids.len() - 1);
        prop_assert!(world.placed.values().all(|place| place.standbys.len() == count), "{:?}", world.placed);
    }

    #[test]
    fn an_owner_that_lives_gives_way_only_to_a_warm_copy(mut world in any_situation()) {
        // Only where all owners live is anything moved for balance.
        let live: Vec<String> = world.instances.keys().filter(|id| world.is_live(id)).cloned().collect();
        prop_assume!(!live.is_empty());
        for partition in (0..world.partitions).filter(|partition| world.live_owner(*partition).is_none()).collect::<Vec<_>>() {
            world.placed.entry(partition).or_default().owner.clone_from(&live[0]);
            world.placed.entry(partition).or_default().standbys.clear();
        }
        for (partition, place) in place(&world) {
            if let Some(before) = world.live_owner(partition) {
                prop_assert!(before == place.owner || world.is_warm(&place.owner, partition));
            }
        }
    }

    #[test]
    fn a_dead_instance_moves_only_its_own(mut world in at_rest(), which in 0..5_usize) {
        prop_assume!(world.instances.len() > 1);
        let dead = world.instances.keys().nth(which % world.instances.len()).unwrap().clone();
        world.instances.get_mut(&dead).unwrap().standing = Standing::Away;
        for (partition, place) in place(&world) {
            let before = &world.placed[&partition];
            if before.owner == dead {
                prop_assert_ne!(&place.owner, &dead);
                let has_copy = before.standbys.iter().any(|id| *id != dead);
                prop_assert!(!has_copy || before.standbys.contains(&place.owner), "{:?} {:?}", before, place);
            } else {
                prop_assert_eq!(&place.owner, &before.owner);
            }
        }
    }

    #[test]
    fn a_newcomer_takes_its_share_and_nothing_else_moves(mut world in at_rest()) {
        let before = world.placed.clone();
        world.instances.insert("n".to_owned(), candidate(Standing::Settled, ""));
        settle(&mut world);
        let share = before.len() / world.instances.len();
        let moved = before.iter().filter(|(partition, place)| world.placed[partition].owner != place.owner);
        let moved: Vec<i32> = moved.map(|(partition, _)| *partition).collect();
        prop_assert_eq!(moved.len(), share, "{:?}", world.placed);
        prop_assert!(moved.iter().all(|partition| world.placed[partition].owner == "n"));
    }

    #[test]
    fn copies_lie_in_other_racks_where_there_are_some(mut world in at_rest(), racks in 2..4_usize) {
        prop_assume!(world.instances.len() >= 2 && world.replicas >= 1);
        for (number, candidate) in world.instances.values_mut().enumerate() {
            candidate.rack = ["x", "y", "z"][number % racks].to_owned();
        }
        world.replicas = 1;
        settle(&mut world);
        for place in world.placed.values() {
            let rack = |id: &String| world.instances[id].rack.clone();
            prop_assert!(place.standbys.iter().all(|id| rack(id) != rack(&place.owner)), "{:?}", world.placed);
        }
    }
}
