//! Simulates clusters of the replicated store: the real nodes, raft and storage code, with everything around them in one thread and in simulated
//! time. Clients read and write, faults happen, then everything heals; and what must hold is checked all along and in the end.
//!
//! | simulated | by | goes wrong |
//! |---|---|---|
//! | network | [`network`] | delay, loss, stalls, partitions, one-way links, resets |
//! | disks | `shoal_store_files::disk::sim` | power cuts that lose and tear what was not synced, lost names, `EIO`, full disks |
//! | what disks hold | `rot` | bits of a raft log that flip while its node is down |
//! | threads of the log and the checkpoint | `medium` | slow steps |
//! | time | tokio's paused clock | |
//! | nodes | `faults` | crashes, long absences, compaction, hand-overs, members that come and go, damaged ones that are replaced |
//!
//! What must hold is in [`invariants`], one file for each claim. That they would be noticed is proven by [`KnownBug`]s that tests put back.
//!
//! # Running it
//! ```text
//! cargo test -p shoal-sim                                         what CI runs: some seeds, and every known bug
//! SHOAL_SEEDS=500 cargo test -p shoal-sim --test seeds            more seeds, from the first on
//! SHOAL_SEED=8 cargo test -p shoal-sim --test seeds -- --nocapture   one seed, with all that happened
//! cargo run -p shoal-sim -- --seed 8 --nodes 5 --seconds 60       the same with other plans; RUST_LOG shows what nodes say
//! ```
//! A seed that fails says which of these runs it again.
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
//! # How a power cut tears
//! Of what was not synced, any sectors are kept, in any order, some of them in part: each byte is the old one or the new one. Media promise whole
//! sectors of 512 bytes; redb counts on no more than whole bytes, and on bytes that are not being written to stay what they are (the assumptions
//! in its design notes). A sector that comes out as garbage breaks that, and any database that writes its header in place: such a
//! node says that it is damaged, which the tests of `shoal-store-files` hold, and here it would only be one more that has to be replaced. The raft
//! log bears garbage, too; that is held by its own tests.
//!
//! Not simulated: wall clocks, which the product does not read; damage to checkpoints, which the tests of `shoal-store-files` have.

mod clients;
mod faults;
pub mod history;
pub mod invariants;
mod known_bug;
mod medium;
pub mod network;
mod rot;
mod run;
mod world;

pub use known_bug::KnownBug;
pub use run::{Failure, Plan, Report, run};
