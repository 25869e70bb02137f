//! Mistakes about the order of things that tests must find; each is off unless a build with the feature `chaos` was told
//! to make it. One that is a word in another place is made there.

use yardmaster_state::chaos::Mutant;
use yardmaster_state::{Batch, Checkpoint, Seal, StateError};

use super::deadletter::DeadLetter;
use super::partition::Partition;
use super::step::{Session, checkpoint};
use crate::kafka::{Connection, Delivered, KafkaFailure, high_watermark};

/// M2: asks how far the changelog is while the owner before may still write.
pub(super) fn watermark_before_fence(
    partition: &Partition,
    conn: &Connection,
) -> Result<Option<(i64, i64)>, KafkaFailure> {
    if !Mutant::WatermarkBeforeFence.is_on() {
        return Ok(None);
    }
    high_watermark(conn, &partition.names.changelog(), partition.number).map(Some)
}

/// M3: goes on where the store stood before the restore, as anything would that is not written with the batch.
pub(super) fn position_of(old: Option<Checkpoint>, restored: Checkpoint) -> Checkpoint {
    match old {
        Some(old) if Mutant::PositionOfAnother.is_on() => Checkpoint { inputs: old.inputs, ..restored },
        Some(_) | None => restored,
    }
}

/// M4 and M14: the store gets the batch, with its positions or only its rows, and nothing is committed yet.
pub(super) fn store_early(session: &Session<'_>, batch: &Batch, seal: &Seal) -> Result<(), StateError> {
    let checkpoint = if Mutant::ApplyBeforeCommit.is_on() {
        Some(checkpoint(seal, session.checkpoint.changelog))
    } else if Mutant::RowsWhileOpen.is_on() {
        None
    } else {
        return Ok(());
    };
    session.store.commit(&Batch { checkpoint, ..batch.clone() })
}

/// M5: whether the batch record is left out of the transaction.
pub(super) fn is_sealed_late() -> bool {
    Mutant::BatchRecordOutside.is_on()
}

/// M5: sends the batch record by itself.
pub(super) fn seal_late(
    partition: &Partition,
    batch: &Batch,
    seal: &Seal,
    delivered: &mut Delivered,
) -> Result<(), KafkaFailure> {
    if is_sealed_late() {
        let (topic, record) = (partition.names.changelog(), batch.sealed(seal.clone()));
        let sent = partition.submitter.send_to_blocking(
            &topic,
            partition.number,
            &record.key(),
            &record.encode(),
            &[],
        )?;
        let [batch_at, _] = &mut delivered.watched;
        *batch_at = Some(sent.offset);
    }
    Ok(())
}

/// M13: sends a dead letter by itself; whether it did.
pub(super) fn dead_letter_outside(partition: &Partition, letter: &DeadLetter) -> Result<bool, KafkaFailure> {
    if !Mutant::DeadLetterOutside.is_on() {
        return Ok(false);
    }
    let topic = partition.names.dead_letter();
    let DeadLetter { key, value, headers, .. } = letter;
    partition.submitter.send_to_blocking(&topic, partition.number, key, value, headers)?;
    Ok(true)
}
