//! The durable half of the store: the raft log as its own files, and the redb checkpoint.
//!
//! Two things are kept, in two directories, because they fail and wear differently:
//!
//! - [`log`]: what raft must not forget (entries and vote). Appended, one `fdatasync` a batch.
//! - [`checkpoint`]: what the state machine looked like at some applied entry, in redb. Committed now and then, off the path of writes. It is
//!   never the only copy of anything: the log is purged only below what the checkpoint holds durably, and peers have the rest.
//!
//! Both do their input and output through [`disk::Disk`], which has a real implementation and (feature `simulation`) one in memory that
//! loses, tears and flips what a real one may. Both count what they write by cause in a [`wear::Wear`].
//!
//! It knows nothing of raft's rules, of keys and values, or of async runtimes: callers hand over bytes and a callback.

mod bugs;
pub mod checkpoint;
pub mod disk;
pub mod log;
pub mod wear;

pub use bugs::{Bug, Bugs};
pub use shoal_store_format::{ENTRY_BYTES_MAX, Entry, LogId, VOTE_BYTES_MAX};
