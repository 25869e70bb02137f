//! Every batch in its sequence, with all that is known of it: from the changelog as long as its batch record is there, from
//! its copy on `events` otherwise.

use std::collections::BTreeSet;

use yardmaster_state::{BatchRecord, NextOffset};
use yardmaster_topologies::event::{Local, decode_local, encode_local_blanked};
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::wire::InputRange;

use super::claims::{Claim, Claims, Row};
use super::event_log::{Copied, EventLog, Group};
use super::failure::Halt;
use super::fold::breach;
use super::report::Difference;
use crate::kafka::{Connection, LogReader, Span};
use crate::runtime::LoggedBatch;

/// A batch that was decided.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) logged: LoggedBatch,
    /// Its rows, as far as the changelog has them.
    pub(super) claim: Option<Claim>,
    /// What it wrote onto `events`, as far as that is there.
    pub(super) group: Option<Group>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Batch(Box<Told>),
    End,
    /// Nobody knows enough about this batch any more.
    Gap(u64),
}

pub(super) struct Decisions {
    changelog: Span,
    reader: LogReader,
    claims: Claims,
    claim: Option<Claim>,
    /// Keys of rows that nobody claimed so far: an owner writes them again as they are.
    pub(super) torn: BTreeSet<Vec<u8>>,
    events: EventLog,
    group: Option<Group>,
    /// `events` has every copy from this batch on.
    has_copies: bool,
    /// The batch that comes next.
    next: u64,
    /// Batches up to this one have all of their records below the ends.
    settled: u64,
    /// Not on `events`: taken from the changelog's row.
    secret: Option<[u8; 32]>,
}

impl Decisions {
    /// From the batch `first` on.
    pub(super) fn open(
        conn: &Connection,
        (changelog, events): (&Span, &Span),
        (first, settled): (u64, u64),
        secret: Option<[u8; 32]>,
    ) -> Result<Self, Halt> {
        let reader = LogReader::open(conn, &changelog.topic, changelog.partition, changelog.from)?;
        Ok(Self {
            changelog: changelog.clone(),
            reader,
            claims: Claims::new(),
            claim: None,
            torn: BTreeSet::new(),
            events: EventLog::open(conn, events)?,
            group: None,
            has_copies: false,
            next: first,
            settled,
            secret,
        })
    }

    pub(super) fn next(&mut self) -> Result<Next, Halt> {
        self.look()?;
        let sequence = self.next;
        let claim = self.claim.take_if(|claim| claim.record.sequence == sequence);
        let group = self.group.take_if(|group| group.sequence == sequence);
        if claim.is_none() && group.is_none() && self.claim.is_none() && self.group.is_none() {
            return Ok(Next::End);
        }
        if group.is_none() && self.has_copies && sequence <= self.settled {
            return Err(Difference {
                what: "event",
                detail: format!("batch {sequence} has no copy of its batch record on events"),
                sequence: Some(sequence),
                ..Difference::default()
            }
            .into());
        }
        self.has_copies |= group.is_some();
        let logged = match (&claim, &group) {
            (Some(claim), group) => {
                let logged = LoggedBatch::of(claim.record.clone())?;
                if let Some(group) = group {
                    same(&logged, &group.copy)?;
                }
                Some(logged)
            }
            (None, Some(group)) => self.told_by(sequence, &group.copy)?,
            (None, None) => None,
        };
        self.next += 1;
        Ok(match logged {
            Some(logged) => Next::Batch(Box::new(Told { logged, claim, group })),
            None => Next::Gap(sequence),
        })
    }

    /// Finds the claim and the group at or behind the batch that comes next.
    fn look(&mut self) -> Result<(), Halt> {
        while self.claim.as_ref().is_none_or(|claim| claim.record.sequence < self.next) {
            self.claim = None;
            let Some(record) = self.reader.next_before(self.changelog.end)? else { break };
            let key = record.key.unwrap_or_default();
            let row = Row { offset: record.offset, key, value: record.value };
            let fed = self.claims.feed(row);
            self.claim = fed.map_err(|found| breach(&self.changelog, found))?;
            let torn = self.claim.iter().flat_map(|claim| &claim.torn);
            self.torn.extend(torn.map(|row| row.key.clone()));
        }
        while self.group.as_ref().is_none_or(|group| group.sequence < self.next) {
            self.has_copies |= self.group.is_some();
            self.group = self.events.next()?;
            if self.group.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn told_by(&self, sequence: u64, copy: &Copied) -> Result<Option<LoggedBatch>, Halt> {
        let Some(log) = &copy.log else { return Ok(None) };
        let mut local = decode_local(&log.local)?;
        for event in &mut local {
            if let Local::Configured(settings) = event {
                let Some(secret) = self.secret else { return Ok(None) };
                **settings = Settings { secret, ..settings.as_ref().clone() };
            }
        }
        let range = |range: InputRange| (NextOffset(range.from), NextOffset(range.to));
        let record = BatchRecord {
            sequence,
            inputs: vec![range(copy.tasks), range(copy.status)],
            records: log.rows,
            digest: log.digest,
            at_ms: log.clock.0,
            wall_ms: copy.wall_ms,
            local: Vec::new(),
            owner_epoch: log.owner_epoch,
            code_version: log.code_version,
        };
        Ok(Some(LoggedBatch { record, local }))
    }
}

/// Both say the same; the copy as far as it goes.
fn same(logged: &LoggedBatch, copy: &Copied) -> Result<(), Halt> {
    let record = &logged.record;
    let input =
        |index: usize| record.inputs.get(index).map(|(from, to)| InputRange { from: from.0, to: to.0 });
    let is_log_same = copy.log.as_ref().is_none_or(|log| {
        (log.clock.0, log.rows, log.digest, log.owner_epoch, log.code_version)
            == (record.at_ms, record.records, record.digest, record.owner_epoch, record.code_version)
            && log.local == encode_local_blanked(&logged.local)
    });
    let is_same = is_log_same
        && input(0) == Some(copy.tasks)
        && input(1) == Some(copy.status)
        && copy.wall_ms == record.wall_ms;
    if is_same {
        return Ok(());
    }
    // Without the local events: they hold the secret of the tokens.
    let shown = BatchRecord { local: Vec::new(), ..record.clone() };
    Err(Difference {
        what: "batch",
        detail: "the copy of a batch record on events says something else than the changelog".to_owned(),
        sequence: Some(record.sequence),
        expected: Some(format!("{shown:?}")),
        found: Some(format!("{copy:?}")),
        ..Difference::default()
    }
    .into())
}
