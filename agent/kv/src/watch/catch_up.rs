//! Telling watchers what has happened before.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Hub, WatchResponse,
    limits::RESPONSE_BYTES,
    response::push_events,
    stream::Position,
    subscribers::{Slot, Subscribers},
};
use crate::{
    event::{RevisionBatch, WatchEvent},
    store::Store,
};

/// One walk through history for all watchers of a stream that lag.
struct Walk<'a> {
    hub: &'a Hub,
    lagging: &'a Subscribers,
    found: BTreeMap<Slot, Vec<WatchEvent>>,
    bytes: usize,
    /// Revisions looked at, and how many may be.
    revisions: usize,
    revisions_left: usize,
    /// The last revision looked at.
    reached: i64,
    budget_bytes: usize,
    /// Up to here nobody is told what was before: that is forgotten.
    compact_revision: i64,
    /// The watchers of one key.
    slots: Vec<Slot>,
}

impl Walk<'_> {
    fn is_exhausted(&self) -> bool {
        self.bytes >= self.budget_bytes || self.revisions >= self.revisions_left
    }

    /// Looks at one change. `batch` is called if somebody watches the key.
    fn change(&mut self, revision: i64, index: u32, key: &[u8], batch: impl FnOnce() -> Arc<RevisionBatch>) {
        let slots = &mut self.slots;
        slots.clear();
        self.lagging.visit(key, |slot| slots.push(slot));
        if slots.is_empty() {
            return;
        }
        let batch = batch();
        let event = &batch.events[index as usize];
        for slot in slots.drain(..) {
            let watcher = &self.hub.watchers[slot];
            if watcher.wants(event, revision) {
                // As in etcd, although it may still be in memory: kube-apiserver takes it for a sign that its watch came too late.
                let with_prev_kv = watcher.prev_kv && revision > self.compact_revision;
                self.bytes += event.size(with_prev_kv);
                let event = WatchEvent { batch: batch.clone(), index, with_prev_kv };
                self.found.entry(slot).or_default().push(event);
            }
        }
    }

    /// Walks from `from` on through what the store remembers, up to the revision before `end`.
    fn through_history(&mut self, store: &Store, from: i64, end: i64) {
        let mut batch = None;
        for (at, key) in store.changes(from).take_while(|(at, _)| at.main < end) {
            if at.main > self.reached {
                if self.is_exhausted() {
                    return;
                }
                self.reached = at.main;
                self.revisions += 1;
                batch = None;
            }
            self.change(at.main, at.sub, key, || {
                batch.get_or_insert_with(|| store.batch(at.main).expect("a revision with changes above the compaction")).clone()
            });
            #[cfg(feature = "known-bugs")]
            if self.hub.has_bug(crate::known_bugs::KnownBug::RevisionsAreSplit) && self.is_exhausted() {
                return;
            }
        }
        self.reached = end - 1;
    }

    /// Walks on through the recent batches.
    fn through_recent(&mut self) {
        let Some(first) = self.hub.recent.front().map(|batch| batch.revision) else { return };
        let behind = usize::try_from(self.reached + 1 - first).expect("history reaches up to the recent batches");
        for batch in self.hub.recent.iter().skip(behind) {
            if self.is_exhausted() {
                return;
            }
            self.reached = batch.revision;
            self.revisions += 1;
            for (index, event) in (0..).zip(&batch.events) {
                self.change(batch.revision, index, &event.kv.key, || batch.clone());
            }
        }
    }
}

impl Hub {
    /// Tells those watchers of a stream that lag what they have missed, looking at `revisions_left` revisions at most. Returns the bytes of the
    /// responses.
    ///
    /// Those watchers have nothing in the stream's queue: what was published after they had begun to lag is not there but in history.
    pub(super) fn catch_up(
        &mut self,
        place: usize,
        store: &Store,
        budget_bytes: usize,
        revisions_left: &mut usize,
        responses: &mut Vec<WatchResponse>,
    ) -> usize {
        self.cancel_compacted(place, store.compact_revision(), responses);
        let stream = &self.streams[place];
        let Some(from) = stream.lagging_slots.iter().map(|&slot| self.watchers[slot].next()).min() else { return 0 };

        let mut walk = Walk {
            hub: self,
            lagging: &stream.lagging,
            found: BTreeMap::new(),
            bytes: 0,
            revisions: 0,
            revisions_left: *revisions_left,
            reached: from - 1,
            budget_bytes: budget_bytes.min(RESPONSE_BYTES),
            compact_revision: store.compact_revision(),
            slots: Vec::new(),
        };
        let recent = self.recent.front().map_or(self.revision + 1, |batch| batch.revision);
        if from < recent {
            walk.through_history(store, from, recent);
        }
        if walk.reached + 1 >= recent {
            walk.through_recent();
        }
        let Walk { found, bytes, revisions, reached, .. } = walk;
        *revisions_left -= revisions.min(*revisions_left);

        for (slot, events) in found {
            let watcher = &mut self.watchers[slot];
            watcher.was_told();
            let fragment_bytes = watcher.fragment.then_some(self.limits.fragment_bytes);
            push_events(responses, watcher.watch_id, reached, events, fragment_bytes);
        }
        self.advance(place, reached);
        bytes
    }

    /// Ends the watchers that would have to be told of something forgotten.
    fn cancel_compacted(&mut self, place: usize, compact_revision: i64, responses: &mut Vec<WatchResponse>) {
        let slots = self.streams[place].lagging_slots.iter().copied();
        let ended: Vec<Slot> = slots.filter(|&slot| self.watchers[slot].next() < compact_revision).collect();
        for slot in ended {
            let watch_id = self.watchers[slot].watch_id;
            self.remove_watcher(place, watch_id);
            responses.push(WatchResponse::Compacted { watch_id, compact_revision });
        }
    }

    /// The watchers of a stream that lag have been told everything up to `reached`. Those for whom that is all do not lag any more.
    fn advance(&mut self, place: usize, reached: i64) {
        let stream = &mut self.streams[place];
        for slot in stream.lagging_slots.iter().copied().collect::<Vec<_>>() {
            let watcher = &mut self.watchers[slot];
            let next = watcher.next().max(reached + 1);
            if next > self.revision {
                watcher.position = Position::Live { from: next };
                stream.lagging.remove(&watcher.range, slot);
                stream.lagging_slots.remove(&slot);
                self.live.add(&watcher.range, slot);
            } else {
                watcher.position = Position::Lagging { next };
            }
        }
    }
}
