//! Who is there, and who owns what: instances announce themselves, the live one with the lowest id is the placer and
//! writes the placement. A placer that is wrong, dead or doubled costs time and nothing else: owners fence each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::names::Names;
use super::placement::place;
use crate::kafka::{Connection, KafkaFailure, OutRecord, Submitter, Tail, Transactions, high_watermark};

/// How often an instance says that it is there.
pub(super) const ANNOUNCE_EVERY: Duration = Duration::from_millis(500);

/// How long a fresh instance listens before it may be the placer.
const LISTEN: Duration = Duration::from_millis(1_200);

/// How long the placement may take to be read to its end.
const READ_PATIENCE: Duration = Duration::from_secs(5);

/// What an instance says about itself, on `instances`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announcement {
    pub(super) v: u32,
    pub(super) instance: String,
    /// This life of it; later lives sort higher.
    #[serde(default)]
    pub(super) incarnation: String,
    pub(super) url: String,
    /// The partitions that it serves now.
    pub(super) partitions: Vec<i32>,
    /// It is about to stop.
    pub(super) leaving: bool,
}

/// One partition's owner, on `placement`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Placed {
    v: u32,
    epoch: u64,
    owner: String,
    standbys: Vec<String>,
}

struct Peer {
    url: String,
    partitions: Vec<i32>,
    heard_at: Instant,
}

/// This instance's view of all of them.
pub(super) struct Membership {
    names: Names,
    conn: Connection,
    submitter: Arc<Submitter>,
    id: String,
    incarnation: String,
    is_replaced: bool,
    partitions: i32,
    timeout: Duration,
    instances: Tail,
    placements: Tail,
    peers: BTreeMap<String, Peer>,
    owners: BTreeMap<i32, String>,
    epoch: u64,
    began: Instant,
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
        (id, incarnation): (&str, &str),
        (partitions, timeout): (i32, Duration),
    ) -> Result<Self, KafkaFailure> {
        let mut membership = Self {
            names: names.clone(),
            conn: conn.clone(),
            submitter,
            id: id.to_owned(),
            incarnation: incarnation.to_owned(),
            is_replaced: false,
            partitions,
            timeout,
            instances: Tail::open(conn, &names.instances(), 1, None)?,
            placements: Tail::open(conn, &names.placement(), 1, Some(vec![0]))?,
            peers: BTreeMap::new(),
            owners: BTreeMap::new(),
            epoch: 0,
            began: Instant::now(),
        };
        // Who knows only the beginning of the placement would give up partitions that are its own.
        membership.read_to_end()?;
        Ok(membership)
    }

    /// Says that this instance is there.
    pub(super) fn announce(&self, announcement: &Announcement) -> Result<(), KafkaFailure> {
        let value = serde_json::to_vec(announcement).expect("an announcement is JSON");
        let topic = self.names.instances();
        self.submitter.send_to_blocking(&topic, 0, self.id.as_bytes(), &value, &[]).map(|_| ())
    }

    /// Reads what others said, and places if that is this instance's turn.
    pub(super) fn observe(&mut self) -> Result<(), KafkaFailure> {
        self.read_instances()?;
        self.read_placements(Duration::ZERO)?;
        let timeout = self.timeout;
        self.peers.retain(|_, peer| peer.heard_at.elapsed() < timeout);
        let is_turn = self.began.elapsed() >= LISTEN && self.peers.keys().next() == Some(&self.id);
        if !is_turn || self.is_replaced || self.wanted() == self.owners {
            return Ok(());
        }
        self.write()
    }

    /// Who should own what, by who is heard.
    fn wanted(&self) -> BTreeMap<i32, String> {
        let live: BTreeSet<String> = self.peers.keys().cloned().collect();
        place(self.partitions, &live, &self.owners)
    }

    /// The partitions that are placed here.
    pub(super) fn own(&self) -> BTreeSet<i32> {
        if self.is_replaced {
            return BTreeSet::new();
        }
        self.owners.iter().filter(|(_, owner)| **owner == self.id).map(|(partition, _)| *partition).collect()
    }

    /// The epoch of the placement.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where the other partitions are served, as far as their owners are heard and say so.
    pub(super) fn elsewhere(&self) -> BTreeMap<i32, String> {
        let others = self.owners.iter().filter(|(_, owner)| **owner != self.id);
        others
            .filter_map(|(partition, owner)| {
                let peer = self.peers.get(owner).filter(|peer| peer.partitions.contains(partition));
                Some((*partition, peer?.url.clone()))
            })
            .collect()
    }

    /// The other instance that says it serves this partition, in words.
    pub(super) fn claimant(&self, partition: i32) -> Option<String> {
        let mut others = self.peers.iter().filter(|(id, _)| **id != self.id);
        let (id, peer) = others.find(|(_, peer)| peer.partitions.contains(&partition))?;
        Some(format!("instance {id} at {}", peer.url))
    }

    /// Whether a live instance still serves this partition: it gets a moment to finish its batch.
    pub(super) fn is_served_elsewhere(&self, partition: i32) -> bool {
        self.peers.iter().any(|(id, peer)| *id != self.id && peer.partitions.contains(&partition))
    }

    fn read_instances(&mut self) -> Result<(), KafkaFailure> {
        while let Some(record) = self.instances.poll(Duration::ZERO)? {
            let Some(value) = record.value else { continue };
            match serde_json::from_slice::<Announcement>(&value) {
                Ok(said) if said.instance == self.id && said.incarnation != self.incarnation => {
                    self.meet_namesake(&said);
                }
                Ok(said) if said.leaving => {
                    self.peers.remove(&said.instance);
                }
                Ok(said) => {
                    let peer = Peer { url: said.url, partitions: said.partitions, heard_at: Instant::now() };
                    self.peers.insert(said.instance, peer);
                }
                Err(error) => tracing::warn!(%error, offset = record.offset, "an announcement can't be read"),
            }
        }
        Ok(())
    }

    /// Two processes with one id would claim the same partitions from each other for ever: the older one yields.
    fn meet_namesake(&mut self, said: &Announcement) {
        if said.incarnation > self.incarnation && !said.leaving && !self.is_replaced {
            self.is_replaced = true;
            let id = &self.id;
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
            let partition = std::str::from_utf8(&key).ok().and_then(|key| key.parse().ok());
            match (partition, serde_json::from_slice::<Placed>(&value)) {
                (Some(partition), Ok(placed)) if placed.epoch >= self.epoch => {
                    self.epoch = placed.epoch;
                    self.owners.insert(partition, placed.owner);
                }
                (Some(_), Ok(_)) => {}
                (None, _) | (_, Err(_)) => {
                    tracing::warn!(offset = record.offset, "a placement can't be read");
                }
            }
        }
        Ok(())
    }

    /// Reads the placement to its end; after a fence nothing of another placer is still to come.
    fn read_to_end(&mut self) -> Result<(), KafkaFailure> {
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
        if placed == self.owners {
            return Ok(());
        }
        let epoch = self.epoch + 1;
        let topic = self.names.placement();
        transaction.begin()?;
        for (partition, owner) in &placed {
            let record = Placed { v: 1, epoch, owner: owner.clone(), standbys: Vec::new() };
            let value = serde_json::to_vec(&record).expect("a placement is JSON");
            let key = partition.to_string();
            transaction.send(OutRecord {
                topic: &topic,
                partition: Some(0),
                key: key.as_bytes(),
                value: Some(&value),
                headers: &[],
            })?;
        }
        transaction.commit()?;
        tracing::info!(epoch, instances = self.peers.len(), "placed {} partitions", placed.len());
        self.epoch = epoch;
        self.owners = placed;
        Ok(())
    }
}
