//! How much a hub holds.

/// Bytes of events that wait for one stream. A client that does not read for longer is served from history when it reads again, which costs a look at
/// everything that has happened meanwhile; nothing is lost unless it is compacted.
pub const DEFAULT_STREAM_BYTES: usize = 1 << 20;

/// Bytes of recent batches, for streams that are only a little behind: they share these with each other, encoded forms included. About a second of
/// what a store can take in.
pub const DEFAULT_RECENT_BYTES: usize = 16 << 20;

/// Revisions of history that one poll looks at, some milliseconds' worth. A stream that has more to catch up with is polled again, and others come
/// between.
pub const DEFAULT_SCAN_REVISIONS: usize = 10_000;

/// Bytes above which a response to a watcher that asked for fragments is cut: etcd's, which is the largest request and 512 KiB for its frame.
pub const DEFAULT_FRAGMENT_BYTES: usize = crate::limits::DEFAULT_REQUEST_BYTES + 512 * 1024;

/// Watchers of one stream. A watcher takes some hundred bytes, so a stream's take some megabytes. One more is refused with "too many requests".
pub const DEFAULT_STREAM_WATCHERS: usize = 16_384;

/// Watchers of all streams together, about 100 MiB of them. One more is refused with "too many requests".
pub const DEFAULT_WATCHERS: usize = 262_144;

/// Streams, which are far fewer in a cluster: an API server has one for each kind of resource. Even those that nobody writes to take some memory.
pub const DEFAULT_STREAMS: usize = 32_768;

/// Control responses that wait for one stream before [`super::Hub::is_congested`]. A server that goes on reading requests nevertheless holds the
/// answers for a client that reads none.
pub const DEFAULT_STREAM_CONTROLS: usize = 64;

/// Bytes up to which several revisions go into one response. One revision may be larger, and comes alone then.
pub(super) const RESPONSE_BYTES: usize = 1 << 20;

/// Bytes that a response without events is counted for.
pub(super) const CONTROL_BYTES: usize = 64;

/// The bounds of a [`super::Hub`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubLimits {
    /// Bytes of events that wait for one stream. Beyond, the stream forgets them and reads them from history when its turn comes.
    pub stream_bytes: usize,
    /// Bytes of recent batches kept so that streams that lag a little share them instead of reading history.
    pub recent_bytes: usize,
    /// Revisions of history that one poll looks at. More wait for the next poll.
    pub scan_revisions: usize,
    /// Bytes above which a response to a watcher that asked for fragments is cut.
    pub fragment_bytes: usize,
    /// Watchers of one stream. One more is refused.
    pub stream_watchers: usize,
    /// Watchers of all streams together. One more is refused.
    pub watchers: usize,
    /// Streams. One more is not opened.
    pub streams: usize,
    /// Control responses that wait for one stream before [`super::Hub::is_congested`].
    pub stream_controls: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self {
            stream_bytes: DEFAULT_STREAM_BYTES,
            recent_bytes: DEFAULT_RECENT_BYTES,
            scan_revisions: DEFAULT_SCAN_REVISIONS,
            fragment_bytes: DEFAULT_FRAGMENT_BYTES,
            stream_watchers: DEFAULT_STREAM_WATCHERS,
            watchers: DEFAULT_WATCHERS,
            streams: DEFAULT_STREAMS,
            stream_controls: DEFAULT_STREAM_CONTROLS,
        }
    }
}
