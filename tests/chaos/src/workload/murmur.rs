//! Java's murmur2, by which a pool's partition is known: a run wants a pool on each of them.

/// For each partition one pool, by its number.
pub(crate) fn pools_of_each_partition(partitions: usize) -> Vec<String> {
    let on = |wanted: usize| {
        let mut names = (0..).map(|number| format!("pool{number}"));
        names.find(|name| partition_of(name, partitions) == wanted).unwrap_or_default()
    };
    (0..partitions).map(on).collect()
}

fn partition_of(key: &str, partitions: usize) -> usize {
    (murmur2(key.as_bytes()) & 0x7fff_ffff) as usize % partitions.max(1)
}

fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(bytes.len()).expect("a short key");
    let mut hash = 0x9747_b28c ^ length;
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of Kafka's own clients.
    #[test]
    fn murmur2_is_java_s() {
        let known: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn each_partition_has_a_pool() {
        let pools = pools_of_each_partition(8);
        let found: Vec<usize> = pools.iter().map(|pool| partition_of(pool, 8)).collect();
        assert_eq!(found, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
