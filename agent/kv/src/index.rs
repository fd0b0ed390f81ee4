//! The keys in their order, counted.
//!
//! A B+tree of key ids whose inner nodes know how many keys of each subtree exist, now and at every revision since the last compaction. So a count,
//! and the first page of a list, cost O(log n) and O(log n + page) at the newest revision and at older ones: a client that pages through a list at
//! one revision pays nothing for what has changed meanwhile, and subtrees of deleted keys are skipped.
//!
//! Keys are in the tree as long as they have any version, deletions included; names and versions stay in [`Keys`].

use std::ops::{Bound, ControlFlow};

use bytes::Bytes;
use slab::Slab;

use self::{
    count::Count,
    node::{Child, Insertion, Node, child_of, print},
};
use crate::{
    range::KeyRange,
    store::history::{Key, Version},
};

mod count;
mod node;

/// All keys that have a version. An id is good as long as its key has one.
#[derive(Debug, Default)]
pub(crate) struct Keys(Slab<Key>);

/// A place in [`Keys`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyId(u32);

impl Keys {
    pub(crate) fn add(&mut self, key: Key) -> KeyId {
        KeyId(u32::try_from(self.0.insert(key)).expect("four thousand million keys fill the memory of no machine this runs on"))
    }

    pub(crate) fn remove(&mut self, id: KeyId) -> Key {
        self.0.remove(id.0 as usize)
    }

    pub(crate) fn get(&self, id: KeyId) -> &Key {
        &self.0[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: KeyId) -> &mut Key {
        &mut self.0[id.0 as usize]
    }

    fn name(&self, id: KeyId) -> &Bytes {
        &self.get(id).name
    }
}

/// The tree. No node has more than `WIDTH` entries.
#[derive(Debug)]
pub(crate) struct Index<const WIDTH: usize = 64> {
    root: Node,
}

impl<const WIDTH: usize> Default for Index<WIDTH> {
    fn default() -> Self {
        Self { root: Node::Leaf(Vec::new()) }
    }
}

impl<const WIDTH: usize> Index<WIDTH> {
    /// The tree of keys that are given in their order. `floor` is the last compaction.
    pub(crate) fn build(keys: &Keys, sorted: &[KeyId], floor: i64) -> Self {
        // Three quarters full: the next keys need not split every node.
        let fill = WIDTH * 3 / 4;
        let mut level: Vec<Child> =
            sorted.chunks(fill).map(|ids| Child::new(keys.name(ids[0]).clone(), Node::leaf(keys, ids), keys, floor)).collect();
        while level.len() > 1 {
            let mut below = std::mem::take(&mut level).into_iter().peekable();
            while let Some(first) = below.peek().map(|child| child.first.clone()) {
                let children = below.by_ref().take(fill).collect();
                level.push(Child::new(first, Node::Inner(children), keys, floor));
            }
        }
        level.pop().map_or_else(Self::default, |root| Self { root: root.node })
    }

    pub(crate) fn find(&self, keys: &Keys, name: &[u8]) -> Option<KeyId> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(children) => node = &children[child_of(children, name)].node,
                Node::Leaf(entries) => {
                    let print = print(name);
                    let same = |entry: &&node::Entry| entry.print == print && keys.name(entry.id) == name;
                    return entries.iter().find(same).map(|entry| entry.id);
                }
            }
        }
    }

    /// Adds a key that is not in the tree and whose first version was made at `revision`, the newest there is.
    pub(crate) fn insert(&mut self, keys: &Keys, id: KeyId, revision: i64, floor: i64) {
        let context = Insertion { keys, id, name: keys.name(id), revision, floor };
        if let Some((first, right)) = self.root.insert::<WIDTH>(&context) {
            let left = std::mem::replace(&mut self.root, Node::Inner(Vec::new()));
            self.root = Node::Inner(vec![Child::new(Bytes::new(), left, keys, floor), Child::new(first, right, keys, floor)]);
        }
    }

    /// A key of the tree begins or ceases to exist at `revision`, the newest there is.
    pub(crate) fn change(&mut self, name: &[u8], revision: i64, alive: bool) {
        self.for_each_count(name, |count| count.change(revision, alive));
    }

    /// Forgets how counts were before `floor` on the way to a key.
    pub(crate) fn trim(&mut self, name: &[u8], floor: i64) {
        self.for_each_count(name, |count| count.trim(floor));
    }

    fn for_each_count(&mut self, name: &[u8], mut visit: impl FnMut(&mut Count)) {
        let mut node = &mut self.root;
        while let Node::Inner(children) = node {
            let index = child_of(children, name);
            let child = &mut children[index];
            visit(&mut child.count);
            node = &mut child.node;
        }
    }

    /// Takes a key out that has existed at no revision since `floor`.
    pub(crate) fn remove(&mut self, keys: &Keys, id: KeyId, floor: i64) {
        self.root.remove::<WIDTH>(keys, keys.name(id), floor);
        while let Node::Inner(children) = &mut self.root
            && children.len() == 1
        {
            self.root = children.remove(0).node;
        }
    }

    /// How many keys of the range exist at a revision, which must not lie below the last compaction.
    pub(crate) fn count(&self, keys: &Keys, range: &KeyRange, at: i64) -> u64 {
        match range {
            KeyRange::Key(name) => u64::from(self.find(keys, name).is_some_and(|id| keys.get(id).alive_at(at).is_some())),
            _ if range.is_empty() => 0,
            KeyRange::Range { start, end } => self.root.count(keys, Some(start), Some(end), at),
            KeyRange::From(start) => self.root.count(keys, Some(start), None, at),
        }
    }

    /// Visits the keys of the range that exist at a revision, which must not lie below the last compaction, in their order, until told to stop.
    pub(crate) fn visit<'a>(
        &'a self,
        keys: &'a Keys,
        range: &KeyRange,
        at: i64,
        mut visit: impl FnMut(KeyId, &'a Key, &'a Version) -> ControlFlow<()>,
    ) {
        let (start, end) = match (range, range.end()) {
            (KeyRange::Key(name), _) => {
                if let Some(id) = self.find(keys, name)
                    && let Some(version) = keys.get(id).alive_at(at)
                {
                    let _ = visit(id, keys.get(id), version);
                }
                return;
            }
            _ if range.is_empty() => return,
            (_, Bound::Excluded(end)) => (range.start(), Some(end)),
            _ => (range.start(), None),
        };
        let _ = self.root.visit(keys, Some(start), end, at, &mut visit);
    }
}

#[cfg(test)]
mod tests;
