//! The raft log on disk as bytes: segments, frames and records.
pub mod record;

pub use record::{Entry, LogId, Record};

/// Bytes in one vote at most. A vote is a term, a node id and a flag; more than this is a mistake.
pub const VOTE_BYTES_MAX: usize = 256;

/// Bytes in the payload of one entry at most: more than five times the largest request that etcd accepts by default (1.5 MiB), and half a
/// segment of the default size. A larger one is refused before anything is written.
pub const ENTRY_BYTES_MAX: usize = 8 << 20;
