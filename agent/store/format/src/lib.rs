//! The raft log on disk as bytes: segments, frames and records, and what a crash may leave of them. Bytes in, bytes out; no file, no clock.
//!
//! # Layout
//! A log is a row of *segments*: files of equal length, numbered without a hole, full of *blocks* of 4096 bytes. Integers are little-endian.
//!
//! ```text
//! segment   | header block | frame | frame | … | mark | old bytes or zeros …
//! header    magic, version, CRC, log id, number, salt, sequence of its first frame, and the state so far (purged, last, vote, committed)
//! frame     header (magic, CRC, salt, sequence, length, CRC of the body), records, zeros up to the end of the block
//! record    CRC, length, kind, two numbers, payload
//! mark      the header of a frame without records: a *seal* (all up to this sequence is durable) or a *close* (and the next segment exists)
//! ```
//!
//! A frame is what is written and synced at once: one batch. Sequences count frames over the whole life of the log, also across segments.
//! Each segment carries the state at its beginning, so older ones can go as soon as their entries are purged.
//!
//! # What a writer promises
//! 1. Frame *n* + 1 is not written, anywhere, before a sync of frame *n* returned well. So at most one frame is ever in flight.
//! 2. A seal of *n* is not written before frame *n* is durable. It is written where frame *n* + 1 will begin, without a sync of its own.
//! 3. A segment gets its name after its header is durable and only when frame `first_sequence` − 1 is. The close of its predecessor
//!    follows, durable, before the first frame.
//! 4. Frames begin at blocks of their own: nothing that was acknowledged shares a block (or a sector) with anything written later.
//! 5. A segment that is used again gets a new number and a new salt (64 random bits), durable under a name that does not count.
//!
//! # A torn tail is not damage
//! Say the reader expects frame *n* at some block, and finds none there that is whole. Either power was cut while *n* was being written, or
//! before; then nobody was told that *n* is durable, it can be cut off, and must be, for its bytes may be any mixture. Or *n* was durable,
//! and the medium lost it; then cutting would make raft forget what it promised. They are told apart by what comes later:
//!
//! - By promise 1 to 3, whoever wrote any of the following knew *n* to be durable: the header of a frame after *n*; a mark of *n* or later;
//!   a segment that begins after *n*; a close at this place without the segment that it announces. Each is 40 bytes or more with a CRC and
//!   the segment's salt, so zeros, old bytes of a segment used before, and torn writes do not look like it; nor can a client make such
//!   bytes, since it never sees the salt. **If there is one, it is damage.** The rest of the segment is searched block by block, not only
//!   the place where the damaged frame says that it ends: its length may be what was damaged.
//! - If there is none, *n* was the last thing that was written at all. **It is a torn tail.**
//!
//! A mere crash never looks like damage: by promise 1 a frame in flight has no successor. Damage to a frame that was durable is never cut
//! off, as soon as anything at all was written after it.
//!
//! **What remains.** The very last frame, rotten before a successor or its seal reached the medium, looks torn: the same bytes can be the
//! outcome of either, so no reader could tell. With traffic that is the time until the next batch; without, until the kernel writes the
//! seal back by itself (30 s by default); nothing after a clean end or a restart, which both sync a seal. Closing this gap would cost a
//! second sync for every batch. Since it takes rot within these seconds *and* a crash, and then harms one of several replicas, it is left.
//!
//! **What is not detected here.** All segments gone (the caller knows whether there should be a log), or an older copy of the whole
//! directory put back (a node must never return with an older disk; that is raft's own rule).

mod contents;
mod damage;
mod frame;
mod record;
mod replay;
mod scan;
mod segment;

pub use contents::{Contents, Head, Place, Refused};
pub use damage::{Damage, Proof, What};
pub use frame::{Frame, Mark, mark};
pub use record::{Entry, LogId, Record, RecordRef, decode_entry};
pub use replay::{Replay, SegmentEnd};
pub use segment::{HeaderError, SegmentHeader};

/// Bytes in a block: the unit in which a page cache writes, and no smaller than the sector of any medium. Frames begin at multiples of it.
pub const BLOCK_BYTES: usize = 4096;

/// Bytes in front of a record's payload.
pub const RECORD_HEADER_BYTES: usize = 32;

/// Bytes in one vote at most. A vote is a term, a node id and a flag; more than this is a mistake.
pub const VOTE_BYTES_MAX: usize = 256;

/// Bytes in the payload of one entry at most: more than five times the largest request that etcd accepts by default (1.5 MiB), and half a
/// segment of the default size. A larger one is refused before anything is written.
pub const ENTRY_BYTES_MAX: usize = 8 << 20;

/// Bytes in a segment at least: its header, the reserve, a mark, and room for some frames.
pub const SEGMENT_BYTES_MIN: u32 = 16 * BLOCK_BYTES as u32;

/// Bytes in a segment at most. Reading one takes as much memory.
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;

/// Bytes at the end of a segment that only frames without entries may use, and only when no further segment can be made: with a full disk
/// there must be room for the purge that frees some. Room for four small frames; the last block stays free for the mark.
pub const RESERVE_BYTES: u32 = 4 * BLOCK_BYTES as u32;
