//! Simulates boxes that become clusters: the real core of each box, with everything around it in one thread and in simulated time. Things go wrong, then
//! all is mended; what must hold is checked after every event, and in the end all have to have come together.
//!
//! | simulated | by | goes wrong |
//! |---|---|---|
//! | boxes and sticks | [`boxes`], `effects` | power cuts between any two effects and in the middle of one, slow sticks, rewritten and copied and exchanged sticks, boxes without disks |
//! | the segment | [`network`] | partitions, one-way links, loss, multicasts that do not arrive, switches that start late, ports that come and go |
//! | discovery, sessions, addresses | [`world`], `shell` | new addresses, exchanged addresses, messages that overtake each other |
//! | raft | [`raft`] | elections, entries that are never committed, joint changes that are cut short |
//! | people | [`faults`] | use of a cluster, or of both, at any time; removals |
//! | time | events | each process has a clock of its own, from zero at its start; nobody knows what day it is |
//!
//! What must hold is in [`invariants`], one file for each claim; they look at what boxes write and commit, and ask no core what it thinks. That they
//! notice is proven by [`KnownBug`]s, in `tests/known_bugs`. Claims that need a story are told in `tests/claims`.
//!
//! ```text
//! cargo test -p shoal-formation-sim                                           what CI runs: 20,000 formations, the claims, every known bug
//! cargo run --release -p shoal-formation-sim -- --formations 1000000          a million
//! cargo run --release -p shoal-formation-sim -- --seed 8 --trace              one of them, with all that happened
//! ```
//! A seed decides everything, bit for bit: there are no threads, clocks or seeded hash maps in a formation, and `tests/claims/replay.rs` compares traces.
//!
//! # What is not simulated
//! Cryptography: a session has the peers it says it has, and nobody forges a statement. Snapshots of raft, and how its log survives power cuts, which are
//! the subject of `shoal-sim`. More than one segment. What belongs to the trust crate: generations of the join secret, admission tiers, certificates,
//! and the wall clock, which formation does not read.

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
