//! What a stream sends, in which order: what waits in its queue, then what those have missed who lag, then how far all of them are.

use std::ops::{ControlFlow, Deref};

use super::{Hub, NO_WATCH_ID, Polled, StreamId, WatchResponse, limits::CONTROL_BYTES, response::push_events, stream::Item};
use crate::store::Store;

impl Hub {
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
