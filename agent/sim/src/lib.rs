//! Simulates clusters of the replicated store: the real nodes, raft and storage code, with everything around them in one thread and in simulated
//! time. Clients read and write, faults happen, then everything heals; and what must hold is checked all along and in the end.
//!
//! | simulated | by | goes wrong |
//! |---|---|---|
//! | network | [`network`] | delay, loss, stalls, partitions, one-way links, resets |
//! | disks | `shoal_store_files::disk::sim` | power cuts that lose and tear what was not synced, lost names, `EIO`, full disks |
//! | threads of the log and the checkpoint | `medium` | slow steps |
//! | time | tokio's paused clock | |
//! | nodes | `faults` | crashes, long absences, compaction, hand-overs, members that come and go |
//!
//! What must hold is in [`invariants`], one file for each claim. That they would be noticed is proven by [`KnownBug`]s that tests put back.
//!
//! # What a seed decides
//! What each task does at random: which fault comes after which and how long it lasts, what each client asks; the election timeouts of openraft;
//! that the runtime has one thread, and nothing runs beside it.
//!
//! What it does not decide, so that a run of the same seed may differ in its details, and one that failed may have to be tried several times:
//! - which of several tasks that wait for a `tokio::sync::watch` is woken first: tokio draws that, and takes a seed only when built with
//!   `--cfg tokio_unstable`;
//! - the order in which redb writes pages: its hash maps are seeded by the standard library;
//! - with these, how the delays of the one network fall on messages, and what a power cut keeps.
//!
//! Not simulated: wall clocks, which the product does not read; flipped bits and half-written sectors, which the tests of `shoal-store-files`
//! have.

mod clients;
mod faults;
pub mod history;
pub mod invariants;
mod known_bug;
mod medium;
pub mod network;
mod run;
mod world;

pub use known_bug::KnownBug;
pub use run::{Failure, Plan, Report, run};
