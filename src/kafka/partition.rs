//! Which partition a pool lives in: as Java's default partitioner says, so that foreign clients which key by pool land
//! where ours do.

use yardmaster_topologies::id::Pool;

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;
const ROTATION: u32 = 24;

/// The partition of a pool, of `partitions` (at least one; fewer count as one).
#[must_use]
pub fn partition_of(pool: &Pool, partitions: i32) -> i32 {
    let positive = i32::try_from(murmur2(pool.as_str().as_bytes()) & 0x7fff_ffff).unwrap_or(0);
    positive % partitions.max(1)
}

/// MurmurHash2 as in Kafka's `Utils.murmur2`, bit for bit.
fn murmur2(bytes: &[u8]) -> u32 {
    // Java's length is an int: longer input can't be a key.
    let mut hash = SEED ^ (bytes.len() as u32);
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut value = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        value ^= value >> ROTATION;
        hash = hash.wrapping_mul(MULTIPLIER) ^ value.wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own `UtilsTest`.
    #[test]
    fn hashes_as_java_does() {
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (text, hash) in vectors {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }

    #[test]
    fn stays_within_the_partitions() {
        let pool: Pool = Pool::parse("default").unwrap();
        for partitions in 1..20 {
            assert!((0..partitions).contains(&partition_of(&pool, partitions)));
        }
        assert_eq!(partition_of(&pool, 0), 0);
    }
}
