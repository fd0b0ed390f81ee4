//! Who watches a key.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasherDefault, DefaultHasher},
};

use bytes::Bytes;

use super::interval::{End, Intervals, Span};
use crate::range::KeyRange;

/// A watcher's place in [`super::Hub`].
pub(super) type Slot = usize;

/// Watchers by what they watch: single keys by hash, ranges by where they lie. Finding those of a key does not depend on how many there are.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    /// Hashed without a secret: who could choose keys that collide can write what he likes anyway. Nothing is ever listed in the map's order.
    keys: HashMap<Bytes, BTreeSet<Slot>, BuildHasherDefault<DefaultHasher>>,
    ranges: Intervals<BTreeSet<Slot>>,
}

impl Subscribers {
    pub(super) fn add(&mut self, range: &KeyRange, slot: Slot) {
        match span(range) {
            Ok(key) => {
                self.keys.entry(key.clone()).or_default().insert(slot);
            }
            Err(span) => self.ranges.entry(span, |slots| {
                slots.insert(slot);
            }),
        }
    }

    pub(super) fn remove(&mut self, range: &KeyRange, slot: Slot) {
        match span(range) {
            Ok(key) => {
                if let Some(slots) = self.keys.get_mut(key) {
                    slots.remove(&slot);
                    if slots.is_empty() {
                        self.keys.remove(key);
                    }
                }
            }
            Err(span) => self.ranges.remove_if(&span, |slots| {
                slots.remove(&slot);
                slots.is_empty()
            }),
        }
    }

    /// Visits the watchers of a key.
    pub(super) fn visit(&self, key: &[u8], mut visit: impl FnMut(Slot)) {
        if let Some(slots) = self.keys.get(key) {
            slots.iter().copied().for_each(&mut visit);
        }
        self.ranges.visit(key, &mut |slots| slots.iter().copied().for_each(&mut visit));
    }
}

/// A single key, or else a span.
fn span(range: &KeyRange) -> Result<&Bytes, Span> {
    match range {
        KeyRange::Key(key) => Ok(key),
        KeyRange::Range { start, end } => Err(Span { start: start.clone(), end: End::Before(end.clone()) }),
        KeyRange::From(start) => Err(Span { start: start.clone(), end: End::Unbounded }),
    }
}
