//! What a client may ask of a watch stream.

use bytes::Bytes;

/// `WatchCreateRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchCreateRequest {
    /// The watcher's id; 0 to have one chosen.
    pub watch_id: i64,
    /// The first key; empty for the smallest there is.
    pub key: Bytes,
    /// The upper end, see [`crate::KeyRange`].
    pub range_end: Bytes,
    /// The first revision to hear of; 0 for what comes from now on.
    pub start_revision: i64,
    /// Be told of progress from time to time although nothing happens.
    pub progress_notify: bool,
    /// The filter `NOPUT`.
    pub no_put: bool,
    /// The filter `NODELETE`.
    pub no_delete: bool,
    /// Be told what keys were before.
    pub prev_kv: bool,
    /// Large revisions may come in several responses.
    pub fragment: bool,
}
