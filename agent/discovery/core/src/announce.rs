//! What is announced on which link, under which label.

use core::time::Duration;

use alloc::{collections::BTreeMap, collections::VecDeque, vec::Vec};

use crate::{
    label::{Label, Labels},
    link::{Link, LinkIndex},
    now::Now,
    timings::Timings,
};

/// So many conflicts …
pub(crate) const CONFLICTS_MAX: usize = 5;

/// … within so long are no accident: with 64 random bits, one is not. Then nobody is asked any more.
pub(crate) const CONFLICTS_WITHIN: Duration = Duration::from_secs(60);

/// Links that are announced on at most: more than any box has, and few enough that nobody's mistake makes a storm. Of more, the first by number.
pub(crate) const LINKS_MAX: usize = 16;

/// A link's label, and when it has to be announced if it is not yet.
#[derive(Debug)]
struct Place {
    label: Label,
    deadline: Option<Now>,
}

/// Links and labels.
#[derive(Debug)]
pub(crate) struct Announcer {
    links: Vec<Link>,
    places: BTreeMap<LinkIndex, Place>,
    /// When the first and the last change were that are not announced yet.
    pending: Option<(Now, Now)>,
    conflicts: VecDeque<Now>,
    probes: bool,
}

impl Announcer {
    pub(crate) const fn new() -> Self {
        Self { links: Vec::new(), places: BTreeMap::new(), pending: None, conflicts: VecDeque::new(), probes: true }
    }

    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    pub(crate) const fn probes(&self) -> bool {
        self.probes
    }

    pub(crate) fn set_links(&mut self, now: Now, mut links: Vec<Link>) {
        links.sort_unstable_by_key(|link| link.index);
        links.dedup_by_key(|link| link.index);
        links.truncate(LINKS_MAX);
        self.links = links;
        self.change(now);
    }

    /// Something has changed that has to be announced.
    pub(crate) fn change(&mut self, now: Now) {
        self.pending = Some((self.pending.map_or(now, |(first, _)| first), now));
    }

    /// Whether it is time to announce.
    pub(crate) fn due(&mut self, now: Now, timings: &Timings) -> bool {
        let is_due = self.pending_until(timings).is_some_and(|until| until <= now);
        if is_due {
            self.pending = None;
        }
        is_due
    }

    fn pending_until(&self, timings: &Timings) -> Option<Now> {
        self.pending.map(|(first, last)| (last + timings.settle).min(first + timings.settle_max))
    }

    /// The label of each link that has an address, in the order of the links. Links keep theirs; those that are gone lose them.
    pub(crate) fn labels(&mut self, now: Now, labels: &mut Labels, timings: &Timings) -> Vec<(Link, Label)> {
        let links: Vec<Link> = self.links.iter().filter(|link| !link.announced().is_empty()).cloned().collect();
        self.places.retain(|index, _| links.iter().any(|link| link.index == *index));
        let deadline = self.probes.then(|| now + timings.announce_deadline);
        let place = |link: Link| {
            let place = self.places.entry(link.index).or_insert_with(|| Place { label: labels.next(), deadline });
            place.deadline = deadline;
            (link, place.label)
        };
        links.into_iter().map(place).collect()
    }

    pub(crate) fn announced(&mut self, label: Label) {
        self.places.values_mut().filter(|place| place.label == label).for_each(|place| place.deadline = None);
    }

    /// Somebody uses a label of this node, or keeps it from being announced. Says whether that is so.
    pub(crate) fn conflict(&mut self, now: Now, label: Label, labels: &mut Labels) -> bool {
        let Some(place) = self.places.values_mut().find(|place| place.label == label) else { return false };
        if !self.probes {
            return false;
        }
        place.label = labels.next();
        place.deadline = None;
        self.conflicts.push_back(now);
        while self.conflicts.front().is_some_and(|conflict| now.since(*conflict) >= CONFLICTS_WITHIN) {
            self.conflicts.pop_front();
        }
        self.probes = self.conflicts.len() < CONFLICTS_MAX;
        self.change(now);
        true
    }

    /// A label that should have been announced by now.
    pub(crate) fn overdue(&self, now: Now) -> Option<Label> {
        self.places.values().find(|place| place.deadline.is_some_and(|deadline| deadline <= now)).map(|place| place.label)
    }

    pub(crate) fn deadline(&self, timings: &Timings) -> Option<Now> {
        self.places.values().filter_map(|place| place.deadline).chain(self.pending_until(timings)).min()
    }
}
