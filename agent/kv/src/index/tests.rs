use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::event::Revision;

/// So narrow that a few keys make a tree of several levels.
type Narrow = Index<4>;

fn name(number: u8) -> Bytes {
    Bytes::from(format!("{number:03}"))
}

/// What becomes of one key at one revision.
#[derive(Debug, Clone, Copy)]
enum Step {
    Toggle(u8),
    Compact,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![40 => any::<u8>().prop_map(Step::Toggle), 1 => Just(Step::Compact)];
    prop::collection::vec(step, 1..400)
}

/// A tree, and for every revision the keys that exist at it.
struct Fixture {
    keys: Keys,
    index: Narrow,
    ids: BTreeMap<Bytes, KeyId>,
    alive: Vec<Vec<Bytes>>,
    floor: i64,
}

impl Fixture {
    fn run(steps: &[Step]) -> Self {
        let mut fixture = Self { keys: Keys::default(), index: Narrow::default(), ids: BTreeMap::new(), alive: vec![Vec::new()], floor: 0 };
        for &step in steps {
            match step {
                Step::Toggle(number) => fixture.toggle(name(number)),
                Step::Compact => fixture.compact(),
            }
        }
        fixture
    }

    fn toggle(&mut self, name: Bytes) {
        let mut alive = self.alive.last().unwrap().clone();
        let main = self.alive.len() as i64;
        let at = Revision { main, sub: 0 };
        let born = Version { at, create_revision: main, version: 1, lease: 0, value: Bytes::new() };
        match alive.binary_search(&name) {
            Ok(place) => {
                alive.remove(place);
                self.keys.get_mut(self.ids[&name]).push(Version::deletion(at));
                self.index.change(&name, main, false);
            }
            Err(place) => {
                alive.insert(place, name.clone());
                if let Some(&id) = self.ids.get(&name) {
                    self.keys.get_mut(id).push(born);
                    self.index.change(&name, main, true);
                } else {
                    let id = self.keys.add(Key::new(&name, born));
                    self.index.insert(&self.keys, id, main, self.floor);
                    self.ids.insert(name, id);
                }
            }
        }
        self.alive.push(alive);
    }

    /// Forgets everything but the newest revision.
    fn compact(&mut self) {
        self.floor = self.newest();
        for (name, id) in std::mem::take(&mut self.ids) {
            self.index.trim(&name, self.floor);
            let key = self.keys.get_mut(id);
            while key.pop_below(key.latest().at).is_some() {}
            if key.latest().is_deletion() {
                self.index.remove(&self.keys, id, self.floor);
                self.keys.remove(id);
            } else {
                self.ids.insert(name, id);
            }
        }
    }

    fn newest(&self) -> i64 {
        self.alive.len() as i64 - 1
    }

    fn check(&self, index: &Narrow, range: &KeyRange, at: i64) {
        let expected: Vec<&Bytes> = self.alive[usize::try_from(at).unwrap()].iter().filter(|name| range.contains(name)).collect();
        assert_eq!(index.count(&self.keys, range, at), expected.len() as u64, "count of {range:?} at {at}");
        let mut seen = Vec::new();
        index.visit(&self.keys, range, at, |_, key, version| {
            assert!(version.at.main <= at);
            seen.push(&key.name);
            if seen.len() == 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(seen, expected[..expected.len().min(20)], "page of {range:?} at {at}");
    }
}

fn height(node: &Node, width: usize) -> usize {
    match node {
        Node::Leaf(entries) => {
            assert!(entries.len() <= width, "no leaf is wider than it may be");
            1
        }
        Node::Inner(children) => {
            assert!(children.len() <= width, "no node is wider than it may be");
            let heights: Vec<usize> = children.iter().map(|child| height(&child.node, width)).collect();
            assert!(heights.windows(2).all(|pair| pair[0] == pair[1]), "all leaves are on the same level");
            heights[0] + 1
        }
    }
}

proptest! {
    #[test]
    fn counts_and_pages_are_right_at_every_revision_since_the_compaction(
        steps in steps(),
        queries in prop::collection::vec((any::<u8>(), any::<u8>(), any::<prop::sample::Index>()), 20),
    ) {
        let fixture = Fixture::run(&steps);
        let sorted: Vec<KeyId> = fixture.ids.values().copied().collect();
        let rebuilt = Narrow::build(&fixture.keys, &sorted, fixture.floor);
        height(&fixture.index.root, 4);
        height(&rebuilt.root, 4);
        for (a, b, at) in queries {
            let at = fixture.floor + at.index(usize::try_from(fixture.newest() - fixture.floor).unwrap() + 1) as i64;
            for index in [&fixture.index, &rebuilt] {
                fixture.check(index, &KeyRange::Range { start: name(a), end: name(b) }, at);
                fixture.check(index, &KeyRange::From(name(a)), at);
                fixture.check(index, &KeyRange::Key(name(a)), at);
            }
        }
        for (name, &id) in &fixture.ids {
            prop_assert_eq!(fixture.index.find(&fixture.keys, name), Some(id));
        }
    }
}

#[test]
fn a_tree_that_loses_its_keys_loses_its_height() {
    let mut fixture = Fixture::run(&(0..=250).map(Step::Toggle).collect::<Vec<_>>());
    assert!(height(&fixture.index.root, 4) >= 4);
    (0..=248).for_each(|number| fixture.toggle(name(number)));
    fixture.compact();
    assert_eq!(height(&fixture.index.root, 4), 1);
    fixture.check(&fixture.index, &KeyRange::From(Bytes::new()), fixture.newest());
}
