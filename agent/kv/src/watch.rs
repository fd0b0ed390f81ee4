//! Who hears of which events.

use crate::{event::RevisionBatch, store::Store};
use std::{ops::Deref, sync::Arc};

pub use request::WatchCreateRequest;
pub use response::{WatchRefusal, WatchResponse};

mod request;
mod response;

/// The id in responses that are about the whole stream, or about no watcher.
pub const NO_WATCH_ID: i64 = -1;

/// The bounds of a [`Hub`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubLimits {
    /// Bytes of events that wait for one stream. Beyond, the stream forgets them and reads them from history when its turn comes.
    pub stream_bytes: usize,
    /// Bytes of recent batches kept so that streams that lag a little share them instead of reading history.
    pub recent_bytes: usize,
    /// Revisions of history that one poll looks at. More wait for the next poll.
    pub scan_revisions: usize,
    /// Bytes of one response to a watcher that asked for fragments.
    pub fragment_bytes: usize,
    /// Watchers of one stream. One more is refused.
    pub stream_watchers: usize,
    /// Control responses that wait for one stream before [`Hub::is_congested`].
    pub stream_controls: usize,
}

/// A stream of a [`Hub`]: one call of `Watch.Watch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

/// What a stream has to send now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// To be sent in this order.
    pub responses: Vec<WatchResponse>,
    /// Whether there is more already: poll again after sending. Otherwise wait until a call of [`Hub`] names the stream.
    pub more: bool,
}

/// All streams of this member, or of a part of them: several hubs that are given the same batches do not know of each other.
#[derive(Debug)]
pub struct Hub {}

impl Hub {
    /// A hub without streams, for a store at `revision`.
    #[must_use]
    pub fn new(revision: i64, limits: HubLimits) -> Self {
        todo!("{revision} {limits:?}")
    }

    /// The revision of the last batch published.
    #[must_use]
    pub fn revision(&self) -> i64 {
        todo!()
    }

    /// A new stream without watchers.
    pub fn open(&mut self) -> StreamId {
        todo!()
    }

    /// Ends a stream with all its watchers. Nothing happens if there is no such stream.
    pub fn close(&mut self, stream: StreamId) {
        todo!("{stream:?}")
    }

    /// `WatchCreateRequest`. The stream has something to send afterwards.
    pub fn create(&mut self, stream: StreamId, request: WatchCreateRequest) {
        todo!("{stream:?} {request:?}")
    }

    /// `WatchCancelRequest`: the stream has an answer to send if it has such a watcher, otherwise nothing happens, as in etcd.
    pub fn cancel(&mut self, stream: StreamId, watch_id: i64) {
        todo!("{stream:?} {watch_id}")
    }

    /// `WatchProgressRequest`: the stream sends a [`WatchResponse::Progress`] for all its watchers as soon as each of them has been sent
    /// everything up to the hub's revision. Requests made before that are answered together.
    pub fn request_progress(&mut self, stream: StreamId) {
        todo!("{stream:?}")
    }

    /// The interval of progress notifications has passed: those watchers of the stream that asked for them and had no events in it are sent one.
    pub fn notify_progress(&mut self, stream: StreamId) {
        todo!("{stream:?}")
    }

    /// Whether the client should be given no further answer before it has read some: stop reading its requests until then.
    #[must_use]
    pub fn is_congested(&self, stream: StreamId) -> bool {
        todo!("{stream:?}")
    }

    /// Hands a batch to all whom it concerns. Batches come in the order of their revisions, each once; the store's lock is free again by then.
    /// Returns the streams that were asleep and have something to send now.
    pub fn publish(&mut self, batch: &Arc<RevisionBatch>) -> Vec<StreamId> {
        todo!("{batch:?}")
    }

    /// The store was replaced by a newer one, at `revision`: everybody reads on from its history. Returns the streams to poll.
    pub fn reset(&mut self, revision: i64) -> Vec<StreamId> {
        todo!("{revision}")
    }

    /// The next responses of a stream, of about `budget_bytes`, or of one revision if that is larger. `store` is only called if some watcher of
    /// the stream has to read history, so that the store's lock is rarely taken: `hub.poll(stream, budget, || store.read())`.
    pub fn poll<S: Deref<Target = Store>>(&mut self, stream: StreamId, budget_bytes: usize, store: impl FnOnce() -> S) -> Polled {
        todo!("{stream:?} {budget_bytes} {}", store().revision())
    }
}
