//! The failpoints, in the order of a batch's life and a partition's.

/// Each failpoint: its number, its name in the code, and where a process is there.
pub const POINTS: [(&str, &str, &str); 27] = [
    ("K0", "after_poll", "records are taken, nothing is decided"),
    ("K1", "after_begin", "the transaction is begun"),
    ("K2", "after_decide", "the batch is decided; of a large one, some is sent"),
    ("K3", "first_produce_enqueued", "the transaction's first record is queued"),
    ("K4", "some_delivered", "the broker has acknowledged the transaction's first record"),
    ("K5", "after_flush", "every record was waited for"),
    ("K6", "after_batch_record_enqueued", "the batch record, the last one, is queued"),
    ("K7", "before_endtxn", "everything has arrived, the commit is not asked for"),
    ("K8", "endtxn_sent_no_reply", "the commit is asked for and not answered"),
    ("K9", "commit_ok_before_apply", "it is committed, the store does not have it"),
    ("K10", "after_writebatch_before_publish", "the store has it, no reader was told"),
    ("K11", "after_publish_before_next_poll", "readers were told, the batch is over"),
    ("K12", "placement_lost_mid_batch", "the partition is to be given away while a transaction is open"),
    ("K13", "claimed_before_init_txn", "the partition is claimed, the owner before is not fenced"),
    ("K14", "after_init_txn_before_restore", "the owner before is fenced, the store is as it was"),
    ("K15", "mid_restore_batch", "a batch of the changelog is read and not yet folded in"),
    ("K16", "restore_done_before_resume", "the store is at the end, no input is read"),
    ("K17", "standby_apply", "a warm copy has read a record and not yet written it"),
    ("K18", "standby_promote", "a warm copy is to become the owner's store"),
    ("K19", "rocksdb_open", "the store is open, nothing was asked of it"),
    ("K20", "rocksdb_flush", "the store is about to write its memory into files"),
    ("K21", "format_marker_tmp_written", "the directory's marker is written under another name"),
    ("K22", "format_marker_renamed_before_dirsync", "the marker has its name, the directory is not synced"),
    ("K23", "shutdown_before_close", "the last batch is made, the store is still open"),
    ("K24", "after_release_announced", "the others were told that this instance goes"),
    ("K25", "producer_recreate_mid", "after a failure the old producer is dropped, there is no new one"),
    ("K26", "lease_tick_emit", "leases or timers were due, and the batch says what came of it"),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn each_name_is_at_one_place_in_the_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        ["src", "state/src", "topologies/src"].iter().for_each(|dir| sources(&root.join(dir), &mut files));
        let code: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        // Put together, so that this line is no place.
        let open = format!("fail_point!{}", "(\"");
        let mut placed: Vec<&str> =
            code.split(&open).skip(1).filter_map(|rest| rest.split('"').next()).collect();
        placed.sort_unstable();
        let mut named: Vec<&str> = POINTS.iter().map(|(_, name, _)| *name).collect();
        named.sort_unstable();
        assert_eq!(placed, named);
    }

    #[test]
    fn numbers_are_in_order() {
        let numbers: Vec<&str> = POINTS.iter().map(|(number, _, _)| *number).collect();
        assert_eq!(numbers, (0..27).map(|number| format!("K{number}")).collect::<Vec<_>>());
    }
}
