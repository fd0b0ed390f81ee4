//! Who hears of which events.
//!
//! A [`Hub`] is told of every revision once ([`Hub::publish`]) and knows what each stream has to send ([`Hub::poll`]). A watcher is in one of two
//! states:
//!
//! | a watcher is | its events | it becomes the other |
//! |---|---|---|
//! | live | go from `publish` to the queue of its stream | when the stream's queue is full: the events that wait are forgotten |
//! | lagging | are read from history, or from the recent batches, by `poll` | when it has been told everything published |
//!
//! So a client that does not read costs its queue and nothing else, whoever else watches, and it loses nothing unless what it needs is compacted:
//! then its watcher is cancelled.
//!
//! **Progress is a promise**: a response with a revision and no events says that every event up to that revision has been sent, for all watchers of
//! the stream. It is made in `poll` only, from the hub's revision, when the queue is empty and nobody lags; since everything published is in a
//! queue or behind a lagging watcher before `publish` returns, and the responses of a stream are one sequence, it cannot be wrong. A client's request
//! waits for that moment. A watcher whose start lies in the future makes no promise possible: then the request is forgotten, as in etcd.
//!
//! The hub and the store are locked one after the other: `publish` wants no store, and `poll` looks at the store only for those that lag. A store
//! that is some revisions ahead of its hub is nothing special: what is not published has not happened yet.

use std::{
    collections::VecDeque,
    ops::{ControlFlow, Deref},
    sync::Arc,
};

use bytes::Bytes;
use slab::Slab;

use self::{
    limits::CONTROL_BYTES,
    response::push_events,
    stream::{Item, Notice, Position, Stream, Watcher},
    subscribers::{Slot, Subscribers},
};
use crate::{
    event::RevisionBatch,
    range::{FROM_KEY, KeyRange},
    store::Store,
};

mod catch_up;
mod interval;
pub mod limits;
mod request;
mod response;
mod stream;
mod subscribers;

pub use limits::HubLimits;
pub use request::WatchCreateRequest;
pub use response::{WatchRefusal, WatchResponse};

/// The id in responses that are about the whole stream, or about no watcher.
pub const NO_WATCH_ID: i64 = -1;

/// The id in requests that leaves the choice to the hub.
const ANY_WATCH_ID: i64 = 0;

/// A stream of a [`Hub`]: one call of `Watch.Watch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    place: usize,
    serial: u64,
}

/// What a stream has to send now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// To be sent in this order.
    pub responses: Vec<WatchResponse>,
    /// Whether there is more already: poll again after sending. Otherwise wait until a call of [`Hub`] names the stream, or the client asks for
    /// something.
    pub more: bool,
}

/// All streams of this member, or of a part of them: several hubs that are given the same batches do not know of each other.
#[derive(Debug)]
pub struct Hub {
    limits: HubLimits,
    revision: i64,
    streams: Slab<Stream>,
    watchers: Slab<Watcher>,
    live: Subscribers,
    /// The last batches, without a gap, up to `revision`.
    recent: VecDeque<Arc<RevisionBatch>>,
    recent_bytes: usize,
    next_serial: u64,
    /// Room for the watchers of a batch and the indices of their events; empty between calls.
    matches: Vec<(Slot, u32)>,
    #[cfg(feature = "known-bugs")]
    bug: Option<crate::known_bugs::KnownBug>,
}

impl Hub {
    /// A hub without streams, for a store at `revision`.
    #[must_use]
    pub fn new(revision: i64, limits: HubLimits) -> Self {
        Self {
            limits,
            revision,
            streams: Slab::new(),
            watchers: Slab::new(),
            live: Subscribers::default(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            next_serial: 0,
            matches: Vec::new(),
            #[cfg(feature = "known-bugs")]
            bug: None,
        }
    }

    /// The revision of the last batch published.
    #[must_use]
    pub const fn revision(&self) -> i64 {
        self.revision
    }

    /// How many streams there are.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// How many watchers all streams have together.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.watchers.len()
    }

    /// How many of them lag.
    #[must_use]
    pub fn lagging_watchers(&self) -> usize {
        self.streams.iter().map(|(_, stream)| stream.lagging_slots.len()).sum()
    }

    /// A new stream without watchers; `None` if there are as many as there may be, which etcd's clients know as "too many requests".
    pub fn open(&mut self) -> Option<StreamId> {
        if self.streams.len() >= self.limits.streams {
            return None;
        }
        let serial = self.serial();
        Some(StreamId { place: self.streams.insert(Stream::new(serial)), serial })
    }

    /// Ends a stream with all its watchers. Nothing happens if there is no such stream.
    pub fn close(&mut self, stream: StreamId) {
        if let Some(place) = self.place(stream) {
            for watch_id in self.streams[place].ids.keys().copied().collect::<Vec<_>>() {
                self.remove_watcher(place, watch_id);
            }
            self.streams.remove(place);
        }
    }

    /// `WatchCreateRequest`. The stream has an answer to send afterwards.
    pub fn create(&mut self, stream: StreamId, request: &WatchCreateRequest) {
        let Some(place) = self.place(stream) else { return };
        let revision = self.revision;
        let response = match self.add_watcher(place, request) {
            Ok(watch_id) => WatchResponse::Created { watch_id, revision },
            Err(reason) => WatchResponse::Refused { revision, reason },
        };
        self.streams[place].push_control(response);
    }

    /// `WatchCancelRequest`: the stream has an answer to send if it has such a watcher, otherwise nothing happens, as in etcd.
    pub fn cancel(&mut self, stream: StreamId, watch_id: i64) {
        if let Some(place) = self.place(stream)
            && self.remove_watcher(place, watch_id)
        {
            self.streams[place].push_control(WatchResponse::Canceled { watch_id, revision: self.revision });
        }
    }

    /// `WatchProgressRequest`: the stream sends a [`WatchResponse::Progress`] for all its watchers as soon as each of them has been sent
    /// everything up to the hub's revision. Requests made before that are answered together.
    ///
    /// As in etcd there is no answer while the stream has no watchers, or one whose start lies in the future.
    pub fn request_progress(&mut self, stream: StreamId) {
        if let Some(place) = self.place(stream) {
            self.streams[place].progress_requested = true;
        }
    }

    /// The interval of progress notifications has passed: those watchers of the stream that asked for them and had no events in it are sent one.
    /// Returns whether there are such watchers, so that the stream is to be polled.
    pub fn notify_progress(&mut self, stream: StreamId) -> bool {
        let Some(place) = self.place(stream) else { return false };
        let stream = &mut self.streams[place];
        for &slot in stream.ids.values() {
            stream.notification_due |= self.watchers[slot].interval_passed();
        }
        stream.notification_due
    }

    /// Whether the client should be given no further answer before it has read some: stop reading its requests until then.
    #[must_use]
    pub fn is_congested(&self, stream: StreamId) -> bool {
        self.place(stream).is_some_and(|place| self.streams[place].queued_controls() >= self.limits.stream_controls)
    }

    /// Hands a batch to all whom it concerns. Batches come in the order of their revisions, each once; the store is not locked.
    /// Returns the streams that were told to wait and have something to send now.
    ///
    /// # Panics
    /// If the batch is not that of the next revision: somebody would not hear of something.
    pub fn publish(&mut self, batch: &Arc<RevisionBatch>) -> Vec<StreamId> {
        assert_eq!(batch.revision, self.revision + 1, "every revision is published, in order");
        self.revision = batch.revision;
        self.remember(batch);

        let mut matches = std::mem::take(&mut self.matches);
        for (index, event) in (0..).zip(&batch.events) {
            self.live.visit(&event.kv.key, |slot| {
                let watcher = &self.watchers[slot];
                let wants = watcher.wants(event, batch.revision);
                #[cfg(feature = "known-bugs")]
                let wants = wants || self.has_bug(crate::known_bugs::KnownBug::FutureWatchersHearTheirPast);
                if wants {
                    matches.push((slot, index));
                }
            });
        }
        if batch.events.len() > 1 {
            matches.sort_unstable();
        }
        let mut woken = Vec::new();
        for of_watcher in matches.chunk_by(|a, b| a.0 == b.0) {
            let slot = of_watcher[0].0;
            let watcher = &self.watchers[slot];
            let place = watcher.stream;
            let notice = Notice::new(slot, watcher, batch, of_watcher.iter().map(|&(_, index)| index));
            self.enqueue(place, notice);
            let stream = &mut self.streams[place];
            if std::mem::take(&mut stream.asleep) {
                woken.push(StreamId { place, serial: stream.serial });
            }
        }
        matches.clear();
        self.matches = matches;
        woken
    }

    /// The store was replaced by a newer one, at `revision`: everybody reads on from its history. Returns the streams to poll.
    ///
    /// # Panics
    /// If the store is older than what was published.
    pub fn reset(&mut self, revision: i64) -> Vec<StreamId> {
        assert!(revision >= self.revision, "what was published has happened");
        if revision == self.revision {
            return Vec::new();
        }
        let told = std::mem::replace(&mut self.revision, revision);
        self.recent.clear();
        self.recent_bytes = 0;
        let mut woken = Vec::new();
        for place in self.streams.iter().map(|(place, _)| place).collect::<Vec<_>>() {
            self.drop_notices(place);
            for slot in self.streams[place].ids.values().copied().collect::<Vec<_>>() {
                self.fall_behind(slot, told + 1);
            }
            let stream = &mut self.streams[place];
            if !stream.is_synced() && std::mem::take(&mut stream.asleep) {
                woken.push(StreamId { place, serial: stream.serial });
            }
        }
        woken
    }

    /// The next responses of a stream, of about `budget_bytes`, or of one revision if that is larger. `store` is only called if some watcher of
    /// the stream has to read history, so that the store's lock is rarely taken: `hub.poll(stream, budget, || store.read())`.
    pub fn poll<S: Deref<Target = Store>>(&mut self, stream: StreamId, budget_bytes: usize, store: impl FnOnce() -> S) -> Polled {
        let Some(place) = self.place(stream) else { return Polled::default() };
        let mut responses = Vec::new();
        // Those that lag have a right to half of it, lest a stream whose queue is never empty leaves them behind for good.
        let lags = |hub: &Self| !hub.streams[place].lagging_slots.is_empty();
        let for_queue = if lags(self) { budget_bytes.div_ceil(2) } else { budget_bytes };
        let mut spent = 0;
        while spent < for_queue
            && let ControlFlow::Continue(bytes) = self.send_queued(place, for_queue - spent, &mut responses)
        {
            spent += bytes;
        }
        // Among the control responses may be the one that says that a watcher exists.
        if self.streams[place].queued_controls() == 0 && lags(self) {
            let store = store();
            let mut revisions_left = self.limits.scan_revisions.max(1);
            loop {
                let left = budget_bytes.saturating_sub(spent).max(1);
                spent += self.catch_up(place, &store, left, &mut revisions_left, &mut responses);
                if spent >= budget_bytes || revisions_left == 0 || !lags(self) {
                    break;
                }
            }
        }
        self.send_progress(place, &mut responses);
        let stream = &mut self.streams[place];
        let more = !stream.is_synced();
        stream.asleep = !more;
        Polled { responses, more }
    }

    fn place(&self, stream: StreamId) -> Option<usize> {
        self.streams.get(stream.place).is_some_and(|found| found.serial == stream.serial).then_some(stream.place)
    }

    const fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    fn add_watcher(&mut self, place: usize, request: &WatchCreateRequest) -> Result<i64, WatchRefusal> {
        if request.start_revision < 0 {
            return Err(WatchRefusal::Compacted);
        }
        // Copied: a watcher outlives its request by far, and would keep the whole buffer that it came in.
        let key = if request.key.is_empty() { Bytes::from_static(FROM_KEY) } else { Bytes::copy_from_slice(&request.key) };
        let range = KeyRange::new(key, Bytes::copy_from_slice(&request.range_end));
        if range.is_empty() {
            return Err(WatchRefusal::EmptyRange);
        }
        let serial = self.serial();
        let stream = &mut self.streams[place];
        if stream.ids.len() >= self.limits.stream_watchers || self.watchers.len() >= self.limits.watchers {
            return Err(WatchRefusal::TooManyWatchers);
        }
        let watch_id = if request.watch_id == ANY_WATCH_ID {
            while stream.ids.contains_key(&stream.next_id) {
                stream.next_id += 1;
            }
            let chosen = stream.next_id;
            stream.next_id += 1;
            chosen
        } else if stream.ids.contains_key(&request.watch_id) {
            return Err(WatchRefusal::DuplicateId);
        } else {
            request.watch_id
        };

        let watcher = Watcher::new(serial, place, watch_id, range, request, self.revision);
        let entry = self.watchers.vacant_entry();
        let slot = entry.key();
        stream.ids.insert(watch_id, slot);
        match watcher.position {
            Position::Live { .. } => self.live.add(&watcher.range, slot),
            Position::Lagging { .. } => {
                stream.lagging.add(&watcher.range, slot);
                stream.lagging_slots.insert(slot);
            }
        }
        entry.insert(watcher);
        Ok(watch_id)
    }

    /// Returns whether there was such a watcher. Its events that wait are not sent any more.
    fn remove_watcher(&mut self, place: usize, watch_id: i64) -> bool {
        let stream = &mut self.streams[place];
        let Some(slot) = stream.ids.remove(&watch_id) else { return false };
        let watcher = self.watchers.remove(slot);
        match watcher.position {
            Position::Live { .. } => self.live.remove(&watcher.range, slot),
            Position::Lagging { .. } => {
                stream.lagging.remove(&watcher.range, slot);
                stream.lagging_slots.remove(&slot);
            }
        }
        true
    }

    fn remember(&mut self, batch: &Arc<RevisionBatch>) {
        self.recent_bytes += batch.size();
        self.recent.push_back(batch.clone());
        while self.recent_bytes > self.limits.recent_bytes
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_bytes -= oldest.size();
        }
    }

    /// Adds to the queue of a stream, or, if it is full, lets the watchers lag that had something in it.
    fn enqueue(&mut self, place: usize, notice: Notice) {
        if let Position::Lagging { .. } = self.watchers[notice.slot].position {
            // Its stream's queue was found full just now.
            return;
        }
        let stream = &mut self.streams[place];
        let queued = stream.queued_bytes();
        if queued > 0 && queued + notice.bytes() > self.limits.stream_bytes {
            self.drop_notices(place);
            self.fall_behind(notice.slot, notice.batch.revision);
        } else {
            stream.push_notice(notice);
        }
    }

    fn drop_notices(&mut self, place: usize) {
        for notice in self.streams[place].drop_notices() {
            if self.watchers.get(notice.slot).is_some_and(|watcher| watcher.serial == notice.watcher) {
                self.fall_behind(notice.slot, notice.batch.revision);
            }
        }
    }

    /// A watcher has not been told of `missed` and what came after.
    fn fall_behind(&mut self, slot: Slot, missed: i64) {
        #[cfg(feature = "known-bugs")]
        if self.has_bug(crate::known_bugs::KnownBug::SlowStreamsMissEvents) {
            return;
        }
        let watcher = &mut self.watchers[slot];
        match watcher.position {
            Position::Live { from } => {
                let next = missed.max(from);
                if next <= self.revision {
                    watcher.position = Position::Lagging { next };
                    self.live.remove(&watcher.range, slot);
                    let stream = &mut self.streams[watcher.stream];
                    stream.lagging.add(&watcher.range, slot);
                    stream.lagging_slots.insert(slot);
                }
            }
            Position::Lagging { .. } => {}
        }
    }

    /// Sends what comes next in the queue. Returns its bytes.
    fn send_queued(&mut self, place: usize, budget_bytes: usize, responses: &mut Vec<WatchResponse>) -> ControlFlow<(), usize> {
        let stream = &mut self.streams[place];
        let notice = match stream.pop() {
            None => return ControlFlow::Break(()),
            Some(Item::Control(response)) => {
                responses.push(response);
                return ControlFlow::Continue(CONTROL_BYTES);
            }
            Some(Item::Events(notice)) => notice,
        };
        // The watcher may have been cancelled since.
        let watcher = self.watchers.get_mut(notice.slot).filter(|watcher| watcher.serial == notice.watcher);
        let Some(watcher) = watcher else { return ControlFlow::Continue(0) };
        watcher.was_told();
        let mut bytes = notice.bytes();
        let mut revision = notice.batch.revision;
        let mut events: Vec<_> = notice.events(watcher.prev_kv).collect();
        while bytes < budget_bytes
            && let Some(more) = stream.pop_more(watcher.serial, bytes)
        {
            bytes += more.bytes();
            revision = more.batch.revision;
            events.extend(more.events(watcher.prev_kv));
        }
        push_events(responses, watcher.watch_id, revision, events, watcher.fragment.then_some(self.limits.fragment_bytes));
        ControlFlow::Continue(bytes)
    }

    /// Says how far the stream is, if it is as far as can be and somebody wants to know.
    fn send_progress(&mut self, place: usize, responses: &mut Vec<WatchResponse>) {
        let revision = self.revision;
        let stream = &mut self.streams[place];
        let synced = stream.is_synced();
        #[cfg(feature = "known-bugs")]
        let synced = synced || self.bug == Some(crate::known_bugs::KnownBug::ProgressIsAhead);
        if !synced {
            return;
        }
        if std::mem::take(&mut stream.notification_due) {
            for (&watch_id, &slot) in &stream.ids {
                let watcher = &mut self.watchers[slot];
                if watcher.take_notification() && watcher.start_revision <= revision {
                    responses.push(WatchResponse::Progress { watch_id, revision });
                }
            }
        }
        if std::mem::take(&mut stream.progress_requested)
            && !stream.ids.is_empty()
            && stream.ids.values().all(|&slot| self.watchers[slot].start_revision <= revision)
        {
            responses.push(WatchResponse::Progress { watch_id: NO_WATCH_ID, revision });
        }
    }
}

#[cfg(feature = "known-bugs")]
impl Hub {
    /// Puts a bug back.
    pub fn put_back(&mut self, bug: crate::known_bugs::KnownBug) {
        self.bug = Some(bug);
    }

    fn has_bug(&self, bug: crate::known_bugs::KnownBug) -> bool {
        self.bug == Some(bug)
    }
}

#[cfg(test)]
mod tests;
