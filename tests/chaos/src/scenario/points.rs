//! The failpoints, and how a process is brought to each.

/// What has to happen, besides work, for a process to pass there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provocation {
    /// Nothing: it starts, claims and works.
    Work,
    /// It starts without its state.
    FreshDisk,
    /// A partition is placed elsewhere.
    Placement,
    /// The peer dies, so that its partitions come here.
    PeerDeath,
    /// It is told to stop.
    Stop,
    /// The connection is lost while a commit is asked for.
    Doubt,
}

/// A named place in the program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// A pass between the first and this one is chosen.
    pub(super) passes: u64,
    pub(super) provocation: Provocation,
}

const fn point(id: &'static str, name: &'static str, passes: u64, provocation: Provocation) -> Point {
    Point { id, name, passes, provocation }
}

pub(super) const POINTS: [Point; 27] = [
    point("K0", "after_poll", 60, Provocation::Work),
    point("K1", "after_begin", 60, Provocation::Work),
    point("K2", "after_decide", 60, Provocation::Work),
    point("K3", "first_produce_enqueued", 60, Provocation::Work),
    point("K4", "some_delivered", 40, Provocation::Work),
    point("K5", "after_flush", 60, Provocation::Work),
    point("K6", "after_batch_record_enqueued", 60, Provocation::Work),
    point("K7", "before_endtxn", 60, Provocation::Work),
    point("K8", "endtxn_sent_no_reply", 60, Provocation::Work),
    point("K9", "commit_ok_before_apply", 60, Provocation::Work),
    point("K10", "after_writebatch_before_publish", 60, Provocation::Work),
    point("K11", "after_publish_before_next_poll", 60, Provocation::Work),
    point("K12", "placement_lost_mid_batch", 1, Provocation::Placement),
    point("K13", "claimed_before_init_txn", 2, Provocation::Work),
    point("K14", "after_init_txn_before_restore", 2, Provocation::Work),
    point("K15", "mid_restore_batch", 8, Provocation::FreshDisk),
    point("K16", "restore_done_before_resume", 2, Provocation::Work),
    point("K17", "standby_apply", 5, Provocation::Work),
    point("K18", "standby_promote", 1, Provocation::PeerDeath),
    point("K19", "rocksdb_open", 2, Provocation::Work),
    point("K20", "rocksdb_flush", 1, Provocation::Stop),
    point("K21", "format_marker_tmp_written", 2, Provocation::FreshDisk),
    point("K22", "format_marker_renamed_before_dirsync", 2, Provocation::FreshDisk),
    point("K23", "shutdown_before_close", 1, Provocation::Stop),
    point("K24", "after_release_announced", 1, Provocation::Stop),
    point("K25", "producer_recreate_mid", 1, Provocation::Doubt),
    point("K26", "lease_tick_emit", 5, Provocation::Work),
];
