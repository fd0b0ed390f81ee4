//! A watch stream and its watchers.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    WatchCreateRequest, WatchResponse,
    limits::RESPONSE_BYTES,
    subscribers::{Slot, Subscribers},
};
use crate::{
    event::{Event, EventKind, RevisionBatch, WatchEvent},
    range::KeyRange,
};

#[derive(Debug)]
pub(super) struct Stream {
    /// Tells streams apart that have used the same place one after the other.
    pub(super) serial: u64,
    /// The watchers by their ids.
    pub(super) ids: BTreeMap<i64, Slot>,
    /// Where the search for the next free id begins. As in etcd, the first one chosen is 0.
    pub(super) next_id: i64,
    /// What is to be sent, in order. Watchers that lag have no events here.
    queue: VecDeque<Item>,
    queued_bytes: usize,
    queued_controls: usize,
    /// The watchers that lag, for finding those of a key.
    pub(super) lagging: Subscribers,
    pub(super) lagging_slots: BTreeSet<Slot>,
    pub(super) progress_requested: bool,
    /// Whether some watcher's notification is due.
    pub(super) notification_due: bool,
    /// Whether the stream was told to wait until it is named.
    pub(super) asleep: bool,
}

/// Something to be sent.
#[derive(Debug)]
pub(super) enum Item {
    Control(WatchResponse),
    Events(Notice),
}

/// Events of one revision for one watcher.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) slot: Slot,
    /// The watcher's serial: its place may be another's by now.
    pub(super) watcher: u64,
    pub(super) batch: Arc<RevisionBatch>,
    /// The indices of the events in the batch. One event, which is the rule, needs no list.
    first: u32,
    rest: Vec<u32>,
    bytes: usize,
}

impl Notice {
    /// `indices` has at least one.
    pub(super) fn new(slot: Slot, watcher: &Watcher, batch: &Arc<RevisionBatch>, mut indices: impl Iterator<Item = u32>) -> Self {
        let size = |index: u32| batch.events[index as usize].size(watcher.prev_kv);
        let first = indices.next().expect("a notice is about something");
        let rest: Vec<u32> = indices.collect();
        let bytes = size(first) + rest.iter().map(|&index| size(index)).sum::<usize>();
        Self { slot, watcher: watcher.serial, batch: batch.clone(), first, rest, bytes }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn events(&self, with_prev_kv: bool) -> impl Iterator<Item = WatchEvent> {
        std::iter::once(self.first).chain(self.rest.iter().copied()).map(move |index| WatchEvent {
            batch: self.batch.clone(),
            index,
            with_prev_kv,
        })
    }
}

impl Stream {
    pub(super) fn new(serial: u64) -> Self {
        Self {
            serial,
            ids: BTreeMap::new(),
            next_id: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued_controls: 0,
            lagging: Subscribers::default(),
            lagging_slots: BTreeSet::new(),
            progress_requested: false,
            notification_due: false,
            asleep: true,
        }
    }

    /// Whether everything was sent that the hub has published.
    pub(super) fn is_synced(&self) -> bool {
        self.queue.is_empty() && self.lagging_slots.is_empty()
    }

    pub(super) const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub(super) const fn queued_controls(&self) -> usize {
        self.queued_controls
    }

    pub(super) fn push_control(&mut self, response: WatchResponse) {
        self.queued_controls += 1;
        self.queue.push_back(Item::Control(response));
    }

    pub(super) fn push_notice(&mut self, notice: Notice) {
        self.queued_bytes += notice.bytes;
        self.queue.push_back(Item::Events(notice));
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.queue.pop_front()?;
        match &item {
            Item::Control(_) => self.queued_controls -= 1,
            Item::Events(notice) => self.queued_bytes -= notice.bytes,
        }
        Some(item)
    }

    /// The next item, if it goes on where a response of so many bytes to this watcher ends.
    pub(super) fn pop_more(&mut self, watcher: u64, bytes: usize) -> Option<Notice> {
        match self.queue.front()? {
            Item::Events(notice) if notice.watcher == watcher && bytes + notice.bytes <= RESPONSE_BYTES => {}
            _ => return None,
        }
        match self.pop() {
            Some(Item::Events(notice)) => Some(notice),
            _ => unreachable!("the front was a notice"),
        }
    }

    /// Takes out all events that wait.
    pub(super) fn drop_notices(&mut self) -> Vec<Notice> {
        let mut dropped = Vec::new();
        for item in std::mem::take(&mut self.queue) {
            match item {
                Item::Control(_) => self.queue.push_back(item),
                Item::Events(notice) => dropped.push(notice),
            }
        }
        self.queued_bytes = 0;
        dropped
    }
}

#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) serial: u64,
    /// The place of its stream.
    pub(super) stream: usize,
    pub(super) watch_id: i64,
    pub(super) range: KeyRange,
    /// As the client asked for it; 0 if it did not.
    pub(super) start_revision: i64,
    pub(super) position: Position,
    pub(super) prev_kv: bool,
    pub(super) fragment: bool,
    no_put: bool,
    no_delete: bool,
    notification: Notification,
}

/// How far a watcher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// What is published goes to its stream's queue, if it is of this revision or a later one.
    Live {
        /// Later than what is published when the client wants to hear of the future only.
        from: i64,
    },
    /// It has to be told first what history holds from this revision on.
    Lagging {
        /// Not yet told.
        next: i64,
    },
}

/// Whether a watcher is to be told of progress although nobody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notification {
    /// It does not want to.
    Never,
    /// It was told of something in this interval.
    Spared,
    /// It was not.
    Armed,
    /// A whole interval has passed in which it was not.
    Due,
}

impl Watcher {
    /// A watcher of a hub that is at `revision`. The range is that of the request.
    pub(super) fn new(serial: u64, stream: usize, watch_id: i64, range: KeyRange, request: &WatchCreateRequest, revision: i64) -> Self {
        let start_revision = request.start_revision;
        let position = if (1..=revision).contains(&start_revision) {
            Position::Lagging { next: start_revision }
        } else {
            Position::Live { from: start_revision.max(revision + 1) }
        };
        Self {
            serial,
            stream,
            watch_id,
            range,
            start_revision,
            position,
            prev_kv: request.prev_kv,
            fragment: request.fragment,
            no_put: request.no_put,
            no_delete: request.no_delete,
            notification: if request.progress_notify { Notification::Armed } else { Notification::Never },
        }
    }

    /// The first revision the watcher is still to be told of.
    pub(super) const fn next(&self) -> i64 {
        let (Position::Live { from: next } | Position::Lagging { next }) = self.position;
        next
    }

    /// Whether the watcher is to be told of an event of its range.
    pub(super) fn wants(&self, event: &Event, revision: i64) -> bool {
        let filtered = match event.kind {
            EventKind::Put => self.no_put,
            EventKind::Delete => self.no_delete,
        };
        self.next() <= revision && !filtered
    }

    /// An interval has passed. Returns whether a notification is due.
    pub(super) fn interval_passed(&mut self) -> bool {
        self.notification = match self.notification {
            Notification::Never => Notification::Never,
            Notification::Spared => Notification::Armed,
            Notification::Armed | Notification::Due => Notification::Due,
        };
        self.notification == Notification::Due
    }

    /// The watcher was told of events.
    pub(super) fn was_told(&mut self) {
        if self.notification != Notification::Never {
            self.notification = Notification::Spared;
        }
    }

    /// Whether a notification is due. It is not any more afterwards.
    pub(super) fn take_notification(&mut self) -> bool {
        let due = self.notification == Notification::Due;
        if due {
            self.notification = Notification::Armed;
        }
        due
    }
}
