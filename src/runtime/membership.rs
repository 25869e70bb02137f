//! Who is there, and who owns what: instances announce themselves, the live one with the lowest id is the placer and
//! writes the placement. A placer that is wrong, dead or doubled costs time and nothing else: owners fence each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::announcement::Announcement;
use super::cluster::{ClusterView, InstanceView, PartitionView, Wish};
use super::names::Names;
use super::placement::{Place, PlacementRecord, Situation, Standing, place};
use super::roster::Roster;
use crate::kafka::{Connection, KafkaFailure, OutRecord, Submitter, Tail, Transactions, high_watermark};

/// How long a fresh instance listens before it may be the placer.
const LISTEN: Duration = Duration::from_millis(1_200);

/// How long the placement may take to be read to its end.
const READ_PATIENCE: Duration = Duration::from_secs(5);

/// A takeover that takes longer does not hold up others.
const MOVE_PATIENCE: Duration = Duration::from_secs(5);

/// Which instance this is, and by which rules it lives with others.
pub(super) struct Rules {
    pub(super) id: String,
    /// This life of it.
    pub(super) incarnation: String,
    pub(super) partitions: i32,
    pub(super) replicas: usize,
    /// Who is silent for so long is gone.
    pub(super) timeout: Duration,
}

/// This instance's view of all of them.
pub(super) struct Membership {
    names: Names,
    conn: Connection,
    submitter: Arc<Submitter>,
    rules: Rules,
    is_replaced: bool,
    instances: Tail,
    placements: Tail,
    roster: Roster,
    placed: BTreeMap<i32, Place>,
    /// When the partitions got the owner that they have.
    owned_since: BTreeMap<i32, Instant>,
    drained: BTreeSet<String>,
    epoch: u64,
    listens_since: Instant,
}

impl Membership {
    /// Knows the placement as it is now, and hears instances from now on.
    ///
    /// # Errors
    /// When Kafka can't be reached, or refuses.
    pub(super) fn open(
        conn: &Connection,
        names: &Names,
        submitter: Arc<Submitter>,
        rules: Rules,
    ) -> Result<Self, KafkaFailure> {
        let mut membership = Self {
            names: names.clone(),
            conn: conn.clone(),
            submitter,
            is_replaced: false,
            instances: Tail::open(conn, &names.instances(), 1, None)?,
            placements: Tail::open(conn, &names.placement(), 1, Some(vec![0]))?,
            roster: Roster::new(rules.timeout),
            rules,
            placed: BTreeMap::new(),
            owned_since: BTreeMap::new(),
            drained: BTreeSet::new(),
            epoch: 0,
            listens_since: Instant::now(),
        };
        // Who knows only the beginning of the placement would give up partitions that are its own.
        membership.read_to_end()?;
        Ok(membership)
    }

    /// Says that this instance is there.
    pub(super) fn announce(&self, announcement: &Announcement) -> Result<(), KafkaFailure> {
        let value = serde_json::to_vec(announcement).expect("an announcement is JSON");
        let topic = self.names.instances();
        self.submitter.send_to_blocking(&topic, 0, self.rules.id.as_bytes(), &value, &[]).map(|_| ())
    }

    /// Writes down what an operator wants; every placer reads it.
    pub(super) fn wish(&self, wish: &Wish) -> Result<(), KafkaFailure> {
        let record = match wish.clone() {
            Wish::Drain { instance, drained } => PlacementRecord::Drain { instance, drained },
            Wish::Rebalance => PlacementRecord::Rebalance,
        };
        let (topic, key) = (self.names.placement(), record.key());
        self.submitter.send_to_blocking(&topic, 0, key.as_bytes(), &record.value(), &[]).map(|_| ())
    }

    /// Reads what others said, and places if that is this instance's turn.
    pub(super) fn observe(&mut self) -> Result<(), KafkaFailure> {
        self.read_instances()?;
        self.read_placements(Duration::ZERO)?;
        let now = Instant::now();
        if self.roster.is_silent(&self.rules.id, now) {
            // Not even this instance is heard: Kafka was away, or this process stood still. That says nothing of others.
            self.roster.forgive_silence(&self.rules.id, now);
            self.listens_since = now;
        } else {
            self.roster.expire(now);
        }
        let is_turn =
            self.listens_since.elapsed() >= LISTEN && self.placer().is_some_and(|id| *id == self.rules.id);
        if !is_turn || self.is_replaced || !self.has_to_move(&self.wanted()) {
            return Ok(());
        }
        self.write()
    }

    /// The live instance with the lowest id.
    fn placer(&self) -> Option<&String> {
        self.roster.live().map(|(id, _)| id).next()
    }

    /// Who should own and keep what, by who is heard.
    fn wanted(&self) -> BTreeMap<i32, Place> {
        place(&Situation {
            partitions: self.rules.partitions,
            replicas: self.rules.replicas,
            instances: self.roster.candidates(&self.drained, Instant::now()),
            placed: self.placed.clone(),
            moving: self.moving(),
        })
    }

    fn has_to_move(&self, wanted: &BTreeMap<i32, Place>) -> bool {
        // Nobody is heard, not even this instance itself: nothing can be said about anybody.
        !wanted.is_empty() && *wanted != self.placed
    }

    fn is_served(&self, partition: i32, owner: &str) -> bool {
        self.roster.get(owner).is_some_and(|said| said.partitions.contains(&partition))
    }

    /// Partitions that have a new owner which does not serve them yet.
    fn moving(&self) -> BTreeSet<i32> {
        let is_recent = |partition: &i32| {
            self.owned_since.get(partition).is_some_and(|since| since.elapsed() < MOVE_PATIENCE)
        };
        let moving = self
            .placed
            .iter()
            .filter(|(partition, place)| is_recent(partition) && !self.is_served(**partition, &place.owner));
        moving.map(|(partition, _)| *partition).collect()
    }

    /// The partitions that are placed here.
    pub(super) fn own(&self) -> BTreeSet<i32> {
        self.placed_here(|place, id| place.owner == id)
    }

    /// The partitions of which a copy is to be kept here.
    pub(super) fn kept(&self) -> BTreeSet<i32> {
        self.placed_here(|place, id| place.owner != id && place.standbys.iter().any(|standby| standby == id))
    }

    fn placed_here(&self, is_here: impl Fn(&Place, &str) -> bool) -> BTreeSet<i32> {
        if self.is_replaced {
            return BTreeSet::new();
        }
        let here = self.placed.iter().filter(|(_, place)| is_here(place, &self.rules.id));
        here.map(|(partition, _)| *partition).collect()
    }

    /// The epoch of the placement.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where the other partitions are served, as far as their owners are heard and say so.
    pub(super) fn elsewhere(&self) -> BTreeMap<i32, String> {
        let others = self.placed.iter().filter(|(_, place)| place.owner != self.rules.id);
        others
            .filter_map(|(partition, place)| {
                let said = self.roster.get(&place.owner).filter(|said| said.partitions.contains(partition));
                Some((*partition, said?.url.clone()))
            })
            .collect()
    }

    /// The other instance that says it serves this partition, in words.
    pub(super) fn claimant(&self, partition: i32) -> Option<String> {
        let mut others = self.roster.live().filter(|(id, _)| **id != self.rules.id);
        let (id, said) = others.find(|(_, said)| said.partitions.contains(&partition))?;
        Some(format!("instance {id} at {}", said.url))
    }

    /// The addresses of those that keep copies, closest to the end first.
    pub(super) fn kept_elsewhere(&self) -> BTreeMap<i32, Vec<String>> {
        let mut keepers: BTreeMap<i32, Vec<(i64, String)>> = BTreeMap::new();
        for (_, said) in self.roster.live().filter(|(id, _)| **id != self.rules.id) {
            for (partition, copy) in &said.standbys {
                keepers.entry(*partition).or_default().push((-copy.next.0, said.url.clone()));
            }
        }
        let sorted = |(partition, mut all): (i32, Vec<(i64, String)>)| {
            all.sort();
            (partition, all.into_iter().map(|(_, url)| url).collect())
        };
        keepers.into_iter().map(sorted).collect()
    }

    /// Whether a live instance still serves this partition: it gets a moment to finish its batch.
    pub(super) fn is_served_elsewhere(&self, partition: i32) -> bool {
        self.roster.live().any(|(id, said)| *id != self.rules.id && said.partitions.contains(&partition))
    }

    /// Whether somebody is there to take over what this instance has.
    pub(super) fn has_heirs(&self) -> bool {
        let candidates = self.roster.candidates(&self.drained, Instant::now());
        let is_heir = |standing| matches!(standing, Standing::Settled | Standing::New);
        candidates.iter().any(|(id, candidate)| *id != self.rules.id && is_heir(candidate.standing))
    }

    /// All of it, for people.
    pub(super) fn view(&self) -> ClusterView {
        let candidates = self.roster.candidates(&self.drained, Instant::now());
        let instance = |(id, said): (&String, &Announcement)| {
            let standing = candidates.get(id).map_or(Standing::New, |candidate| candidate.standing);
            let view = InstanceView {
                url: said.url.clone(),
                rack: said.rack.clone(),
                since_ms: said.since_ms,
                standing: standing.name(),
                serves: said.partitions.clone(),
                copies: said.standbys.clone(),
            };
            (id.clone(), view)
        };
        let partition = |(partition, place): (&i32, &Place)| {
            let (owner, standbys) = (place.owner.clone(), place.standbys.clone());
            let is_served = self.is_served(*partition, &owner);
            (*partition, PartitionView { owner, is_served, standbys })
        };
        ClusterView {
            epoch: self.epoch,
            me: self.rules.id.clone(),
            placer: self.placer().cloned(),
            instances: self.roster.live().map(instance).collect(),
            drained: self.drained.iter().cloned().collect(),
            partitions: self.placed.iter().map(partition).collect(),
        }
    }

    fn read_instances(&mut self) -> Result<(), KafkaFailure> {
        while let Some(record) = self.instances.poll(Duration::ZERO)? {
            let Some(value) = record.value else { continue };
            match serde_json::from_slice::<Announcement>(&value) {
                Ok(said) if said.instance == self.rules.id && said.incarnation != self.rules.incarnation => {
                    self.meet_namesake(&said);
                }
                Ok(said) => self.roster.hear(said, Instant::now()),
                Err(error) => tracing::warn!(%error, offset = record.offset, "an announcement can't be read"),
            }
        }
        Ok(())
    }

    /// Two processes with one id would claim the same partitions from each other for ever: the older one yields.
    fn meet_namesake(&mut self, said: &Announcement) {
        if said.incarnation > self.rules.incarnation && !said.leaving && !self.is_replaced {
            self.is_replaced = true;
            let id = &self.rules.id;
            tracing::error!(
                "another process has the instance.id {id}: this one gives up its partitions; stop one of them"
            );
        }
    }

    fn read_placements(&mut self, wait: Duration) -> Result<(), KafkaFailure> {
        while let Some(record) = self.placements.poll(wait)? {
            let (Some(key), Some(value)) = (record.key, record.value) else {
                continue;
            };
            match PlacementRecord::read(&key, &value) {
                Some(PlacementRecord::Place { partition, epoch, place }) if epoch >= self.epoch => {
                    self.epoch = epoch;
                    self.note(partition, place);
                }
                Some(PlacementRecord::Place { .. }) => {}
                Some(PlacementRecord::Drain { instance, drained: true }) => {
                    self.drained.insert(instance);
                }
                Some(PlacementRecord::Drain { instance, drained: false }) => {
                    self.drained.remove(&instance);
                }
                Some(PlacementRecord::Rebalance) => self.roster.trust_all(Instant::now()),
                None => tracing::warn!(offset = record.offset, "a placement can't be read"),
            }
        }
        Ok(())
    }

    fn note(&mut self, partition: i32, place: Place) {
        if !(0..self.rules.partitions).contains(&partition) {
            return;
        }
        let before = self.placed.get(&partition).map(|before| before.owner.as_str());
        if before != Some(&place.owner) {
            self.owned_since.insert(partition, Instant::now());
        }
        self.placed.insert(partition, place);
    }

    /// Reads the placement to its end; after a fence nothing of another placer is still to come.
    ///
    /// # Errors
    /// When Kafka can't be reached, or does not give the records in time.
    pub(super) fn read_to_end(&mut self) -> Result<(), KafkaFailure> {
        let (_, end) = high_watermark(&self.conn, &self.names.placement(), 0)?;
        let deadline = Instant::now() + READ_PATIENCE;
        while self.placements.position(0).is_none_or(|position| position < end) {
            if Instant::now() >= deadline {
                return Err(KafkaFailure::Unreachable(format!(
                    "the placement was not read to its end at {end} in time"
                )));
            }
            self.read_placements(Duration::from_millis(20))?;
        }
        Ok(())
    }

    /// Writes a placement with the next epoch, all of it or nothing. Claims first: a placer that was doubled is fenced
    /// by this, and what it wrote before is read before anything is decided.
    fn write(&mut self) -> Result<(), KafkaFailure> {
        let mut transaction = Transactions::claim(&self.conn, &self.names.placer_id())?;
        self.read_to_end()?;
        let placed = self.wanted();
        if !self.has_to_move(&placed) {
            return Ok(());
        }
        let epoch = self.epoch + 1;
        let topic = self.names.placement();
        transaction.begin()?;
        for (partition, place) in &placed {
            let record = PlacementRecord::Place { partition: *partition, epoch, place: place.clone() };
            transaction.send(OutRecord {
                topic: &topic,
                partition: Some(0),
                key: record.key().as_bytes(),
                value: Some(&record.value()),
                headers: &[],
            })?;
        }
        transaction.commit()?;
        let moved = |(partition, place): &(&i32, &Place)| {
            self.placed.get(partition).is_none_or(|before| before.owner != place.owner)
        };
        let (moved, instances) = (placed.iter().filter(moved).count(), self.roster.live().count());
        tracing::info!(epoch, instances, moved, "placed {} partitions", placed.len());
        self.epoch = epoch;
        placed.into_iter().for_each(|(partition, place)| self.note(partition, place));
        Ok(())
    }
}
