//! Watchers come, fall behind and go.

use bytes::Bytes;

use super::{
    ANY_WATCH_ID, Hub, WatchCreateRequest, WatchRefusal,
    stream::{Notice, Position, Watcher},
    subscribers::Slot,
};
use crate::range::{FROM_KEY, KeyRange};

impl Hub {
    pub(super) fn add_watcher(&mut self, place: usize, request: &WatchCreateRequest) -> Result<i64, WatchRefusal> {
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
    pub(super) fn remove_watcher(&mut self, place: usize, watch_id: i64) -> bool {
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

    /// Adds to the queue of a stream, or, if it is full, lets the watchers lag that had something in it.
    pub(super) fn enqueue(&mut self, place: usize, notice: Notice) {
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

    pub(super) fn drop_notices(&mut self, place: usize) {
        for notice in self.streams[place].drop_notices() {
            if self.watchers.get(notice.slot).is_some_and(|watcher| watcher.serial == notice.watcher) {
                self.fall_behind(notice.slot, notice.batch.revision);
            }
        }
    }

    /// A watcher has not been told of `missed` and what came after.
    pub(super) fn fall_behind(&mut self, slot: Slot, missed: i64) {
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
}
