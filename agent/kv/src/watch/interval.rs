//! Which ranges contain a key.

use bytes::Bytes;

/// A set of values for each range of keys: a treap ordered by where the ranges begin, of which every node knows how far the ranges below it reach. A
/// look-up costs O(log n) for each range found, whatever the number of ranges.
///
/// Equal ranges share a node, so a thousand watchers of one prefix are one range.
#[derive(Debug)]
pub(super) struct Intervals<T> {
    root: Link<T>,
    /// Where the next priority comes from. They need not be secret, only unrelated to the order of the ranges.
    seed: u64,
}

type Link<T> = Option<Box<Node<T>>>;

#[derive(Debug)]
struct Node<T> {
    range: Span,
    /// The furthest end of all ranges from here downwards.
    reach: End,
    priority: u64,
    value: T,
    left: Link<T>,
    right: Link<T>,
}

/// `[start, end)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) start: Bytes,
    pub(super) end: End,
}

/// The end of a range. Unbounded is the greatest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Before(Bytes),
    Unbounded,
}

impl End {
    fn is_above(&self, key: &[u8]) -> bool {
        match self {
            Self::Before(end) => key < &end[..],
            Self::Unbounded => true,
        }
    }
}

impl<T> Default for Intervals<T> {
    fn default() -> Self {
        Self { root: None, seed: 0 }
    }
}

impl<T: Default> Intervals<T> {
    /// The value of a range, a new one if there was none.
    pub(super) fn entry(&mut self, range: Span, update: impl FnOnce(&mut T)) {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        insert(&mut self.root, range, scatter(self.seed), update);
    }

    /// Updates the value of a range, and removes the range if `update` says so. Nothing happens if there is no such range.
    pub(super) fn remove_if(&mut self, range: &Span, update: impl FnOnce(&mut T) -> bool) {
        remove_if(&mut self.root, range, update);
    }

    /// Visits the values of all ranges that contain a key.
    pub(super) fn visit<'a>(&'a self, key: &[u8], visit: &mut impl FnMut(&'a T)) {
        visit_containing(&self.root, key, visit);
    }
}

/// The finalizer of SplitMix64: neighbouring numbers become unrelated ones.
const fn scatter(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl<T> Node<T> {
    fn measure(&mut self) {
        let below = [&self.left, &self.right].into_iter().flatten().map(|node| &node.reach).max();
        self.reach = below.map_or(&self.range.end, |reach| reach.max(&self.range.end)).clone();
    }
}

fn insert<T: Default>(link: &mut Link<T>, range: Span, priority: u64, update: impl FnOnce(&mut T)) {
    let Some(node) = link else {
        let mut value = T::default();
        update(&mut value);
        let reach = range.end.clone();
        *link = Some(Box::new(Node { range, reach, priority, value, left: None, right: None }));
        return;
    };
    match range.cmp(&node.range) {
        std::cmp::Ordering::Equal => return update(&mut node.value),
        std::cmp::Ordering::Less => insert(&mut node.left, range, priority, update),
        std::cmp::Ordering::Greater => insert(&mut node.right, range, priority, update),
    }
    // The child that has grown comes up if its priority is higher.
    let priority = node.priority;
    let rises = |child: &Link<T>| child.as_ref().is_some_and(|child| child.priority > priority);
    if rises(&node.left) {
        rotate(link, |node| &mut node.left, |node| &mut node.right);
    } else if rises(&node.right) {
        rotate(link, |node| &mut node.right, |node| &mut node.left);
    } else {
        node.measure();
    }
}

/// The child on side `near` takes its parent's place, and hands over what it has on side `far`.
fn rotate<T>(link: &mut Link<T>, near: impl Fn(&mut Node<T>) -> &mut Link<T>, far: impl Fn(&mut Node<T>) -> &mut Link<T>) {
    let mut parent = link.take().expect("a link with a child");
    let mut child = near(&mut parent).take().expect("the child that rises");
    *near(&mut parent) = far(&mut child).take();
    parent.measure();
    *far(&mut child) = Some(parent);
    child.measure();
    *link = Some(child);
}

fn remove_if<T>(link: &mut Link<T>, range: &Span, update: impl FnOnce(&mut T) -> bool) {
    let Some(node) = link else { return };
    match range.cmp(&node.range) {
        std::cmp::Ordering::Less => remove_if(&mut node.left, range, update),
        std::cmp::Ordering::Greater => remove_if(&mut node.right, range, update),
        std::cmp::Ordering::Equal => {
            if update(&mut node.value) {
                let (left, right) = (node.left.take(), node.right.take());
                *link = join(left, right);
                return;
            }
        }
    }
    node.measure();
}

/// One treap of two, of which all ranges of one come before those of the other.
fn join<T>(left: Link<T>, right: Link<T>) -> Link<T> {
    match (left, right) {
        (None, one) | (one, None) => one,
        (Some(mut left), Some(mut right)) => Some(if left.priority > right.priority {
            left.right = join(left.right.take(), Some(right));
            left.measure();
            left
        } else {
            right.left = join(Some(left), right.left.take());
            right.measure();
            right
        }),
    }
}

fn visit_containing<'a, T>(link: &'a Link<T>, key: &[u8], visit: &mut impl FnMut(&'a T)) {
    let Some(node) = link else { return };
    if !node.reach.is_above(key) {
        return;
    }
    visit_containing(&node.left, key, visit);
    if &node.range.start[..] <= key {
        if node.range.end.is_above(key) {
            visit(&node.value);
        }
        visit_containing(&node.right, key, visit);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span((start, end): (u8, Option<u8>)) -> Span {
        let key = |number: u8| Bytes::from(vec![number]);
        Span { start: key(start), end: end.map_or(End::Unbounded, |end| End::Before(key(end))) }
    }

    fn found(intervals: &Intervals<u32>, key: u8) -> Vec<u32> {
        let mut found = Vec::new();
        intervals.visit(&[key], &mut |&value| found.push(value));
        found.sort_unstable();
        found
    }

    fn depth<T>(link: &Link<T>) -> usize {
        link.as_ref().map_or(0, |node| 1 + depth(&node.left).max(depth(&node.right)))
    }

    proptest! {
        #[test]
        fn exactly_the_ranges_around_a_key_are_found(
            ranges in prop::collection::vec((any::<u8>(), any::<Option<u8>>()), 0..60),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let mut intervals = Intervals::default();
            let mut expected = std::collections::BTreeMap::new();
            for (number, &range) in (1..).zip(&ranges) {
                intervals.entry(span(range), |value| *value = number);
                expected.insert(range, number);
            }
            for index in removed {
                if let Some(range) = ranges.get(index.index(ranges.len().max(1))) {
                    expected.remove(range);
                    intervals.remove_if(&span(*range), |_| true);
                }
            }
            for key in 0..=u8::MAX {
                let mut around: Vec<u32> = expected
                    .iter()
                    .filter(|((start, end), _)| *start <= key && end.is_none_or(|end| key < end))
                    .map(|(_, &value)| value)
                    .collect();
                around.sort_unstable();
                prop_assert_eq!(found(&intervals, key), around);
            }
            prop_assert_eq!(intervals.root.is_none(), expected.is_empty());
        }
    }

    #[test]
    fn ranges_in_order_make_no_deep_tree() {
        let mut intervals: Intervals<u32> = Intervals::default();
        for number in 0..10_000_u32 {
            let start = Bytes::copy_from_slice(&number.to_be_bytes());
            intervals.entry(Span { start, end: End::Unbounded }, |value| *value = number);
        }
        assert!(depth(&intervals.root) < 60, "{}", depth(&intervals.root));
    }

    #[test]
    fn a_range_stays_until_its_value_is_given_up() {
        let mut intervals: Intervals<u32> = Intervals::default();
        let range = span((1, Some(5)));
        intervals.entry(range.clone(), |value| *value += 1);
        intervals.entry(range.clone(), |value| *value += 1);
        intervals.remove_if(&range, |value| {
            *value -= 1;
            *value == 0
        });
        assert_eq!(found(&intervals, 3), [1]);
        intervals.remove_if(&range, |value| {
            *value -= 1;
            *value == 0
        });
        assert!(intervals.root.is_none());
    }
}
