//! The durable half of the store: the raft log as its own files, and the redb checkpoint.
//!
//! | what | holds | written | when damaged |
//! |---|---|---|---|
//! | [`log`] | what raft must not forget: entries and vote | appended, one `fdatasync` a batch | does not open; says where, and what is lost |
//! | [`checkpoint`] | what the state machine was at some applied entry | now and then, off the path of writes | does not open, or does not read; says what to do |
//!
//! They are two directories, because they fail and wear differently. Both do their input and output through [`disk::Disk`], which has a real
//! implementation and (feature `simulation`) one in memory that loses, tears and flips what a real one may. Both count what they write by
//! cause in a [`wear::Wear`]. Both come in two forms: a handle for many threads with one thread behind it ([`log::Log`],
//! [`checkpoint::Checkpoint`]), and what that thread uses ([`log::LogFiles`], [`checkpoint::CheckpointFiles`]), for simulations in which
//! everything happens in one order.
//!
//! # What is left to whoever uses them
//! - To know whether there should be a log. Without one, [`log::Log::open`] says [`log::OpenLogError::Missing`] and never makes one.
//! - To purge the log only below what the checkpoint holds durably, and to refuse to start when what was applied there is less than what is
//!   purged here: then one of the two directories is older than the other, or was put there by somebody.
//! - To end the process when a callback or a call says that something has failed. Nothing is tried again after a failed sync.
//! - To mind [`log::Log::space`] and [`log::Log::pending_bytes`] before more is accepted from clients.
//! - To commit the checkpoint seldom: redb writes some 60 to 110 KB for a commit of a single row.
//!
//! They know nothing of raft's rules, of keys and values, or of async runtimes: callers hand over bytes and a callback.

mod bugs;
pub mod checkpoint;
pub mod disk;
pub mod log;
pub mod threads;
pub mod wear;

pub use bugs::{Bug, Bugs};
pub use shoal_store_format::{ENTRY_BYTES_MAX, Entry, LogId, VOTE_BYTES_MAX};
