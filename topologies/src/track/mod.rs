//! What became of it: folds what dispatch decided into counts, jobs, windows, events and history, over its own tables.

pub(crate) mod counts;
pub(crate) mod ended;
pub(crate) mod events;
pub(crate) mod retention;
pub(crate) mod tally;
pub(crate) mod windows;
