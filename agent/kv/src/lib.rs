//! The state machine of a store that speaks etcd v3: what its members agree on, and what each of them tells its clients. No socket, clock, file, thread
//! or randomness lives here.
//!
//! It answers as etcd 3.7 does, so that an API server cannot tell. The same random requests were given to both until no answer differed but those
//! listed [below](#where-it-differs-from-etcd).
//!
//! | part | is |
//! |---|---|
//! | [`request`], [`response`], [`error`], [`event`] | etcd's messages and errors as plain data; gRPC is for others to add |
//! | `validate` on the requests | what a proposer checks before a write takes a place in the log; needs no state |
//! | [`Store`] | the replicated state: [`Store::apply`] for what comes from the log, [`Store::range`] and others for reads |
//! | [`checkpoint`] | what has to be written down, and [`Store::restore`] |
//! | [`watch`] | the [hub](watch::Hub) of one member: which stream has to be told what |
//! | [`lessor`] | when leases end; only the leader's counts |
//!
//! A member's day: validate a request, put it into the log, and when it comes out of it, on every member, [`Store::apply`] it, give the lock back, hand
//! the batch to [`watch::Hub::publish`], and let those streams [poll](watch::Hub::poll) that it names. Now and then [`Store::compact_step`], and a checkpoint.
//! A read takes no part in this: it is served as soon as the store has applied what it must not miss.
//!
//! # What is where
//!
//! ```text
//! keys    slab of keys: name, latest version, older versions    <- an id is a place in it
//! index   B+tree of ids in the order of the names, with counts  <- ranges, counts
//! log     revision -> id, of every version                      <- watch history, checkpoints, compaction
//! leases  id -> seconds, ids of keys
//! ```
//!
//! **Counts at every revision.** Clients page through lists at the revision of their first page, and want to know with each page how many keys there
//! are in all. The inner nodes of the tree therefore know how many keys of each subtree exist, now and at each revision since the compaction: a count is
//! O(log n), a page O(log n + page), also while the world goes on. No crate on the registry has an ordered map that counts the past; those that count the
//! present (order-statistic trees) would leave the usual case, a page at a revision that is not the newest, to a walk through everything.
//!
//! **Memory.** Beyond its value, an object with one version and a name of 35 bytes takes about 340 bytes: 112 the key with its latest version, 96 the
//! name, 40 its place in the log, 12 its place in the tree, 48 what the allocator and [`bytes::Bytes`] add to the value; the rest is the allocator's room.
//! One more version takes 170 bytes beyond its value. Values are kept as they come, names are kept once. A value can be [moved](Store::relocate) to a
//! mapped file.
//!
//! **Same commands, same state.** Nothing here depends on anything but the commands: not on how far a member has come with forgetting, not on hash
//! maps (there is one, for watched keys, and it is never listed).
//!
//! # Where it differs from etcd
//!
//! - Events at the compaction revision, which a watcher may ask for, still have their previous values. etcd sends them without.
//! - A transaction that keeps the value or lease of a key it has just deleted with `range_end` `\0` is refused as a duplicate key. etcd crashes.
//! - A watcher that ends because of a compaction is gone: progress goes on for the others of its stream. In etcd it never does.
//! - Progress requests that come while a watcher lags are answered, together, when it has caught up. etcd forgets them.
//! - Watchers and streams are bounded ([`watch::HubLimits`]).
//! - What sorts equal stays in the order of the keys. In etcd it comes in any order.
//! - [`Store::hash_kv`] is comparable with no etcd's.

pub mod checkpoint;
pub mod error;
pub mod event;
mod index;
#[cfg(feature = "known-bugs")]
#[doc(hidden)]
pub mod known_bugs;
pub mod lessor;
pub mod limits;
pub mod now;
pub mod range;
pub mod request;
pub mod response;
mod store;
mod validate;
pub mod watch;

pub use error::{CompactionError, DeleteRangeError, HashKvError, LeaseGrantError, LeaseRevokeError, PutError, RangeError, TxnError};
pub use event::{Event, EventKind, KeyValue, Revision, RevisionBatch, WatchEvent};
pub use limits::Limits;
pub use now::Now;
pub use range::KeyRange;
pub use request::{
    Alarm, AlarmAction, AlarmRequest, Command, CompactionRequest, Compare, CompareResult, CompareTarget, DeleteRangeRequest,
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, SortOrder, SortTarget, TxnRequest,
};
pub use response::{
    AlarmMember, AlarmResponse, Applied, CompactionResponse, DeleteRangeResponse, HashKvResponse, LeaseGrantResponse, LeaseRevokeResponse,
    LeaseStatus, Outcome, PutResponse, RangeResponse, ResponseOp, TxnResponse,
};
pub use store::{CompactStep, KEY_BYTES, Store, Usage, VERSION_BYTES};
