//! Bits that flip in a raft log while its node is down, and what an operator does then.
//!
//! What was durable is damaged: the node must say so and not start, or nothing of it is missing. It must never go on without what it has
//! promised. Whoever runs the cluster removes such a node and adds another in its place.

use std::{path::Path, rc::Rc, sync::Arc, time::Duration};

use shoal_cluster::{Identity, MembershipError, Replica};
use shoal_store_files::{
    disk::sim::SimDisk,
    log::{Entry, Head, LogFiles, LogOptions, OpenLogError},
    wear::Wear,
};

use crate::{
    network::Network,
    world::{DIRECTORY, World},
};

/// How often it is looked whether a node has to be replaced, and tried again to do so.
const LOOK: Duration = Duration::from_millis(500);

/// What a log holds.
type Contents = (Head, Vec<Entry>);

/// Opens a node's log as the node does, reads all of it, and leaves it as if the process was killed then.
fn read(disk: &SimDisk, options: &LogOptions) -> Result<Contents, OpenLogError> {
    let options = LogOptions { background: false, ..options.clone() };
    let directory = Path::new(DIRECTORY).join("log");
    let (files, _) = LogFiles::open(Arc::new(disk.clone()), &directory, options, Arc::new(Wear::default()), &mut |_| {})?;
    let head = files.head();
    let first = head.purged.map_or(0, |purged| purged.index + 1);
    let entries = files.read(first..head.last.map_or(first, |last| last.index + 1), usize::MAX);
    let entries = entries.map_err(|error| OpenLogError::Io { action: "read", path: directory, source: std::io::Error::other(error) })?;
    disk.kill();
    Ok((head, entries))
}

/// Takes a node down and flips a bit in its log, unless another one is damaged already: a cluster bears the loss of one replica at a time.
pub(crate) async fn strike(world: &World, number: usize) {
    let spared = |world: &World| {
        let slots = world.slots.borrow();
        slots[number].removed || slots.iter().any(|slot| slot.lost && !slot.removed)
    };
    if spared(world) {
        return;
    }
    world.note(format!("n{number} is killed"));
    world.crash(number, false).await;
    flip(world, number);
}

fn flip(world: &World, number: usize) {
    let (disk, options) = (world.slots.borrow()[number].disk.clone(), world.log_options());
    // Opening makes what is there durable and says so on the medium. Without that, a last batch that is damaged looks like one that was never
    // finished, as the format's documentation explains.
    let Ok(before) = read(&disk, &options) else { return };
    let segments: Vec<_> = disk.paths().into_iter().filter(|path| path.to_string_lossy().contains("/segment-")).collect();
    if segments.is_empty() {
        return;
    }
    let path = &segments[world.below(segments.len())];
    let contents = disk.contents(path);
    // Most of a segment is padding, and not used yet.
    let written: Vec<usize> = contents.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
    let anywhere = written.is_empty() || world.below(4) == 0;
    let byte = if anywhere { world.below(contents.len()) } else { written[world.below(written.len())] };
    disk.flip(path, byte, world.below(8) as u8);
    world.note(format!("a bit of byte {byte} of n{number}'s {} flips", path.display()));
    match read(&disk.fork(world.random()), &options) {
        Ok(after) if after == before => {}
        Ok((after, entries)) => world.violate(format!(
            "n{number} goes on without a word with a damaged log: {:?} and {} entries became {after:?} and {} entries",
            before.0,
            before.1.len(),
            entries.len()
        )),
        Err(error @ (OpenLogError::Damaged { .. } | OpenLogError::Unreadable { .. })) => {
            world.note(format!("n{number} has to be replaced: {error}"));
            world.slots.borrow_mut()[number].lost = true;
        }
        Err(error) => world.violate(format!("n{number} takes a flipped bit for something else: {error}")),
    }
}

/// Replaces nodes that are damaged, until the world is over.
pub(crate) async fn replace(world: Rc<World>) {
    while !world.over.get() {
        tokio::time::sleep(LOOK).await;
        let lost = world.slots.borrow().iter().position(|slot| slot.lost && !slot.removed);
        let Some(lost) = lost else { continue };
        let id = world.slots.borrow()[lost].identity.member;
        if !remove(&world, id).await {
            continue;
        }
        world.note(format!("n{lost} is removed, for it is damaged"));
        let number = world.add_slot();
        let identity = add(&world, number).await;
        let mut slots = world.slots.borrow_mut();
        slots[lost].removed = true;
        if let Some(identity) = identity {
            slots[number].identity = identity;
            slots[number].held = false;
        } else {
            slots[number].removed = true;
        }
    }
}

/// Any node that runs.
fn somebody(world: &World) -> Option<Arc<shoal_cluster::Node>> {
    let running = world.running();
    (!running.is_empty()).then(|| world.node(running[world.below(running.len())]).map(|(node, _)| node)).flatten()
}

async fn remove(world: &World, id: u64) -> bool {
    let Some(node) = somebody(world) else { return false };
    matches!(node.member_remove(id).await, Ok(_) | Err(MembershipError::MemberNotFound))
}

/// Adds a member that votes; who it is, unless the simulation is over before.
async fn add(world: &World, number: usize) -> Option<Identity> {
    let url = Network::url(number);
    while !world.over.get() {
        tokio::time::sleep(LOOK).await;
        let Some(node) = somebody(world) else { continue };
        let cluster = node.identity().cluster;
        match node.member_add(vec![url.clone()], false).await {
            Ok(change) => {
                world.note(format!("n{number} is added in its place"));
                return Some(Identity { cluster, member: change.id });
            }
            // It was added before, although that was not answered.
            Err(MembershipError::PeerUrlExists) => {
                let known = node.members().into_iter().find(|member| member.peer_urls.contains(&url));
                if let Some(member) = known {
                    return Some(Identity { cluster, member: member.id });
                }
            }
            Err(_) => {}
        }
    }
    None
}
