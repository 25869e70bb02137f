//! The scorecard: every row, whether it was run or not.

/// A fault, what must hold under it, and how often it must be tried before that counts as shown.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) fault: &'static str,
    pub(crate) invariant: &'static str,
    pub(crate) hold: &'static str,
    pub(crate) wanted: u32,
}

const fn row(
    id: &'static str,
    fault: &'static str,
    invariant: &'static str,
    hold: &'static str,
    wanted: u32,
) -> Row {
    Row { id, fault, invariant, hold, wanted }
}

/// What the letters of the invariants mean.
pub(crate) const INVARIANTS: [(&str, &str); 12] = [
    ("I1", "one terminal state for each accepted task"),
    ("I2", "at most one attempt of a task that is not fenced, at any position of the log"),
    ("I3", "the state is what a replay of the committed input gives"),
    (
        "I4",
        "assignments that a `read_committed` reader sees are those of the committed input, once, in order",
    ),
    ("I5", "a batch is there as a whole or not at all, and their sequence has no gap"),
    ("I6", "the store is the fold of the changelog, byte by byte, also on standbys"),
    ("I7", "whoever observes with a position never sees an older state"),
    ("I8", "whatever was acknowledged lies on the input"),
    ("I9", "what was taken in was applied, put aside as a dead letter, or counted: nothing silently"),
    ("I10", "memory, disk, files and series are bounded"),
    ("I11", "work goes on after the fault"),
    ("I12", "no secret in any log, metric or answer"),
];

pub(crate) const ROWS: &[Row] = &[
    row("S1", "kill -9 at each of 27 failpoints", "I1–I6", "0 / 27×20 seeds (P: ×2)", 135),
    row("S2", "kill at N-th sendmsg/fdatasync/rename, N≤300 each (strace)", "I1–I6", "0 / 900", 900),
    row(
        "S3",
        "random kill -9 of 1..3 instances, mean 8 s, 20 min",
        "I1–I6, I11",
        "0; lag→0 ≤30 s after last fault",
        100,
    ),
    row("S4", "SIGSTOP of {0.5, 1.5, 3} × `instance_timeout` at K1–K9", "I2, zombie writes", "0 / 270", 100),
    row("S5", "held EndTxn (KAFKA-17754), held Produce", "I5", "0 / 300; and mutant M6 *does* tear ≥1", 100),
    row(
        "S6",
        "broker kill/restart ×50 (single) ; rolling ×10 (3-node)",
        "I1–I6, I8",
        "0 lost acks; recovery p99 ≤15 s after broker ready",
        25,
    ),
    row(
        "S7",
        "broker unavailable 5 min under load",
        "I8,I10,I11",
        "RSS ≤ +64 MiB; 0 false acks; catch-up ≥3× input rate",
        1,
    ),
    row("S8", "coordinator move / 70 s broker pause", "I5", "0 / 100", 100),
    row(
        "S9",
        "one-way partitions: transaction coordinator cut and all else not, and the other way round",
        "I2,I5,I11",
        "0 / 60; heal→progress ≤ `instance_timeout`+10 s",
        60,
    ),
    row(
        "S10",
        "churn: an instance joins or leaves every 2 s, 10 min",
        "I1–I6, no cascade",
        "0 restarts; throughput ≥30 % of calm",
        1,
    ),
    row(
        "S11",
        "failover w/ hot standby (kill -9)",
        "I11",
        "p50 ≤ 4.5 s, p99 ≤ 6 s (`instance_timeout` 3 s); restart of the same instance ≤ 3 s",
        20,
    ),
    row(
        "S12",
        "graceful shutdown / rolling deploy",
        "I1–I6",
        "≤1 s/partition; exit ≤10 s even with broker down",
        10,
    ),
    row("S13", "open foreign txn pinning changelog", "I3/I6", "0; wait ≤ txn.timeout+15 s or named alarm", 1),
    row("S14", "ENOSPC state dir, then heal", "I5,I6", "0; readiness false ≤5 s; auto-recover ≤30 s", 1),
    row("S15", "EIO on N-th fsync/pwrite", "I6", "0 / 100, process aborts", 100),
    row(
        "S16",
        "bit flip/truncate/delete in each RocksDB file class",
        "I6",
        "0 / 200; rebuild automatic",
        100,
    ),
    row("S17", "checkpoint/marker truncated at every byte", "I6", "0", 1),
    row("S18", "stale state > delete.retention", "I3", "0", 1),
    row(
        "S19",
        "cold rebuild from changelog, 1 M tasks",
        "I6",
        "equal; ≥200 k rec/s/core target (measure first)",
        1,
    ),
    row(
        "S20",
        "partition count +1 live; topic recreate; retention loss",
        "halt",
        "0; message names topic, old/new, remedy",
        3,
    ),
    row(
        "S21",
        "poison corpus (≥200 handcrafted + 10⁷ fuzz execs)",
        "I9, no panic",
        "100 %; 0 panics; throughput drop <10 % at 5 % poison",
        1,
    ),
    row("S22", "dup 20 %, reorder 20 %, stale completions 5 %", "I1,I2,I3", "0 / 10⁶ events", 1),
    row(
        "S23",
        "10 k workers die at once with 50 k leases",
        "I1,I2,I10",
        "all re-dispatched once; p99 ≤ lease+30 s; RSS +≤128 MiB",
        1,
    ),
    row("S24", "clock step ±2 h, ×10 speed on any process (faketime)", "I2,I3", "0 early expiry", 1),
    row("S25", "10 M-task backlog", "I10", "RSS ≤ configured cap (e.g. 1 GiB) ±5 %; p99 flat ±20 %", 1),
    row(
        "S26",
        "upgrade N-1→N→N-1 rolling under load; store format ±",
        "I1–I6",
        "0; refuse-with-message on unsupported",
        1,
    ),
    row(
        "S27",
        "ACL revoke/grant ×6 resources; cert/SASL rotation",
        "I8,I11",
        "≤60 s; 0 spin (≤2 log lines/s)",
        6,
    ),
    row(
        "S28",
        "HTTP abuse suite (section 6) while scheduling",
        "I10, isolation",
        "≤1.2× calm; 0 unauth mutations; 0 5xx panics",
        1,
    ),
    row(
        "S29",
        "tag/label cardinality bomb (10⁶ distinct)",
        "I10",
        "≤ cap (2 000) ; overflow bucket counts",
        1,
    ),
    row(
        "S30",
        "soak: all nemeses rotating, quiet windows, 150 min contiguous ×k; ≥24 h cumulative before 1.0; DST ≥10⁹ virtual task-events",
        "all",
        "0 violations; RSS slope ≤1 MiB/h after warm-up; FD slope 0; no unexplained WARN class",
        1,
    ),
    row("S31", "mutants M1–M14", "checker power", "14/14", 14),
    row(
        "S32",
        "two independent readers (read_committed) during faults",
        "I4",
        "identical sequences per partition",
        1,
    ),
];
