//! The rules of the grid from outside: scripts with everything that comes out, random sequences against a second telling
//! of the rules, and a whole life at full speed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that is wrong about its own data has to stop"
)]

mod fixtures;
mod forgetting;
mod golden;
mod life;
mod model;
mod passing;
mod random;
mod rig;
mod script;
mod show;
mod tokens;
mod transitions;
mod windows;
