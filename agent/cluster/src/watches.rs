//! Watch streams: the core's [`Hub`], made usable from many tasks.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use shoal_kv::{
    RevisionBatch,
    watch::{Hub, HubLimits, Polled, StreamId, WatchCreateRequest},
};
use tokio::sync::Notify;

use crate::{
    replica::StoreGuard,
    state::{self, Replicated},
};

/// All watch streams of this member, spread over several hubs so that streams rarely wait for each other.
#[derive(Debug)]
pub struct Watches {
    shards: Vec<Arc<Shard>>,
    replicated: Arc<RwLock<Replicated>>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Shard(Mutex<Streams>);

#[derive(Debug)]
struct Streams {
    hub: Hub,
    wakers: BTreeMap<StreamId, Arc<Notify>>,
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().expect("nobody panics while holding a hub")
    }
}

impl Streams {
    fn wake(&self, streams: Vec<StreamId>) {
        for stream in streams {
            if let Some(waker) = self.wakers.get(&stream) {
                waker.notify_one();
            }
        }
    }
}

impl Watches {
    /// The limits are for all shards together, but for those of one stream.
    pub(crate) fn new(replicated: Arc<RwLock<Replicated>>, shards: usize, limits: HubLimits) -> Self {
        let revision = state::read(&replicated).store.revision();
        let limits = HubLimits {
            recent_bytes: limits.recent_bytes / shards,
            watchers: limits.watchers.div_ceil(shards),
            streams: limits.streams.div_ceil(shards),
            ..limits
        };
        let shard = || Arc::new(Shard(Mutex::new(Streams { hub: Hub::new(revision, limits), wakers: BTreeMap::new() })));
        Self { shards: (0..shards).map(|_| shard()).collect(), replicated, next: AtomicUsize::new(0) }
    }

    /// A new stream without watchers; `None` if there are as many as there may be.
    #[must_use]
    pub fn open(&self) -> Option<WatchStream> {
        let shard = self.shards[self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len()].clone();
        let waker = Arc::new(Notify::new());
        let id = {
            let mut streams = shard.lock();
            let id = streams.hub.open()?;
            streams.wakers.insert(id, waker.clone());
            id
        };
        Some(WatchStream { shard, replicated: self.replicated.clone(), id, waker })
    }

    /// Puts a bug back.
    #[cfg(feature = "known-bugs")]
    pub(crate) fn put_back(&self, bug: shoal_kv::known_bugs::KnownBug) {
        self.shards.iter().for_each(|shard| shard.lock().hub.put_back(bug));
    }

    /// Tells all streams of a batch. In the order of revisions, and not while holding the store.
    pub(crate) fn publish(&self, batch: &Arc<RevisionBatch>) {
        for shard in &self.shards {
            let mut streams = shard.lock();
            let woken = streams.hub.publish(batch);
            streams.wake(woken);
        }
    }

    /// The store was replaced by a newer one.
    pub(crate) fn reset(&self, revision: i64) {
        for shard in &self.shards {
            let mut streams = shard.lock();
            let woken = streams.hub.reset(revision);
            streams.wake(woken);
        }
    }
}

/// One call of `Watch.Watch`. Dropping it ends all its watchers.
///
/// The task that serves the call does, in a loop: [poll](Self::poll) and send until there is no more, then wait for
/// [`ready`](Self::ready) or the client's next request, which it reads only while the stream is not
/// [congested](Self::is_congested).
#[derive(Debug)]
pub struct WatchStream {
    shard: Arc<Shard>,
    replicated: Arc<RwLock<Replicated>>,
    id: StreamId,
    waker: Arc<Notify>,
}

impl WatchStream {
    /// `WatchCreateRequest`. See [`Hub::create`].
    pub fn create(&self, request: &WatchCreateRequest) {
        self.shard.lock().hub.create(self.id, request);
        self.waker.notify_one();
    }

    /// `WatchCancelRequest`. See [`Hub::cancel`].
    pub fn cancel(&self, watch_id: i64) {
        self.shard.lock().hub.cancel(self.id, watch_id);
        self.waker.notify_one();
    }

    /// `WatchProgressRequest`. See [`Hub::request_progress`].
    pub fn request_progress(&self) {
        self.shard.lock().hub.request_progress(self.id);
        self.waker.notify_one();
    }

    /// The interval of progress notifications has passed. See [`Hub::notify_progress`].
    pub fn notify_progress(&self) {
        self.shard.lock().hub.notify_progress(self.id);
        self.waker.notify_one();
    }

    /// Whether to stop reading the client's requests until it has read some answers. See [`Hub::is_congested`].
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.shard.lock().hub.is_congested(self.id)
    }

    /// The next responses, of about `budget_bytes`, or of one revision if that is larger. See [`Hub::poll`]. Never waits for the network, but
    /// may take the store's lock for reading.
    #[must_use]
    pub fn poll(&self, budget_bytes: usize) -> Polled {
        let store = || StoreGuard(state::read(&self.replicated));
        self.shard.lock().hub.poll(self.id, budget_bytes, store)
    }

    /// Returns when [`Self::poll`] may have something, at once if that was so since the last return. For one task.
    pub async fn ready(&self) {
        self.waker.notified().await;
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        let mut streams = self.shard.lock();
        streams.hub.close(self.id);
        streams.wakers.remove(&self.id);
    }
}
