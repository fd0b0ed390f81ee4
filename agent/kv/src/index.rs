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

use self::count::Count;
use crate::{
    range::KeyRange,
    store::history::{Key, Version},
};

mod count;

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

#[derive(Debug)]
enum Node {
    Leaf(Vec<Entry>),
    Inner(Vec<Child>),
}

/// A key in a leaf. Its name is somewhere else, and the leaf may be wide: the print tells most other keys apart without a look at their names.
#[derive(Debug, Clone, Copy)]
struct Entry {
    id: KeyId,
    print: u32,
}

impl Entry {
    fn new(keys: &Keys, id: KeyId) -> Self {
        Self { id, print: print(keys.name(id)) }
    }
}

/// Names with different prints are different. Somebody may choose names with the same print: as many as fit into a leaf are compared then.
fn print(name: &[u8]) -> u32 {
    crc32fast::hash(name)
}

#[derive(Debug)]
struct Child {
    /// No key of this child is smaller, and none of the child before is as large. For the first child of a node it says nothing.
    first: Bytes,
    count: Count,
    node: Node,
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
                    let same = |entry: &&Entry| entry.print == print && keys.name(entry.id) == name;
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

/// What [`Node::insert`] is about.
struct Insertion<'a> {
    keys: &'a Keys,
    id: KeyId,
    name: &'a [u8],
    revision: i64,
    floor: i64,
}

impl Child {
    fn new(first: Bytes, node: Node, keys: &Keys, floor: i64) -> Self {
        Self { first, count: node.count_anew(keys, floor), node }
    }
}

impl Node {
    fn leaf(keys: &Keys, ids: &[KeyId]) -> Self {
        Self::Leaf(ids.iter().map(|&id| Entry::new(keys, id)).collect())
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(children) => children.len(),
        }
    }

    /// The count as the keys' own histories, or the children's counts, have it.
    fn count_anew(&self, keys: &Keys, floor: i64) -> Count {
        match self {
            Self::Leaf(entries) => {
                let mut now = 0;
                let mut deltas = Vec::new();
                for entry in entries {
                    let mut alive = false;
                    for version in keys.get(entry.id).versions() {
                        if alive == version.is_deletion() {
                            alive = !alive;
                            deltas.push((version.at.main, if alive { 1 } else { -1 }));
                        }
                    }
                    now += u32::from(alive);
                }
                Count::from_deltas(now, deltas, floor)
            }
            Self::Inner(children) => Count::sum(children.iter().map(|child| &child.count), floor),
        }
    }

    /// Returns the upper half, with its first key, if the node has become too wide.
    fn insert<const WIDTH: usize>(&mut self, insertion: &Insertion<'_>) -> Option<(Bytes, Self)> {
        let Insertion { keys, id, name, revision, floor } = *insertion;
        match self {
            Self::Leaf(entries) => {
                entries.insert(first_from(entries, keys, name), Entry::new(keys, id));
                (entries.len() > WIDTH).then(|| {
                    let right = entries.split_off(entries.len() / 2);
                    (keys.name(right[0].id).clone(), Self::Leaf(right))
                })
            }
            Self::Inner(children) => {
                let index = child_of(children, name);
                let child = &mut children[index];
                match child.node.insert::<WIDTH>(insertion) {
                    None => child.count.change(revision, true),
                    Some((first, right)) => {
                        child.count = child.node.count_anew(keys, floor);
                        children.insert(index + 1, Child::new(first, right, keys, floor));
                    }
                }
                (children.len() > WIDTH).then(|| {
                    let right = children.split_off(children.len() / 2);
                    (right[0].first.clone(), Self::Inner(right))
                })
            }
        }
    }

    fn remove<const WIDTH: usize>(&mut self, keys: &Keys, name: &[u8], floor: i64) {
        match self {
            Self::Leaf(entries) => {
                if let Some(index) = entries.iter().position(|entry| keys.name(entry.id) == name) {
                    entries.remove(index);
                }
            }
            Self::Inner(children) => {
                let index = child_of(children, name);
                children[index].node.remove::<WIDTH>(keys, name, floor);
                // Neighbours that fit into one node with room to spare become one, so the tree stays as low as it should.
                for left in [index.checked_sub(1), Some(index)].into_iter().flatten() {
                    if left + 1 < children.len() && children[left].node.len() + children[left + 1].node.len() <= WIDTH * 3 / 4 {
                        let right = children.remove(left + 1);
                        let left = &mut children[left];
                        left.node.append(right);
                        left.count = left.node.count_anew(keys, floor);
                        break;
                    }
                }
            }
        }
    }

    fn append(&mut self, right: Child) {
        match (self, right.node) {
            (Self::Leaf(entries), Self::Leaf(more)) => entries.extend(more),
            (Self::Inner(children), Self::Inner(mut more)) => {
                more[0].first = right.first;
                children.extend(more);
            }
            _ => unreachable!("neighbours are of the same height"),
        }
    }

    fn count(&self, keys: &Keys, start: Option<&[u8]>, end: Option<&[u8]>, at: i64) -> u64 {
        match self {
            Self::Leaf(entries) => {
                let from = start.map_or(0, |start| first_from(entries, keys, start));
                let to = end.map_or(entries.len(), |end| first_from(entries, keys, end));
                entries[from..to].iter().filter(|entry| keys.get(entry.id).alive_at(at).is_some()).count() as u64
            }
            Self::Inner(children) => {
                let from = start.map_or(0, |start| child_of(children, start));
                let to = end.map_or(children.len() - 1, |end| children[1..].partition_point(|child| child.first[..] < *end));
                (from..=to)
                    .map(|index| {
                        let child = &children[index];
                        let start = start.filter(|_| index == from);
                        let end = end.filter(|_| index == to);
                        if start.is_none() && end.is_none() {
                            u64::from(child.count.at(at))
                        } else {
                            child.node.count(keys, start, end, at)
                        }
                    })
                    .sum()
            }
        }
    }

    fn visit<'a>(
        &'a self,
        keys: &'a Keys,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        at: i64,
        visit: &mut impl FnMut(KeyId, &'a Key, &'a Version) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self {
            Self::Leaf(entries) => {
                let from = start.map_or(0, |start| first_from(entries, keys, start));
                for &Entry { id, .. } in &entries[from..] {
                    let key = keys.get(id);
                    if end.is_some_and(|end| key.name[..] >= *end) {
                        return ControlFlow::Break(());
                    }
                    if let Some(version) = key.alive_at(at) {
                        visit(id, key, version)?;
                    }
                }
            }
            Self::Inner(children) => {
                let from = start.map_or(0, |start| child_of(children, start));
                for (index, child) in children.iter().enumerate().skip(from) {
                    if index > from && end.is_some_and(|end| child.first[..] >= *end) {
                        return ControlFlow::Break(());
                    }
                    if child.count.at(at) > 0 {
                        child.node.visit(keys, start.filter(|_| index == from), end, at, visit)?;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// The first entry that is not below a key.
fn first_from(entries: &[Entry], keys: &Keys, name: &[u8]) -> usize {
    entries.partition_point(|entry| keys.name(entry.id)[..] < *name)
}

/// The child that a key belongs to.
fn child_of(children: &[Child], name: &[u8]) -> usize {
    children[1..].partition_point(|child| child.first[..] <= *name)
}

#[cfg(test)]
mod tests;
