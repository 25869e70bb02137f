//! The audit of one partition: opens its store, asks for the ends, and makes the passes.

use std::path::Path;

use yardmaster_state::{BlockCache, DiskOptions, DiskStore, StateDirectory, StateError, StoreRead};

use super::ends::Ends;
use super::failure::{Halt, VerifyError};
use super::fold::{Stored, fold};
use super::replay::replay;
use super::report::PartitionReport;
use super::{Audit, Progress};
use crate::kafka::{Connection, Topics};
use crate::runtime::Names;

const CACHE_BYTES: usize = 64 << 20;

/// What all partitions have in common.
pub(super) struct Whole<'a> {
    pub(super) audit: &'a Audit,
    pub(super) names: &'a Names,
    pub(super) topics: &'a Topics,
    pub(super) partitions: i32,
}

/// What both passes over a partition need.
pub(super) struct Context<'a> {
    pub(super) conn: &'a Connection,
    pub(super) names: &'a Names,
    pub(super) partition: i32,
    pub(super) partitions: i32,
    pub(super) ends: Ends,
    pub(super) from_sequence: Option<u64>,
    progress: &'a mut dyn FnMut(&Progress),
}

impl Context<'_> {
    pub(super) fn show(&mut self, doing: &'static str, done: i64, total: i64) {
        let number = |count: i64| u64::try_from(count).unwrap_or_default();
        let (done, total) = (number(done), number(total));
        (self.progress)(&Progress { partition: self.partition, doing, done, total });
    }
}

/// Audits one partition.
pub(super) fn audit(
    whole: &Whole<'_>,
    partition: i32,
    show: &mut dyn FnMut(&Progress),
) -> Result<PartitionReport, VerifyError> {
    let mut report = PartitionReport { partition, ..PartitionReport::default() };
    match passes(whole, partition, show, &mut report) {
        Ok(()) => {}
        Err(Halt::Different(difference)) => report.difference = Some(*difference),
        Err(Halt::Failed(error)) => return Err(error),
    }
    Ok(report)
}

fn passes(
    whole: &Whole<'_>,
    partition: i32,
    show: &mut dyn FnMut(&Progress),
    report: &mut PartitionReport,
) -> Result<(), Halt> {
    let audit = whole.audit;
    // The store first: whatever it holds was committed before the ends are asked for.
    let store = open(audit.state_dir.as_deref(), &audit.namespace, partition, report)?;
    let stored = store.as_ref().map(|(name, store)| stored(name, store)).transpose()?.flatten();
    let place = (partition, whole.partitions);
    let ends = Ends::ask(&audit.conn, whole.names, whole.topics, place)?;
    report.changelog_end = ends.changelog.end;
    report.store_sequence = stored.as_ref().map(|stored| stored.checkpoint.sequence);
    let mut context = Context {
        conn: &audit.conn,
        names: whole.names,
        partition,
        partitions: whole.partitions,
        ends,
        from_sequence: audit.from_sequence,
        progress: show,
    };
    let compared = stored.as_ref().filter(|_| audit.fold);
    let folded = fold(&mut context, compared, report)?;
    if audit.replay {
        replay(&mut context, &folded, stored.as_ref(), report)?;
    }
    Ok(())
}

/// The store of a partition, if there is one. Nothing is locked: a server may have it open.
fn open(
    state_dir: Option<&Path>,
    namespace: &str,
    partition: i32,
    report: &mut PartitionReport,
) -> Result<Option<(String, DiskStore)>, Halt> {
    let Some(state_dir) = state_dir else {
        report.unchecked.push("no store: no --state-dir was given".to_owned());
        return Ok(None);
    };
    let number = u32::try_from(partition).unwrap_or_default();
    let path = StateDirectory::store_of(state_dir, namespace, number);
    if !path.join("CURRENT").exists() {
        report.unchecked.push(format!("no store: there is none in {}", path.display()));
        return Ok(None);
    }
    let name = path.display().to_string();
    match DiskStore::open_read_only(&path, &DiskOptions::new(BlockCache::new(CACHE_BYTES))) {
        Ok(store) => Ok(Some((name, store))),
        Err(StateError::Corrupted(what)) => Err(damaged(&name, &what).into()),
        Err(error) => Err(error.into()),
    }
}

fn damaged(name: &str, what: &str) -> super::Difference {
    super::Difference {
        what: "row",
        detail: format!("the files of {name} are damaged: {what}"),
        ..super::Difference::default()
    }
}

fn stored<'s>(name: &str, store: &'s DiskStore) -> Result<Option<Stored<'s>>, StateError> {
    let checkpoint = store.checkpoint()?;
    Ok(checkpoint.map(|checkpoint| Stored { store, checkpoint, name: name.to_owned() }))
}
