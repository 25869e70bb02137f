//! Requests against the routes, over the real core: what is sent is decided at once and committed to a store in memory.

mod bodies;
mod cluster;
mod connection;
mod doors;
mod grid;
mod history;
mod lists;
mod openapi;
mod orders;
mod others;
mod placement;
mod reads;
mod stale;
mod streams;
mod windows;
