//! What tests may break: a failpoint is a named place at which a process can be killed, stopped or delayed.
//!
//! Only builds with the feature `chaos` have any; elsewhere the macro is nothing. It lives here because all crates above
//! use it; the program says what happens where (`src/chaos`).

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
