//! Who is settled when, and a whole grid of instances that come, go and flap, in a time that is not the wall's.

use yardmaster_state::NextOffset;

use super::*;
use crate::runtime::announcement::Progress;
use crate::runtime::placement::{Place, Situation, place};

const TIMEOUT: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(500);
const NEAR: Progress = Progress { next: NextOffset(1_000_000), end: NextOffset(1_000_000) };
const FAR: Progress = Progress { next: NextOffset(0), end: NextOffset(1_000_000) };

fn says(id: &str, life: usize) -> Announcement {
    Announcement {
        v: 1,
        instance: id.to_owned(),
        incarnation: format!("{id}-{life:03}"),
        url: format!("http://{id}"),
        rack: String::new(),
        since_ms: 0,
        partitions: Vec::new(),
        standbys: BTreeMap::new(),
        stopping: false,
        leaving: false,
    }
}

fn standing(roster: &Roster, id: &str, now: Instant) -> Option<Standing> {
    roster.candidates(&BTreeSet::new(), now).get(id).map(|candidate| candidate.standing)
}

#[test]
fn who_comes_settles_and_who_is_silent_is_away_for_a_while() {
    let (mut roster, began) = (Roster::new(TIMEOUT), Instant::now());
    roster.hear(says("a", 0), began);
    assert_eq!(standing(&roster, "a", began), Some(Standing::New));
    let mut now = began;
    while now < began + TIMEOUT {
        now += STEP;
        roster.hear(says("a", 0), now);
    }
    assert_eq!(standing(&roster, "a", now), Some(Standing::Settled));
    roster.expire(now + TIMEOUT);
    assert_eq!((standing(&roster, "a", now + TIMEOUT), roster.live().count()), (Some(Standing::Away), 0));
    roster.expire(now + TIMEOUT + AWAY_MAX);
    assert_eq!(standing(&roster, "a", now + TIMEOUT + AWAY_MAX), None);
    // A goodbye takes effect at once, and a word of this life after it is a new beginning.
    let now = now + TIMEOUT + AWAY_MAX;
    roster.hear(says("b", 0), now);
    roster.hear(Announcement { leaving: true, ..says("b", 0) }, now);
    assert!(roster.get("b").is_none());
    let drained = BTreeSet::from(["b".to_owned()]);
    assert!(roster.candidates(&drained, now).is_empty(), "nothing is kept for who is drained and gone");
}

#[test]
fn who_does_not_even_hear_itself_says_nothing_of_others() {
    let (mut roster, began) = (Roster::new(TIMEOUT), Instant::now());
    assert!(roster.is_silent("me", began), "it was never heard");
    roster.hear(says("me", 0), began);
    roster.hear(says("other", 0), began);
    let later = began + 4 * TIMEOUT;
    assert!(roster.is_silent("me", later));
    roster.forgive_silence("me", later);
    assert!(roster.is_silent("me", later), "only hearing helps");
    roster.hear(says("me", 0), later);
    roster.expire(later);
    assert_eq!(roster.live().count(), 2);
    roster.hear(says("me", 0), later + TIMEOUT);
    roster.expire(later + TIMEOUT);
    assert_eq!(roster.live().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["me"]);
}

#[test]
fn each_life_of_late_makes_an_instance_settle_more_slowly() {
    let (mut roster, now) = (Roster::new(TIMEOUT), Instant::now());
    roster.hear(says("a", 0), now);
    roster.hear(says("a", 1), now);
    assert_eq!(standing(&roster, "a", now + TIMEOUT), Some(Standing::New));
    assert_eq!(standing(&roster, "a", now + 2 * TIMEOUT), Some(Standing::Settled));
    for life in 2..6 {
        roster.hear(says("a", life), now);
    }
    assert_eq!(standing(&roster, "a", now + TIMEOUT), Some(Standing::Stopping), "it is not to be relied on");
    roster.trust_all(now);
    assert_eq!(standing(&roster, "a", now), Some(Standing::Settled));
}

/// One instance as it really is.
#[derive(Default)]
struct Real {
    is_up: bool,
    life: usize,
    stopping: bool,
    serves: BTreeSet<i32>,
    /// Copies, and for how many steps they were followed.
    copies: BTreeMap<i32, usize>,
}

/// Instances that do what the placement says, and a placer that is never one of them.
struct World {
    now: Instant,
    roster: Roster,
    real: BTreeMap<String, Real>,
    placed: BTreeMap<i32, Place>,
    moves: usize,
    placements: usize,
}

const PARTITIONS: i32 = 12;

impl World {
    fn new(ids: &[&str]) -> Self {
        let up = |id: &&str| ((*id).to_owned(), Real { is_up: true, ..Real::default() });
        let mut world = Self {
            now: Instant::now(),
            roster: Roster::new(TIMEOUT),
            real: ids.iter().map(up).collect(),
            placed: BTreeMap::new(),
            moves: 0,
            placements: 0,
        };
        world.run(60);
        world
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        for (id, real) in self.real.iter_mut().filter(|(_, real)| real.is_up) {
            real.follow(id, &self.placed);
            self.roster.hear(real.announcement(id), self.now);
        }
        self.roster.expire(self.now);
        let serves = |partition: &i32, place: &Place| {
            self.real.get(&place.owner).is_some_and(|real| real.is_up && real.serves.contains(partition))
        };
        let moving = self.placed.iter().filter(|(partition, place)| !serves(partition, place));
        let placed = place(&Situation {
            partitions: PARTITIONS,
            replicas: 1,
            instances: self.roster.candidates(&BTreeSet::new(), self.now),
            placed: self.placed.clone(),
            moving: moving.map(|(partition, _)| *partition).collect(),
        });
        if placed.is_empty() || placed == self.placed {
            return;
        }
        let before = |partition: &i32| self.placed.get(partition).map(|place| &place.owner);
        self.moves +=
            placed.iter().filter(|(partition, place)| before(partition) != Some(&place.owner)).count();
        self.placements += 1;
        self.placed = placed;
    }

    fn up(&mut self, id: &str) {
        let real = self.real.entry(id.to_owned()).or_default();
        let copies = std::mem::take(&mut real.copies);
        let old = real.serves.iter().map(|partition| (*partition, 0));
        *real =
            Real { is_up: true, life: real.life + 1, copies: old.chain(copies).collect(), ..Real::default() };
    }

    /// As by `kill -9`, or with a goodbye.
    fn down(&mut self, id: &str, says_goodbye: bool) {
        let real = self.real.get_mut(id).unwrap();
        real.is_up = false;
        if says_goodbye {
            let said = Announcement { leaving: true, ..real.announcement(id) };
            self.roster.hear(said, self.now);
        }
    }

    fn owned(&self) -> Vec<usize> {
        let count = |id: &String| self.placed.values().filter(|place| place.owner == *id).count();
        self.real.iter().filter(|(_, real)| real.is_up).map(|(id, _)| count(id)).collect()
    }

    fn unserved(&self) -> usize {
        let serves =
            |partition: i32| self.real.values().any(|real| real.is_up && real.serves.contains(&partition));
        (0..PARTITIONS).filter(|partition| !serves(*partition)).count()
    }
}

impl Real {
    fn follow(&mut self, id: &str, placed: &BTreeMap<i32, Place>) {
        let owns = |place: &Place| place.owner == id;
        let keeps = |place: &Place| place.standbys.iter().any(|standby| standby == id);
        self.serves =
            placed.iter().filter(|(_, place)| owns(place)).map(|(partition, _)| *partition).collect();
        for (partition, _) in placed.iter().filter(|(_, place)| keeps(place)) {
            *self.copies.entry(*partition).or_default() += 1;
        }
        self.copies.retain(|partition, _| placed.get(partition).is_some_and(keeps));
    }

    fn announcement(&self, id: &str) -> Announcement {
        let copy = |(partition, steps): (&i32, &usize)| (*partition, if *steps > 3 { NEAR } else { FAR });
        Announcement {
            partitions: self.serves.iter().copied().collect(),
            standbys: self.copies.iter().map(copy).collect(),
            stopping: self.stopping,
            ..says(id, self.life)
        }
    }
}

#[test]
fn instances_that_stay_share_evenly_and_nothing_moves_any_more() {
    let mut world = World::new(&["a", "b", "c"]);
    assert_eq!((world.owned(), world.unserved()), (vec![4, 4, 4], 0));
    let before = world.placements;
    world.run(100);
    assert_eq!(world.placements, before);
}

#[test]
fn a_newcomer_that_comes_and_goes_every_two_seconds_moves_nothing() {
    for says_goodbye in [false, true] {
        let mut world = World::new(&["a", "b"]);
        let (moves, placements) = (world.moves, world.placements);
        for _ in 0..100 {
            world.up("c");
            world.run(4);
            world.down("c", says_goodbye);
            world.run(4);
        }
        assert_eq!(world.moves, moves, "goodbye: {says_goodbye}");
        // It is given copies once, and they stay placed there.
        assert!(world.placements <= placements + 3, "{} placements", world.placements - placements);
    }
}

#[test]
fn an_owner_that_comes_and_goes_loses_its_partitions_and_does_not_get_them_back() {
    for says_goodbye in [false, true] {
        let mut world = World::new(&["a", "b", "c"]);
        let moves = world.moves;
        for _ in 0..60 {
            world.down("b", says_goodbye);
            world.run(4);
            world.up("b");
            world.run(4);
        }
        assert_eq!(world.moves - moves, 4, "goodbye: {says_goodbye}; each of its partitions moves once");
        // Once it stays, it is trusted again.
        world.run(500);
        assert_eq!(world.owned(), [4, 4, 4]);
    }
}

#[test]
fn whoever_stops_in_order_leaves_nothing_unserved() {
    let mut world = World::new(&["a", "b", "c"]);
    world.real.get_mut("a").unwrap().stopping = true;
    let mut steps = 0;
    while world.owned()[0] > 0 {
        world.step();
        assert_eq!(world.unserved() / 4, 0, "{:?}", world.placed);
        steps += 1;
        assert!(steps < 20, "{:?}", world.placed);
    }
    world.down("a", true);
    world.run(2);
    assert_eq!(world.unserved(), 0);
    // Its copies wait for it, so that a restart costs the others nothing.
    assert!(world.placed.values().any(|place| place.standbys == ["a"]), "{:?}", world.placed);
    world.up("a");
    world.run(200);
    assert_eq!(world.owned(), [4, 4, 4]);
}
