//! Who is there, and who owns what: instances announce themselves, the live one with the lowest id is the placer and
//! writes the placement. A placer that is wrong, dead or doubled costs time and nothing else: owners fence each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::names::Names;
use super::placement::place;
use crate::kafka::{Connection, KafkaFailure, OutRecord, Submitter, Tail, Transactions};

/// How often an instance says that it is there.
pub(super) const ANNOUNCE_EVERY: Duration = Duration::from_millis(500);

/// How long a fresh instance listens before it may be the placer.
const LISTEN: Duration = Duration::from_millis(1_200);

/// What an instance says about itself, on `instances`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announcement {
    pub(super) v: u32,
    pub(super) instance: String,
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
    pub(super) fn open(
        conn: &Connection,
        names: &Names,
        submitter: Arc<Submitter>,
        (id, partitions, timeout): (String, i32, Duration),
    ) -> Result<Self, KafkaFailure> {
        Ok(Self {
            names: names.clone(),
            conn: conn.clone(),
            submitter,
            id,
            partitions,
            timeout,
            instances: Tail::open(conn, &names.instances(), 1, None)?,
            placements: Tail::open(conn, &names.placement(), 1, Some(vec![0]))?,
            peers: BTreeMap::new(),
            owners: BTreeMap::new(),
            epoch: 0,
            began: Instant::now(),
        })
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
        self.read_placements()?;
        let timeout = self.timeout;
        self.peers.retain(|_, peer| peer.heard_at.elapsed() < timeout);
        if self.began.elapsed() < LISTEN || self.peers.keys().next() != Some(&self.id) {
            return Ok(());
        }
        let live: BTreeSet<String> = self.peers.keys().cloned().collect();
        let placed = place(self.partitions, &live, &self.owners);
        if placed == self.owners { Ok(()) } else { self.write(placed) }
    }

    /// The partitions that are placed here.
    pub(super) fn own(&self) -> BTreeSet<i32> {
        self.owners.iter().filter(|(_, owner)| **owner == self.id).map(|(partition, _)| *partition).collect()
    }

    /// The epoch of the placement.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where the other partitions are, as far as their owners are heard.
    pub(super) fn elsewhere(&self) -> BTreeMap<i32, String> {
        let others = self.owners.iter().filter(|(_, owner)| **owner != self.id);
        others.filter_map(|(partition, owner)| Some((*partition, self.peers.get(owner)?.url.clone()))).collect()
    }

    /// Whether a live instance still serves this partition: it gets a moment to finish its batch.
    pub(super) fn is_served_elsewhere(&self, partition: i32) -> bool {
        self.peers.iter().any(|(id, peer)| *id != self.id && peer.partitions.contains(&partition))
    }

    fn read_instances(&mut self) -> Result<(), KafkaFailure> {
        while let Some(record) = self.instances.poll(Duration::ZERO)? {
            let Some(value) = record.value else { continue };
            match serde_json::from_slice::<Announcement>(&value) {
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

    fn read_placements(&mut self) -> Result<(), KafkaFailure> {
        while let Some(record) = self.placements.poll(Duration::ZERO)? {
            let (Some(key), Some(value)) = (record.key, record.value) else { continue };
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

    /// Writes a placement with the next epoch, all of it or nothing; a placer that was doubled is fenced by this.
    fn write(&mut self, placed: BTreeMap<i32, String>) -> Result<(), KafkaFailure> {
        let epoch = self.epoch + 1;
        let topic = self.names.placement();
        let mut transaction = Transactions::claim(&self.conn, &self.names.placer_id())?;
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
