//! The table of a task's life, written down a second time: event by event, as people think of it.

use std::collections::BTreeSet;

use yardmaster_topologies::dispatch::is_legal;
use yardmaster_topologies::task::TaskState;

/// From, what happens, to.
const TABLE: &[(&str, &str, &str)] = &[
    ("BLOCKED", "its last dependency is COMPLETED", "QUEUED SCHEDULED"),
    ("BLOCKED", "a dependency ended otherwise", "ABORTED"),
    ("SCHEDULED", "its moment has come", "QUEUED"),
    ("QUEUED", "it is given to a worker", "ASSIGNED"),
    ("ASSIGNED", "the worker says that it runs", "RUNNING"),
    ("ASSIGNED RUNNING", "completed", "COMPLETED"),
    ("ASSIGNED", "rejected", "QUEUED"),
    ("ASSIGNED RUNNING", "failed, or ran too long", "SCHEDULED FAILED"),
    ("ASSIGNED RUNNING", "lost with its worker", "QUEUED FAILED"),
    ("BLOCKED SCHEDULED QUEUED", "hold", "HELD"),
    ("HELD", "release", "BLOCKED SCHEDULED QUEUED"),
    ("BLOCKED SCHEDULED QUEUED HELD", "cancel", "CANCELLED"),
    ("ASSIGNED RUNNING", "cancel", "CANCELLING"),
    ("ASSIGNED RUNNING", "it ended, and its job was cancelled: the sweep had not come to it", "CANCELLED"),
    ("CANCELLING", "its attempt is closed", "CANCELLED EXPIRED ABORTED"),
    ("CANCELLING", "completed all the same", "COMPLETED"),
    ("BLOCKED SCHEDULED QUEUED HELD", "its time is over", "EXPIRED"),
    ("BLOCKED SCHEDULED QUEUED HELD", "its job failed too often", "ABORTED"),
    ("COMPLETED FAILED CANCELLED EXPIRED ABORTED", "requeue", "QUEUED"),
];

#[test]
fn exactly_what_stands_in_the_table_is_legal() {
    let mut legal = BTreeSet::new();
    for (from, _, to) in TABLE {
        for from in from.split(' ') {
            legal.extend(to.split(' ').map(|to| (from, to)));
        }
    }
    for from in TaskState::ALL {
        for to in TaskState::ALL {
            let is_listed = legal.contains(&(from.name(), to.name()));
            assert_eq!(is_legal(from, to), is_listed, "{} to {}", from.name(), to.name());
        }
    }
}
