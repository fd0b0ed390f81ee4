//! There is at most one leader in a term, and what a node has once shown does not become unseen while it lives: its term and its revision only
//! go up.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use shoal_cluster::Replica;

use crate::world::World;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(10);

/// Looks until the simulation is over.
pub(crate) async fn watch(world: Rc<World>) {
    let leaders: RefCell<BTreeMap<u64, usize>> = RefCell::default();
    let mut shown: BTreeMap<(usize, u64), (u64, i64)> = BTreeMap::new();
    while !world.over.get() {
        tokio::time::sleep(LOOK).await;
        for number in world.running() {
            let Some((node, life)) = world.node(number) else { continue };
            let now = *node.leadership().borrow();
            let revision = node.store().revision();
            if now.is_self {
                let leader = *leaders.borrow_mut().entry(now.term).or_insert(number);
                if leader != number {
                    world.violate(format!("n{leader} and n{number} both lead in term {}", now.term));
                }
            }
            let before = shown.insert((number, life), (now.term, revision)).unwrap_or((0, 0));
            if now.term < before.0 || revision < before.1 {
                world.violate(format!("n{number} went back from term {}, revision {} to {}, {revision}", before.0, before.1, now.term));
            }
        }
    }
}
