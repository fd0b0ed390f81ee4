//! What a watch stream says.

use crate::event::WatchEvent;

/// `WatchResponse`. The revision is the header's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchResponse {
    /// The watcher exists: `created`.
    Created {
        /// Its id.
        watch_id: i64,
        /// The newest revision.
        revision: i64,
    },
    /// There will be no watcher: `created` and `canceled`, the id is [`super::NO_WATCH_ID`].
    Refused {
        /// The newest revision.
        revision: i64,
        /// `cancel_reason` is its text.
        reason: WatchRefusal,
    },
    /// Events, whole revisions unless `fragment`.
    Events {
        /// Who hears of them.
        watch_id: i64,
        /// This and everything before has been said now (after the last fragment).
        revision: i64,
        /// In the order in which they happened; at least one.
        events: Vec<WatchEvent>,
        /// Whether the same response goes on in the next one for this watcher.
        fragment: bool,
    },
    /// No events, `watch_id` has been told everything up to `revision`; if it is [`super::NO_WATCH_ID`], all watchers of the stream have.
    Progress {
        /// The watcher, or all.
        watch_id: i64,
        /// How far.
        revision: i64,
    },
    /// The watcher ended because the client wanted it: `canceled`.
    Canceled {
        /// Its id.
        watch_id: i64,
        /// The newest revision.
        revision: i64,
    },
    /// The watcher ended because the events it needs are forgotten: `canceled` with `compact_revision`. As in etcd, the header's revision is 0.
    Compacted {
        /// Its id.
        watch_id: i64,
        /// The first revision that can still be watched from.
        compact_revision: i64,
    },
}

/// Why there is no watcher. Prints as etcd's `cancel_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatchRefusal {
    /// The start revision is negative.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// The range cannot hold a key.
    #[error("mvcc: watcher range is empty")]
    EmptyRange,
    /// The stream has a watcher with this id.
    #[error("mvcc: duplicate watch ID provided on the WatchStream")]
    DuplicateId,
    /// The stream, or the hub, has as many watchers as it may. etcd knows no such limit.
    #[error("etcdserver: too many requests")]
    TooManyWatchers,
}

/// Adds the response with these events. Above `fragment_bytes` it is cut into several, as etcd does: no event is cut, and the last one says that
/// it is the last.
pub(super) fn push_events(
    responses: &mut Vec<WatchResponse>,
    watch_id: i64,
    revision: i64,
    events: Vec<WatchEvent>,
    fragment_bytes: Option<usize>,
) {
    let mut rest = events;
    while let Some(fragment_bytes) = fragment_bytes {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take_while(|event| {
                bytes += event.size();
                bytes <= fragment_bytes
            })
            .count();
        // An event that is too large comes alone.
        let fitting = fitting.max(1);
        if fitting >= rest.len() {
            break;
        }
        let later = rest.split_off(fitting);
        responses.push(WatchResponse::Events { watch_id, revision, events: std::mem::replace(&mut rest, later), fragment: true });
    }
    responses.push(WatchResponse::Events { watch_id, revision, events: rest, fragment: false });
}
