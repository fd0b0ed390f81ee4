//! A watcher is told of every revision once, in order; all watchers, on whatever node, are told the same; and what a client was told to be
//! written is among it. Progress is never ahead of the events.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use bytes::Bytes;
use shoal_cluster::Replica;
use shoal_kv::watch::{NO_WATCH_ID, WatchCreateRequest, WatchResponse};

use crate::{
    clients,
    history::{Answer, Operation},
    world::World,
};

/// Bytes of responses taken at once. Small, so that a watcher falls behind.
const BUDGET_BYTES: usize = 2000;

/// What happened at each revision, as whoever heard of it first was told.
#[derive(Debug, Default)]
pub(crate) struct Events(RefCell<BTreeMap<i64, Vec<String>>>);

/// Watches everything through one node, from where the watch before ended, until the simulation is over.
pub(crate) async fn watch(world: Rc<World>, events: Rc<Events>, number: usize) {
    // An empty store is at revision 1.
    let mut next = 2;
    while !world.over.get() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let Some((node, life)) = world.node(number) else { continue };
        let Some(stream) = node.watches().open() else { continue };
        let all = Bytes::from_static(b"\0");
        stream.create(&WatchCreateRequest { key: all.clone(), range_end: all, start_revision: next, ..WatchCreateRequest::default() });
        'life: while world.lives(number, life) && !world.over.get() {
            if world.below(3) == 0 {
                stream.request_progress();
            }
            let polled = stream.poll(BUDGET_BYTES);
            for response in polled.responses {
                match response {
                    WatchResponse::Events { events: told, .. } => {
                        let mut revisions: BTreeMap<i64, Vec<String>> = BTreeMap::new();
                        for event in &told {
                            let event = event.event();
                            revisions.entry(event.kv.mod_revision).or_default().push(format!("{:?} {:?}", event.kind, event.kv));
                        }
                        for (revision, told) in revisions {
                            if revision != next {
                                world.violate(format!("a watcher on n{number} is told of revision {revision} instead of {next}"));
                            }
                            next = revision + 1;
                            let first = events.0.borrow_mut().entry(revision).or_insert_with(|| told.clone()).clone();
                            if first != told {
                                world.violate(format!("n{number} says of revision {revision} {told:?}, another node {first:?}"));
                            }
                        }
                    }
                    WatchResponse::Progress { revision, watch_id } => {
                        let whose = if watch_id == NO_WATCH_ID { "all watchers" } else { "a watcher" };
                        if revision >= next {
                            world.violate(format!("n{number} tells {whose} of progress to {revision} before the events of {next}"));
                        }
                    }
                    WatchResponse::Compacted { compact_revision, .. } => {
                        if compact_revision < next {
                            world.violate(format!(
                                "revision {next} is said to be forgotten on n{number} with those below {compact_revision}"
                            ));
                        }
                        next = compact_revision;
                        break 'life;
                    }
                    WatchResponse::Created { .. } => {}
                    WatchResponse::Refused { .. } | WatchResponse::Canceled { .. } => break 'life,
                }
            }
            // A client that is now and then busy with something else.
            let pause = if world.below(30) == 0 { world.between(100, 1500) } else { Duration::from_millis(20) };
            tokio::time::sleep(pause).await;
        }
    }
}

/// Everything that clients were told to be written was told to watchers.
///
/// # Errors
/// What is not there, or something else is in its place.
pub(crate) fn check(world: &World, events: &Events) -> Result<(), String> {
    let events = events.0.borrow();
    for call in world.history.calls() {
        let Some((_, Answer::Written(revision))) = call.answered else { continue };
        // Nobody may have watched while it was compacted.
        let Some(told) = events.get(&revision) else { continue };
        let key = format!("{:?}", clients::key(call.key));
        let fits = match call.operation {
            Operation::Put(value) | Operation::Swap(_, value) => {
                told.iter().any(|event| event.starts_with("Put") && event.contains(&key) && event.contains(&format!("{value:020}")))
            }
            Operation::Delete => told.iter().any(|event| event.starts_with("Delete") && event.contains(&key)),
            Operation::Get => true,
        };
        if !fits {
            return Err(format!(
                "{:?} of {key} was acknowledged at revision {revision}, where watchers were told of {told:?}",
                call.operation
            ));
        }
    }
    Ok(())
}
