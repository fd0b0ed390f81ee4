//! Simulates boxes that become clusters.

pub mod boxes;
mod effects;
pub mod faults;
pub mod invariants;
pub mod network;
pub mod raft;
pub mod run;
pub mod shapes;
mod shell;
pub mod trace;
pub mod world;

pub use run::{Failure, Formation, Plan, Report, run};
pub use shoal_formation::known_bugs::KnownBug;
pub use world::World;
