//! The history of one key.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::event::{KeyValue, Revision};

/// One version of a key, or its deletion. 72 bytes, and the value.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) at: Revision,
    pub(crate) create_revision: i64,
    /// The number of puts since the key was created; 0 is a deletion.
    pub(crate) version: i64,
    pub(crate) lease: i64,
    pub(crate) value: Bytes,
}

impl Version {
    pub(crate) const fn deletion(at: Revision) -> Self {
        Self { at, create_revision: 0, version: 0, lease: 0, value: Bytes::new() }
    }

    pub(crate) const fn is_deletion(&self) -> bool {
        self.version == 0
    }

    /// Whether the key begins or ceases to exist here.
    pub(crate) const fn is_birth_or_death(&self) -> bool {
        self.version <= 1
    }

    pub(crate) fn key_value(&self, key: &Bytes) -> KeyValue {
        KeyValue { value: self.value.clone(), ..self.key_only(key) }
    }

    pub(crate) fn key_only(&self, key: &Bytes) -> KeyValue {
        KeyValue {
            key: key.clone(),
            value: Bytes::new(),
            create_revision: self.create_revision,
            mod_revision: self.at.main,
            version: self.version,
            lease: self.lease,
        }
    }
}

/// A key with all its versions that are kept, at least one. 112 bytes, and the name once for all versions.
///
/// Most keys of a Kubernetes cluster have one version after each compaction: it lies here, the list of older ones is somewhere else.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: Bytes,
    latest: Version,
    #[expect(clippy::box_collection, reason = "three words less for each of the many keys that have none")]
    older: Option<Box<VecDeque<Version>>>,
}

impl Key {
    /// The name is copied: it may be a slice of a request whose value is long forgotten while the key still exists.
    pub(crate) fn new(name: &[u8], first: Version) -> Self {
        Self { name: Bytes::copy_from_slice(name), latest: first, older: None }
    }

    pub(crate) const fn latest(&self) -> &Version {
        &self.latest
    }

    pub(crate) fn push(&mut self, version: Version) {
        debug_assert!(self.latest.at < version.at, "history goes forward");
        let before = std::mem::replace(&mut self.latest, version);
        let older = self.older.get_or_insert_default();
        if older.len() == older.capacity() {
            // By half only, and from one: most keys change once or twice between two compactions.
            older.reserve_exact(older.len() / 2 + 1);
        }
        older.push_back(before);
    }

    /// All versions, the oldest first.
    pub(crate) fn versions(&self) -> impl DoubleEndedIterator<Item = &Version> {
        self.older.iter().flat_map(|older| older.iter()).chain(std::iter::once(&self.latest))
    }

    /// The last version at or before a main revision, deletions included.
    pub(crate) fn at(&self, main: i64) -> Option<&Version> {
        if self.latest.at.main <= main {
            return Some(&self.latest);
        }
        let older = self.older.as_deref()?;
        let later = older.partition_point(|version| version.at.main <= main);
        older.get(later.checked_sub(1)?)
    }

    /// The version that reads at a main revision see; `None` if the key does not exist then.
    pub(crate) fn alive_at(&self, main: i64) -> Option<&Version> {
        self.at(main).filter(|version| !version.is_deletion())
    }

    /// The version that was made at exactly this place, and the one after it.
    pub(crate) fn find(&self, at: Revision) -> Option<(&Version, Option<&Version>)> {
        if self.latest.at == at {
            return Some((&self.latest, None));
        }
        let older = self.older.as_deref()?;
        let index = older.binary_search_by_key(&at, |version| version.at).ok()?;
        Some((&older[index], Some(older.get(index + 1).unwrap_or(&self.latest))))
    }

    pub(crate) fn find_mut(&mut self, at: Revision) -> Option<&mut Version> {
        if self.latest.at == at {
            return Some(&mut self.latest);
        }
        let older = self.older.as_deref_mut()?;
        let index = older.binary_search_by_key(&at, |version| version.at).ok()?;
        older.get_mut(index)
    }

    /// Takes the oldest version out if it is below `at` and not the only one.
    pub(crate) fn pop_below(&mut self, at: Revision) -> Option<Version> {
        let older = self.older.as_deref_mut()?;
        let popped = if older.front()?.at < at { older.pop_front() } else { None };
        if older.is_empty() {
            self.older = None;
        } else if older.capacity() > SPARE_VERSIONS && older.capacity() / 4 > older.len() {
            // A key that was busy once does not keep the room for it.
            older.shrink_to(older.len() * 2);
        }
        popped
    }
}

/// Room for so many older versions is never given back while there are any.
const SPARE_VERSIONS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn put(main: i64, sub: u32) -> Version {
        Version { at: Revision { main, sub }, create_revision: 2, version: main, lease: 0, value: Bytes::new() }
    }

    fn key() -> Key {
        let mut key = Key::new(b"k", put(2, 0));
        key.push(put(3, 0));
        key.push(Version::deletion(Revision { main: 3, sub: 1 }));
        key.push(put(7, 0));
        key
    }

    #[test]
    fn a_version_and_a_key_are_as_small_as_said() {
        assert_eq!(size_of::<Version>(), 72);
        assert_eq!(size_of::<Key>(), 112);
    }

    #[test]
    fn reads_see_the_last_change_of_a_revision() {
        let key = key();
        let seen = |main| key.at(main).map(|version| (version.at.main, version.at.sub));
        assert_eq!(
            [seen(1), seen(2), seen(3), seen(6), seen(7), seen(9)],
            [None, Some((2, 0)), Some((3, 1)), Some((3, 1)), Some((7, 0)), Some((7, 0))]
        );
        assert!(key.alive_at(2).is_some());
        assert!(key.alive_at(5).is_none());
    }

    #[test]
    fn a_version_knows_its_successor() {
        let key = key();
        let (_, next) = key.find(Revision { main: 3, sub: 1 }).unwrap();
        assert_eq!(next.unwrap().at.main, 7);
        assert!(key.find(Revision { main: 7, sub: 0 }).unwrap().1.is_none());
        assert!(key.find(Revision { main: 4, sub: 0 }).is_none());
    }

    #[test]
    fn only_versions_below_the_mark_are_taken_out_and_never_the_last() {
        let mut key = key();
        let mark = Revision { main: 3, sub: 1 };
        assert_eq!(key.pop_below(mark).unwrap().at, Revision { main: 2, sub: 0 });
        assert_eq!(key.pop_below(mark).unwrap().at, Revision { main: 3, sub: 0 });
        assert!(key.pop_below(mark).is_none());
        assert_eq!(key.versions().count(), 2);
        while key.pop_below(Revision { main: 100, sub: 0 }).is_some() {}
        assert_eq!(key.versions().count(), 1);
        assert_eq!(key.latest().at.main, 7);
    }
}
