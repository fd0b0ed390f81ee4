//! Entries about the cluster itself on their way out of the state machine.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use shoal_formation::{Control, ControlEntry};
use tokio::sync::Notify;

use crate::raft::machine::Machine;

/// Entries that wait for the core, at most. With more of them it is given what they have made instead, so that nothing waits for it and nothing is lost.
/// Many times what forming a cluster takes.
const ENTRIES_MAX: usize = 4096;

/// What became known to be committed. Indices count from 1, as everywhere at this [seam](crate::formation).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The entry at this index: `Input::Committed`.
    Entry(u64, ControlEntry),
    /// What everything up to this index has made, in place of entries that are not to be had one by one: `Input::Restored`.
    State(u64, Box<Control>),
}

/// What waits for the core. Nothing is kept for a node that has none.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Option<Waiting>>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// What the core has when it begins.
    after: u64,
    state: Option<(u64, Box<Control>)>,
    entries: VecDeque<(u64, ControlEntry)>,
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().expect("nobody panics while holding events")
    }

    /// From now on there is a core, which has everything up to `after`. The state goes up to `applied`.
    pub(crate) fn begin(&self, after: u64, applied: u64, control: &Control) {
        let state = (applied > after).then(|| (applied, Box::new(control.clone())));
        *self.waiting() = Some(Waiting { after, state, entries: VecDeque::new() });
    }

    /// These were applied, and now the state goes up to `applied`.
    pub(crate) fn applied(&self, entries: Vec<(u64, ControlEntry)>, applied: u64, control: impl FnOnce() -> Control) {
        if entries.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        let Some(waiting) = &mut *waiting else { return };
        let after = waiting.after;
        waiting.entries.extend(entries.into_iter().filter(|(index, _)| *index > after));
        if waiting.entries.len() > ENTRIES_MAX {
            waiting.entries.clear();
            waiting.state = Some((applied, Box::new(control())));
        }
        self.news.notify_one();
    }

    /// The state was replaced by one that goes up to `applied`.
    pub(crate) fn replaced(&self, applied: u64, control: &Control) {
        let mut waiting = self.waiting();
        let Some(waiting) = waiting.as_mut().filter(|waiting| applied > waiting.after) else { return };
        waiting.entries.clear();
        waiting.state = Some((applied, Box::new(control.clone())));
        self.news.notify_one();
    }

    fn take(&self) -> Option<Event> {
        let mut waiting = self.waiting();
        let waiting = waiting.as_mut()?;
        if let Some((index, control)) = waiting.state.take() {
            return Some(Event::State(index, control));
        }
        waiting.entries.pop_front().map(|(index, entry)| Event::Entry(index, entry))
    }

    async fn next(&self) -> Event {
        loop {
            let news = self.news.notified();
            if let Some(event) = self.take() {
                return event;
            }
            news.await;
        }
    }
}

/// A stream of [`Event`]s that does not end: the node may.
#[derive(Debug)]
pub struct Committed(pub(super) Arc<Machine>);

impl Committed {
    /// The next event. Giving up waiting loses nothing.
    pub async fn next(&mut self) -> Event {
        self.0.outbox.next().await
    }

    /// The next event, if it is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.outbox.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(outbox: &Outbox) -> Vec<Event> {
        std::iter::from_fn(|| outbox.take()).collect()
    }

    #[test]
    fn entries_come_once_and_not_those_that_the_core_has() {
        let outbox = Outbox::default();
        outbox.begin(5, 3, &Control::default());
        for index in 4..8 {
            outbox.applied(vec![(index, ControlEntry::Born)], index, || unreachable!("there are few"));
        }
        assert_eq!(taken(&outbox), [6, 7].map(|index| Event::Entry(index, ControlEntry::Born)));
        assert_eq!(taken(&outbox), []);
    }

    #[test]
    fn a_state_comes_in_the_place_of_entries_that_are_not_to_be_had() {
        let state = |index| Event::State(index, Box::default());
        let outbox = Outbox::default();
        outbox.begin(5, 6, &Control::default());
        assert_eq!(taken(&outbox), [state(6)], "the checkpoint goes further than the core");
        outbox.applied(vec![(7, ControlEntry::Born)], 7, Control::default);
        outbox.replaced(9, &Control::default());
        outbox.applied(vec![(10, ControlEntry::Seal)], 10, Control::default);
        assert_eq!(taken(&outbox), [state(9), Event::Entry(10, ControlEntry::Seal)], "a snapshot has the entry at 7");
        let many = (11..12 + ENTRIES_MAX as u64).map(|index| (index, ControlEntry::Born)).collect();
        outbox.applied(many, 20_000, Control::default);
        assert_eq!(taken(&outbox), [state(20_000)], "the core does not keep up");
    }

    #[test]
    fn without_a_core_nothing_is_kept() {
        let outbox = Outbox::default();
        outbox.applied(vec![(1, ControlEntry::Born)], 1, Control::default);
        outbox.replaced(2, &Control::default());
        assert_eq!(taken(&outbox), []);
    }
}
