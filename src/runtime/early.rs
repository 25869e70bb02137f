//! Sends the effects of a large batch while the rest of it is still being decided, so that encoding them, the broker's work
//! and the deciding overlap. All of it is one transaction: nobody sees any of it before the commit.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use yardmaster_state::StateError;
use yardmaster_topologies::driver::Decided;
use yardmaster_topologies::effect::Effect;

use super::partition::Partition;
use super::send;
use super::step::Broken;
use crate::kafka::{KafkaFailure, Transactions};

/// Chunks that may wait to be sent.
const CHUNKS_MAX: usize = 64;

/// Takes effects in chunks.
pub(super) type Early<'e> = dyn FnMut(Vec<Effect>) + 'e;

/// Decides, and sends what is handed out early; then the transaction is begun. Returns the chunks of these effects beside
/// the decision.
pub(super) fn decide_and_send(
    partition: &Partition,
    transactions: &mut Transactions,
    decide: impl FnOnce(&mut Early<'_>) -> Result<Decided, StateError>,
) -> Result<(Decided, Vec<Vec<Effect>>), Broken> {
    thread::scope(|scope| {
        let (mut transactions, mut line) = (Some(transactions), None);
        let decided = decide(&mut |chunk| {
            // Small batches never come here: they cost no thread.
            if let Some(transactions) = transactions.take() {
                let (sender, chunks) = sync_channel(CHUNKS_MAX);
                line = Some((sender, scope.spawn(move || send_chunks(partition, transactions, &chunks))));
            }
            if let Some((sender, _)) = &line {
                // The other end takes everything, also after a failure, which it returns.
                sender.send(chunk).ok();
            }
        });
        let Some((sender, thread)) = line else {
            return Ok((decided?, Vec::new()));
        };
        drop(sender);
        let died = |_| KafkaFailure::Doubt("the thread that sends has died".to_owned());
        let sent = thread.join().map_err(died)?;
        Ok((decided?, sent?))
    })
}

fn send_chunks(
    partition: &Partition,
    transactions: &mut Transactions,
    chunks: &Receiver<Vec<Effect>>,
) -> Result<Vec<Vec<Effect>>, KafkaFailure> {
    let (mut sent, mut outcome) = (Vec::new(), transactions.begin());
    for chunk in chunks {
        let mut send = |effect| send::effect(transactions, &partition.names, partition.number, effect);
        outcome = outcome.and_then(|()| chunk.iter().try_for_each(&mut send));
        sent.push(chunk);
    }
    outcome.map(|()| sent)
}
