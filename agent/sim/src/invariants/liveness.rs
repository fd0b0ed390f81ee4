//! Once nothing goes wrong any more, every member comes back, and every member's clients can write and read.

use std::time::Duration;

use shoal_cluster::Replica;

use crate::{clients, history::Operation, world::World};

/// How long that may take: the longest wait between two attempts to connect, some elections, a snapshot.
const WITHIN: Duration = Duration::from_secs(60);

/// Waits until it is so.
///
/// # Errors
/// What is missing.
pub(crate) async fn demand(world: &World) -> Result<(), String> {
    let end = tokio::time::Instant::now() + WITHIN;
    let members = || (0..world.count()).filter(|&number| !world.slots.borrow()[number].removed).collect::<Vec<_>>();
    for number in members() {
        loop {
            let value = world.random() >> 1;
            let key = world.below(clients::KEYS);
            let mut served = clients::perform(world, number, key, Operation::Put(value)).await.is_some();
            for key in 0..clients::KEYS {
                served = served && clients::perform(world, number, key, Operation::Get).await.is_some();
            }
            // One that was damaged is replaced by another.
            if served || world.slots.borrow()[number].removed {
                break;
            }
            if tokio::time::Instant::now() > end {
                let refusal = world.slots.borrow()[number].refusal.clone();
                let nodes = world.running().into_iter().filter_map(|number| Some((number, world.node(number)?.0)));
                let nodes: Vec<_> = nodes.map(|(number, node)| format!("n{number} {:?} {:?}", node.status(), node.members())).collect();
                return Err(format!("n{number} serves nobody {WITHIN:?} after the last fault: {refusal:?}\n{}", nodes.join("\n")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}
