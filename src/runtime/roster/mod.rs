//! Who is there: what instances announced, how long they have been silent, and how steady they are.
//!
//! An instance that has just come settles first, for `instance.timeout`, and twice as long for each of its lives that began
//! a short while ago: one that comes and goes moves nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::announcement::Announcement;
use super::placement::{Candidate, Standing};

/// How long copies are kept for an instance that is not there: restarts are shorter, and a new copy is work.
const AWAY_MAX: Duration = Duration::from_secs(30);
/// How long a life counts.
const LIVES_KEPT: Duration = Duration::from_secs(120);
/// An instance that had so many lives lately is given nothing, and loses what it has.
const LIVES_MAX: usize = 5;

/// What is known of one instance.
pub(super) struct Peer {
    pub(super) said: Announcement,
    heard_at: Instant,
    /// When its lives of late began, the present one last.
    lives: VecDeque<Instant>,
    settles_at: Instant,
    gone_at: Option<Instant>,
}

/// All instances that were heard lately.
pub(super) struct Roster {
    timeout: Duration,
    peers: BTreeMap<String, Peer>,
}

impl Roster {
    /// Knows nobody; an instance that is silent for `timeout` is gone.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, peers: BTreeMap::new() }
    }

    /// Takes in what an instance says.
    pub(super) fn hear(&mut self, said: Announcement, now: Instant) {
        let Some(peer) = self.peers.get_mut(&said.instance) else {
            if !said.leaving {
                let lives = VecDeque::from([now]);
                let settles_at = now + self.timeout;
                let id = said.instance.clone();
                self.peers.insert(id, Peer { said, heard_at: now, lives, settles_at, gone_at: None });
            }
            return;
        };
        if said.leaving {
            peer.gone_at = peer.gone_at.or(Some(now));
            return;
        }
        if peer.gone_at.take().is_some() || peer.said.incarnation != said.incarnation {
            peer.lives.push_back(now);
            peer.forget_lives(now);
            let doublings = u32::try_from(peer.lives.len().min(LIVES_MAX)).unwrap_or_default();
            peer.settles_at = now + self.timeout * 2_u32.pow(doublings.saturating_sub(1));
        }
        peer.heard_at = now;
        peer.said = said;
    }

    /// Whoever was silent for too long is gone, and forgotten after a while.
    pub(super) fn expire(&mut self, now: Instant) {
        let timeout = self.timeout;
        for peer in self.peers.values_mut() {
            if peer.gone_at.is_none() && now.saturating_duration_since(peer.heard_at) >= timeout {
                peer.gone_at = Some(now);
            }
            peer.forget_lives(now);
        }
        self.peers.retain(|_, peer| peer.gone_for(now).is_none_or(|gone| gone < LIVES_KEPT));
    }

    /// Whether nothing was heard of an instance for too long, or ever.
    pub(super) fn is_silent(&self, id: &str, now: Instant) -> bool {
        self.peers.get(id).is_none_or(|peer| now.saturating_duration_since(peer.heard_at) >= self.timeout)
    }

    /// Whoever is there counts as heard, but for the one that listens.
    pub(super) fn forgive_silence(&mut self, listener: &str, now: Instant) {
        let is_there = |(id, peer): &(&String, &mut Peer)| *id != listener && peer.gone_at.is_none();
        self.peers.iter_mut().filter(is_there).for_each(|(_, peer)| peer.heard_at = now);
    }

    /// Everybody who is there counts as settled, and as steady: an operator says so.
    pub(super) fn trust_all(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.settles_at = now;
            peer.lives = VecDeque::from([now]);
        }
    }

    /// Those that are there.
    pub(super) fn live(&self) -> impl Iterator<Item = (&String, &Announcement)> {
        self.peers.iter().filter(|(_, peer)| peer.gone_at.is_none()).map(|(id, peer)| (id, &peer.said))
    }

    /// One of them.
    pub(super) fn get(&self, id: &str) -> Option<&Announcement> {
        self.peers.get(id).filter(|peer| peer.gone_at.is_none()).map(|peer| &peer.said)
    }

    /// All of them as the placer sees them.
    pub(super) fn candidates(&self, drained: &BTreeSet<String>, now: Instant) -> BTreeMap<String, Candidate> {
        let candidate = |(id, peer): (&String, &Peer)| {
            let standing = peer.standing(drained.contains(id), now)?;
            let copies = peer.said.standbys.clone();
            Some((id.clone(), Candidate { standing, rack: peer.said.rack.clone(), copies }))
        };
        self.peers.iter().filter_map(candidate).collect()
    }
}

impl Peer {
    fn gone_for(&self, now: Instant) -> Option<Duration> {
        self.gone_at.map(|at| now.saturating_duration_since(at))
    }

    fn forget_lives(&mut self, now: Instant) {
        while self.lives.len() > 1
            && self.lives.front().is_some_and(|began| now.saturating_duration_since(*began) > LIVES_KEPT)
        {
            self.lives.pop_front();
        }
    }

    fn standing(&self, is_drained: bool, now: Instant) -> Option<Standing> {
        match self.gone_for(now) {
            Some(gone) if gone >= AWAY_MAX || is_drained => None,
            Some(_) => Some(Standing::Away),
            None if is_drained => Some(Standing::Drained),
            None if self.said.stopping || self.lives.len() > LIVES_MAX => Some(Standing::Stopping),
            None if now >= self.settles_at => Some(Standing::Settled),
            None => Some(Standing::New),
        }
    }
}

#[cfg(test)]
mod tests;
