//! What goes wrong: one fault after the other, some at the same time, until it is time to heal.

use std::{rc::Rc, time::Duration};

use shoal_cluster::{Ended, Replica};
use shoal_kv::{Command, CompactionRequest};
use shoal_store_files::disk::sim::Fault;

use crate::{
    network::{Network, Weather},
    rot,
    world::World,
};

/// How often it is looked whether a node has ended by itself.
const LOOK: Duration = Duration::from_millis(50);

/// What a node says of raft that panicked: openraft's own word for it.
const PANICKED: &str = "panicked";

/// Operations of a disk within which a fault that was set for it happens.
const FAULT_WITHIN: usize = 60;

/// Bytes of files added until a disk is full, at most.
const ROOM_BYTES: usize = 200 << 10;

/// Members that are added at the same time, at most.
const ADDED_MAX: usize = 1;

/// Does what can go wrong, at random, until the world heals.
pub(crate) async fn run(world: Rc<World>) {
    while !world.healed.get() {
        tokio::time::sleep(world.between(50, 1500)).await;
        if world.healed.get() {
            return;
        }
        let node = world.below(world.count());
        match world.below(15) {
            0..3 => crash(&world, node).await,
            3 => {
                // Everybody at once: what was acknowledged is on the media or nowhere.
                world.note("the power of all nodes goes");
                for node in 0..world.count() {
                    world.crash(node, true).await;
                }
            }
            4..6 => partition(&world, node).await,
            6 => one_way(&world, node).await,
            7 => {
                let weather = Weather { delay: world.between(1, 40), jitter: world.between(1, 100), loss_percent: world.below(8) };
                world.note(format!("the weather is {weather:?}"));
                world.network.set_weather(weather);
            }
            8 => {
                let other = world.below(world.count());
                world.note(format!("connections between n{node} and n{other} break"));
                world.network.reset(node, other);
            }
            9 => disk_fault(&world, node),
            10 => full_disk(&world, node).await,
            11 => compact(&world, node).await,
            12 => move_leader(&world, node).await,
            13 => rot::strike(&world, node).await,
            _ => churn(&world, node).await,
        }
    }
}

/// Starts again whoever has ended, after a while.
pub(crate) async fn restarts(world: Rc<World>) {
    while !world.over.get() {
        tokio::time::sleep(LOOK).await;
        for number in 0..world.count() {
            if let Some((node, life)) = world.node(number)
                && let Ok(why) = tokio::time::timeout(Duration::ZERO, node.ended()).await
                && world.lives(number, life)
            {
                world.note(format!("n{number} has ended: {why:?}"));
                match why {
                    Ended::Removed => world.slots.borrow_mut()[number].removed = true,
                    // Whatever a disk or a peer does, it is no reason for that. Raft panics, too, when it sees that another has forgotten what it
                    // said it had.
                    Ended::Failed(why) if why.contains(PANICKED) => world.violate(format!("n{number} has ended by itself: {why}")),
                    Ended::Failed(_) | Ended::Shutdown => {}
                }
                world.crash(number, false).await;
            }
            let may_start = {
                let slots = world.slots.borrow();
                slots[number].node.is_none() && !slots[number].held && !slots[number].removed
            };
            if may_start && (world.healed.get() || world.below(20) == 0) {
                world.start(number).await;
            }
        }
    }
}

async fn crash(world: &World, node: usize) {
    let power = world.below(3) > 0;
    world.note(format!("n{node} {}", if power { "loses power" } else { "is killed" }));
    world.crash(node, power).await;
    if world.below(3) == 0 {
        // Long enough for the others to go on without it, perhaps to purge what it needs.
        world.slots.borrow_mut()[node].held = true;
        tokio::time::sleep(world.between(500, 4000)).await;
        world.slots.borrow_mut()[node].held = false;
    }
}

async fn partition(world: &World, node: usize) {
    let side: Vec<bool> = (0..world.count()).map(|other| other == node || world.below(3) == 0).collect();
    world.note(format!("a partition: {side:?}"));
    let apart = |cut: bool| {
        for (one, is_one) in side.iter().enumerate() {
            for (other, is_other) in side.iter().enumerate() {
                if is_one != is_other {
                    world.network.set_cut(one, other, cut);
                }
            }
        }
    };
    apart(true);
    tokio::time::sleep(world.between(200, 5000)).await;
    apart(false);
    world.note("the partition ends");
}

async fn one_way(world: &World, node: usize) {
    world.note(format!("n{node} is not heard any more"));
    let others = 0..world.count();
    others.clone().for_each(|other| world.network.set_cut(node, other, true));
    tokio::time::sleep(world.between(200, 3000)).await;
    others.for_each(|other| world.network.set_cut(node, other, false));
    world.note(format!("n{node} is heard again"));
}

fn disk_fault(world: &World, node: usize) {
    let fault = if world.below(2) == 0 { Fault::Error } else { Fault::PowerCut };
    world.note(format!("n{node}'s disk will have {fault:?}"));
    let slots = world.slots.borrow();
    let disk = &slots[node].disk;
    disk.set_fault(Some((disk.operations() + 1 + world.below(FAULT_WITHIN) as u64, fault)));
}

async fn full_disk(world: &World, node: usize) {
    let disk = world.slots.borrow()[node].disk.clone();
    let used: usize = disk.paths().iter().map(|path| disk.contents(path).len()).sum();
    world.note(format!("n{node}'s disk is almost full"));
    disk.set_capacity(Some((used + world.below(ROOM_BYTES)) as u64));
    tokio::time::sleep(world.between(200, 4000)).await;
    disk.set_capacity(None);
    world.note(format!("n{node}'s disk has room"));
}

async fn compact(world: &World, node: usize) {
    let Some((node, _)) = world.node(node) else { return };
    let newest = node.store().revision();
    let revision = newest - world.below(20) as i64;
    world.note(format!("compaction at {revision}"));
    let _ = node.propose(Command::Compact(CompactionRequest { revision })).await;
}

async fn move_leader(world: &World, to: usize) {
    let id = world.slots.borrow()[to].identity.member;
    for number in world.running() {
        let Some((node, _)) = world.node(number) else { continue };
        let leads = node.leadership().borrow().is_self;
        if leads && number != to {
            world.note(format!("n{number} is to hand over to n{to}"));
            let _ = node.move_leader(id).await;
            return;
        }
    }
}

/// Adds a member, or removes one that was added.
async fn churn(world: &Rc<World>, through: usize) {
    let Some((node, _)) = world.node(through) else { return };
    let added: Vec<usize> = (0..world.count()).filter(|&number| world.slots.borrow()[number].can_go()).collect();
    if added.len() >= ADDED_MAX {
        let number = added[world.below(added.len())];
        let id = world.slots.borrow()[number].identity.member;
        world.note(format!("n{number} is to be removed"));
        match node.member_remove(id).await {
            Ok(_) => {
                world.note(format!("n{number} is removed"));
                world.crash(number, false).await;
                world.slots.borrow_mut()[number].removed = true;
            }
            Err(error) => world.note(format!("n{number} is perhaps not removed: {error}")),
        }
        return;
    }
    let number = world.add_slot();
    world.slots.borrow_mut()[number].passing = true;
    world.note(format!("n{number} is to be added"));
    match node.member_add(vec![Network::url(number)], world.below(2) == 0).await {
        Ok(change) => {
            world.note(format!("n{number} is added"));
            let mut slots = world.slots.borrow_mut();
            slots[number].identity = shoal_cluster::Identity { cluster: node.identity().cluster, member: change.id };
            slots[number].held = false;
        }
        Err(error) => {
            // It may have been added all the same; then it is a member that never comes.
            world.note(format!("n{number} is not added: {error}"));
            world.slots.borrow_mut()[number].removed = true;
        }
    }
}
