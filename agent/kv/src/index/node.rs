//! The nodes of the tree: each knows its children's keys and counts.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::{KeyId, Keys, count::Count};
use crate::store::history::{Key, Version};

#[derive(Debug)]
pub(super) enum Node {
    Leaf(Vec<Entry>),
    Inner(Vec<Child>),
}

/// A key in a leaf. Its name is somewhere else, and the leaf may be wide: the print tells most other keys apart without a look at their names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: KeyId,
    pub(super) print: u32,
}

impl Entry {
    fn new(keys: &Keys, id: KeyId) -> Self {
        Self { id, print: print(keys.name(id)) }
    }
}

/// Names with different prints are different. Somebody may choose names with the same print: as many as fit into a leaf are compared then.
pub(super) fn print(name: &[u8]) -> u32 {
    crc32fast::hash(name)
}

#[derive(Debug)]
pub(super) struct Child {
    /// No key of this child is smaller, and none of the child before is as large. For the first child of a node it says nothing.
    pub(super) first: Bytes,
    pub(super) count: Count,
    pub(super) node: Node,
}

/// What [`Node::insert`] is about.
pub(super) struct Insertion<'a> {
    pub(super) keys: &'a Keys,
    pub(super) id: KeyId,
    pub(super) name: &'a [u8],
    pub(super) revision: i64,
    pub(super) floor: i64,
}

impl Child {
    pub(super) fn new(first: Bytes, node: Node, keys: &Keys, floor: i64) -> Self {
        Self { first, count: node.count_anew(keys, floor), node }
    }
}

impl Node {
    pub(super) fn leaf(keys: &Keys, ids: &[KeyId]) -> Self {
        Self::Leaf(ids.iter().map(|&id| Entry::new(keys, id)).collect())
    }

    pub(super) fn len(&self) -> usize {
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
    pub(super) fn insert<const WIDTH: usize>(&mut self, insertion: &Insertion<'_>) -> Option<(Bytes, Self)> {
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

    pub(super) fn remove<const WIDTH: usize>(&mut self, keys: &Keys, name: &[u8], floor: i64) {
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

    pub(super) fn count(&self, keys: &Keys, start: Option<&[u8]>, end: Option<&[u8]>, at: i64) -> u64 {
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

    pub(super) fn visit<'a>(
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
pub(super) fn child_of(children: &[Child], name: &[u8]) -> usize {
    children[1..].partition_point(|child| child.first[..] <= *name)
}
