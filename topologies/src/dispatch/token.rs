//! The fencing token: proof that a worker was given exactly this attempt. A keyed hash, so a replay makes the same one
//! and nobody without the partition's secret can.

use crate::id::{Attempt, Generation, Incarnation, Pool, TaskId, Token};
use crate::time::WallMs;

/// The token of an attempt, as 32 hexadecimal digits.
#[must_use]
pub fn token(
    secret: &[u8; 32],
    (pool, id): (&Pool, &TaskId),
    (generation, submitted_at): (Generation, WallMs),
    attempt: Attempt,
    incarnation: &Incarnation,
) -> Token {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    for name in [pool.as_str(), id.as_str(), incarnation.as_str()] {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    hasher.update(&generation.0.to_le_bytes());
    // An id that is used again after the dedup window starts with the same numbers.
    hasher.update(&submitted_at.0.to_le_bytes());
    hasher.update(&attempt.0.to_le_bytes());
    let hex = hasher.finalize().to_hex();
    Token::trusted(hex.get(..32).expect("a hash has 64 digits"))
}
