//! Who gets what: pure, data in and data out. Another file does it.

use crate::id::WorkerName;
use crate::memory::{FreeWorker, Head};

/// A task for a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The task, as it stood in its line.
    pub head: Head,
    /// Who gets it.
    pub worker: WorkerName,
}

/// Gives tasks, first to last, each to the worker with the most free slots at that moment; among equals to the one
/// that had more at first, then to the one that comes first in `workers`. Ends when either side runs out.
#[must_use]
pub fn choose(heads: Vec<Head>, mut workers: Vec<FreeWorker>) -> Vec<Grant> {
    let mut grants = Vec::with_capacity(heads.len());
    // Highest first; the sort is stable, so the given order decides among equals.
    workers.sort_by_key(|worker| std::cmp::Reverse(worker.free));
    let mut heads = heads.into_iter();
    // Level by level: all workers with `level` free slots get one each before any with fewer.
    let mut level = workers.first().map_or(0, |worker| worker.free);
    while level > 0 {
        for worker in workers.iter_mut().take_while(|worker| worker.free >= level) {
            let Some(head) = heads.next() else { return grants };
            grants.push(Grant { head, worker: worker.worker.clone() });
            worker.free -= 1;
        }
        level -= 1;
    }
    grants
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{MessageSeq, Pool, Priority, QueueName, ReadySeq, TaskId};
    use crate::tables::Line;

    fn heads(count: i64) -> Vec<Head> {
        let line = Line {
            pool: Pool::trusted("p"),
            priority: Priority(0),
            queue: QueueName::trusted("q"),
            job: None,
            class: 0,
        };
        (0..count)
            .map(|n| Head { line: line.clone(), seq: ReadySeq(n), id: TaskId::trusted(&format!("t{n}")) })
            .collect()
    }

    fn given(tasks: i64, slots: &[u32]) -> String {
        let worker = |(n, free): (usize, &u32)| FreeWorker {
            worker: WorkerName::trusted(&format!("w{n}")),
            free: *free,
            seq: MessageSeq(0),
        };
        let grants = choose(heads(tasks), slots.iter().enumerate().map(worker).collect());
        grants.iter().map(|grant| format!("{}:{}", grant.head.id, grant.worker)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tasks_go_out_in_order_to_the_emptiest_worker() {
        assert_eq!(given(4, &[1, 3]), "t0:w1 t1:w1 t2:w1 t3:w0");
        assert_eq!(given(2, &[2, 2]), "t0:w0 t1:w1");
        assert_eq!(given(5, &[1, 1]), "t0:w0 t1:w1");
        assert_eq!(given(0, &[1]), "");
        assert_eq!(given(3, &[]), "");
    }
}
