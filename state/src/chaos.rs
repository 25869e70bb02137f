//! What tests may break: a failpoint is a named place at which a process can be killed, stopped or delayed; a mutant is a
//! mistake that it can be made to make.
//!
//! Only builds with the feature `chaos` have any; elsewhere they are nothing. They live here because all crates above
//! use them; the program says what happens where (`src/chaos`).

/// The library behind [`crate::fail_point`].
#[cfg(feature = "chaos")]
pub use fail;

/// A place where tests can break this process, by its name in `src/chaos/points.rs`; with a condition, it is one only
/// when that is true.
#[cfg(feature = "chaos")]
#[macro_export]
macro_rules! fail_point {
    ($name:literal) => {
        $crate::chaos::fail::fail_point!($name)
    };
    ($name:literal, $when:expr) => {
        if $when {
            $crate::chaos::fail::fail_point!($name)
        }
    };
}

/// A place where tests can break this process, in builds that have it: not in this one.
#[cfg(not(feature = "chaos"))]
#[macro_export]
macro_rules! fail_point {
    ($name:literal) => {};
    ($name:literal, $when:expr) => {};
}

/// A mistake that a build with the feature `chaos` can be told to make, to see that the tests find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// M1: a restore ends at the first open transaction instead of the high watermark.
    RestoreToStableEnd,
    /// M2: the high watermark is read before the owner before is fenced.
    WatermarkBeforeFence,
    /// M3: inputs are read on from a position that is not the last batch record's.
    PositionOfAnother,
    /// M4: a batch goes into the store before it is committed.
    ApplyBeforeCommit,
    /// M5: the batch record is no part of the transaction.
    BatchRecordOutside,
    /// M6: a producer is used on after something went wrong with it.
    TaintIgnored,
    /// M7: a worker reads what is not committed.
    WorkerReadsAll,
    /// M8: a worker's word counts without its token.
    TokenIgnored,
    /// M9: leases run by the clock of the process, also while it stands still.
    LocalLeases,
    /// M10: the position that is kept is the last record's, not the next one's.
    LastForNext,
    /// M11: an offset that is gone is skipped over silently.
    SkipLost,
    /// M12: a topic that was made again is taken for the old one.
    AnyTopicId,
    /// M13: dead letters are no part of the transaction.
    DeadLetterOutside,
    /// M14: rows go into the store while their transaction is open.
    RowsWhileOpen,
}

impl Mutant {
    /// All of them, M1 first.
    pub const ALL: [Self; 14] = [
        Self::RestoreToStableEnd,
        Self::WatermarkBeforeFence,
        Self::PositionOfAnother,
        Self::ApplyBeforeCommit,
        Self::BatchRecordOutside,
        Self::TaintIgnored,
        Self::WorkerReadsAll,
        Self::TokenIgnored,
        Self::LocalLeases,
        Self::LastForNext,
        Self::SkipLost,
        Self::AnyTopicId,
        Self::DeadLetterOutside,
        Self::RowsWhileOpen,
    ];

    /// Whether this process makes this mistake.
    #[cfg(feature = "chaos")]
    #[must_use]
    pub fn is_on(self) -> bool {
        ON.get() == Some(&self)
    }

    /// Whether this process makes this mistake: never.
    #[cfg(not(feature = "chaos"))]
    #[must_use]
    #[inline]
    pub const fn is_on(self) -> bool {
        false
    }

    /// From now on this process makes this mistake, and no other.
    ///
    /// # Errors
    /// When it makes one already.
    #[cfg(feature = "chaos")]
    pub fn switch_on(self) -> Result<(), String> {
        ON.set(self).map_err(|_| "only one mutant at a time".to_owned())
    }
}

#[cfg(feature = "chaos")]
static ON: std::sync::OnceLock<Mutant> = std::sync::OnceLock::new();
