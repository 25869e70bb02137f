//! Which pools a run has: one on each partition.

use yardmaster::kafka::partition_of;
use yardmaster::topologies::id::Pool;

/// For each partition one pool, by its number.
pub(crate) fn pools_of_each_partition(partitions: usize) -> Vec<String> {
    (0..partitions).map(|wanted| pool_of(wanted, partitions)).collect()
}

fn pool_of(wanted: usize, partitions: usize) -> String {
    let count = i32::try_from(partitions).unwrap_or(i32::MAX);
    let is_there = |name: &String| {
        Pool::parse(name).is_ok_and(|pool| usize::try_from(partition_of(&pool, count)) == Ok(wanted))
    };
    (0..).map(|number| format!("pool{number}")).find(is_there).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_a_pool() {
        let found: Vec<i32> = pools_of_each_partition(8)
            .iter()
            .map(|pool| partition_of(&Pool::parse(pool).expect("a name"), 8))
            .collect();
        assert_eq!(found, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
