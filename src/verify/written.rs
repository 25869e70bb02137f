//! The rows that a batch decides against those that it wrote.

use std::collections::BTreeSet;

use yardmaster_state::{Batch, Digest, StateError, StoreRead, TableClass, Write};
use yardmaster_topologies::tables::describe;

use super::claims::Claim;
use super::decisions::Told;
use super::failure::Halt;
use super::partition::Context;
use super::report::{Difference, Place};

/// The rows that were decided are those that were written, as far as the log still has them, and have their digest.
pub(super) fn rows_written(
    context: &Context<'_>,
    (told, torn): (&Told, &BTreeSet<Vec<u8>>),
    store: &dyn StoreRead,
    batch: &Batch,
) -> Result<(), Halt> {
    let record = &told.logged.record;
    let decided: Vec<&Write> = batch.logged().collect();
    let digest = digest_of(&decided);
    if decided.len() == record.records as usize && digest == record.digest {
        return Ok(());
    }
    let mut mended = Vec::new();
    if let Some(claim) = &told.claim {
        against_log(context, (claim, torn), (store, &decided), &mut mended)?;
    } else {
        let is_decided = |key: &&Vec<u8>| decided.iter().any(|write| *write.key == ***key);
        for key in torn.iter().filter(|key| !is_decided(key)) {
            mended.push(rewritten(store, key)?);
        }
    }
    let mut all: Vec<&Write> = decided.into_iter().chain(&mended).collect();
    all.sort_by(|one, other| one.key.cmp(&other.key));
    let digest = digest_of(&all);
    if all.len() == record.records as usize && digest == record.digest {
        return Ok(());
    }
    Err(Difference {
        what: "batch",
        detail: format!("batch {} decides other rows than it wrote", record.sequence),
        sequence: Some(record.sequence),
        expected: Some(format!("{} rows with digest {digest:016x}", all.len())),
        found: Some(format!("{} rows with digest {:016x}", record.records, record.digest)),
        ..Difference::default()
    }
    .into())
}

/// Row by row, against those that the changelog still has. Rows that mend torn ones are set aside.
fn against_log(
    context: &Context<'_>,
    (claim, torn): (&Claim, &BTreeSet<Vec<u8>>),
    (store, decided): (&dyn StoreRead, &[&Write]),
    mended: &mut Vec<Write>,
) -> Result<(), Halt> {
    let span = &context.ends.changelog;
    let fail = |detail: &str, key: &[u8], values: (Option<&[u8]>, Option<&[u8]>), offset: i64| {
        let (expected, found) = (describe(key, values.0), describe(key, values.1));
        Halt::from(Difference {
            what: "row",
            detail: format!("batch {} {detail}", claim.record.sequence),
            sequence: Some(claim.record.sequence),
            place: Some(Place::at(span, offset)),
            table: Some(expected.table),
            key: Some(expected.key),
            expected: expected.value,
            found: found.value,
        })
    };
    for row in &claim.rows {
        let found = row.value.as_deref();
        let expected = decided.binary_search_by(|write| (*write.key).cmp(&row.key)).ok();
        match expected.and_then(|place| decided.get(place)) {
            Some(write) if write.value.as_deref() == found => {}
            Some(write) => {
                let values = (write.value.as_deref(), found);
                return Err(fail("decides another row than it wrote", &row.key, values, row.offset));
            }
            None => {
                let again = rewritten(store, &row.key)?;
                if !torn.contains(&row.key) || again.value.as_deref() != found {
                    return Err(fail(
                        "wrote a row that it does not decide",
                        &row.key,
                        (None, found),
                        row.offset,
                    ));
                }
                mended.push(again);
            }
        }
    }
    let is_written = |write: &&&Write| claim.rows.iter().any(|row| *row.key == *write.key);
    if claim.is_whole
        && let Some(write) = decided.iter().find(|write| !is_written(write))
    {
        let values = (write.value.as_deref(), None);
        return Err(fail("decides a row that it did not write", &write.key, values, claim.offset));
    }
    Ok(())
}

/// A row as an owner writes it again to mend a torn one.
fn rewritten(store: &dyn StoreRead, key: &[u8]) -> Result<Write, StateError> {
    let value = store.get(TableClass::Logged, key)?;
    Ok(Write { key: key.into(), value, class: TableClass::Logged })
}

fn digest_of(rows: &[&Write]) -> u64 {
    let mut digest = Digest::new();
    for row in rows {
        digest.add(&row.key, row.value.as_deref());
    }
    digest.finish()
}
