//! A checkpoint is whole whatever becomes of those who wait for it.

use std::task::Poll;

use futures_util::poll;
use shoal_kv::{Command, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, watch::HubLimits};
use shoal_store_files::{checkpoint::CheckpointOptions, disk::sim::SimDisk, wear::Wear};

use super::*;
use crate::{raft::log_id, replica::Identity};

const IDENTITY: Identity = Identity { cluster: 1, member: 2 };

fn open(disk: &SimDisk) -> Checkpoint {
    Checkpoint::open(Arc::new(disk.clone()), "/checkpoint".as_ref(), CheckpointOptions::default(), Arc::new(Wear::default()))
        .expect("it is there and whole")
}

fn new(disk: &SimDisk) -> Arc<Checkpointer> {
    let checkpoint =
        Checkpoint::create(Arc::new(disk.clone()), "/checkpoint".as_ref(), CheckpointOptions::default(), Arc::new(Wear::default()))
            .expect("the disk is empty");
    Checkpointer::create(&checkpoint, IDENTITY).expect("it takes an identity");
    let state = Arc::new(State::new(Replicated::new(Store::new()), 1, HubLimits::default()));
    Arc::new(Checkpointer::new(checkpoint, state, IDENTITY, 0).expect("it is empty"))
}

fn apply(checkpointer: &Checkpointer, index: u64, command: Command) {
    checkpointer.state.apply(|applying| {
        applying.command(command);
        applying.replicated.applied = Some(log_id(1, index));
    });
}

/// Somebody asks for a checkpoint and gives up after so many polls. What is applied next is in the checkpoint after it, and nothing else.
async fn given_up_after(polls: usize) -> bool {
    let disk = SimDisk::new(0);
    let checkpointer = new(&disk);
    let grant = LeaseGrantRequest { id: 7, ttl: 60 };
    apply(&checkpointer, 1, Command::LeaseGrant(grant));
    apply(&checkpointer, 2, Command::Put(PutRequest { key: "k".into(), value: "v".into(), lease: 7, ..PutRequest::default() }));
    let is_over = {
        let mut writing = std::pin::pin!(checkpointer.write());
        let mut is_over = false;
        for _ in 0..polls {
            is_over = matches!(poll!(&mut writing), Poll::Ready(_));
            if is_over {
                break;
            }
            tokio::task::yield_now().await;
        }
        is_over
    };
    // What the checkpoint's thread was given is on the medium when it has nothing left to do.
    while checkpointer.checkpoint.pending() > 0 {
        std::thread::yield_now();
    }
    apply(&checkpointer, 3, Command::LeaseRevoke(LeaseRevokeRequest { id: 7 }));
    checkpointer.write().await.expect("the disk takes it");
    let expected = checkpointer.state.read().store.hash_kv(0).expect("it is the newest revision");
    checkpointer.close();
    drop(checkpointer);
    let restored = Checkpointer::restore(&open(&disk), IDENTITY).expect("it holds a state");
    assert_eq!(restored.applied, Some(log_id(1, 3)));
    assert_eq!(restored.store.leases().collect::<Vec<_>>(), [], "the lease was revoked; given up after {polls} polls");
    assert_eq!(restored.store.hash_kv(0), Ok(expected), "given up after {polls} polls");
    is_over
}

#[tokio::test]
async fn a_checkpoint_that_nobody_waits_for_any_more_leaves_nothing_behind() {
    for polls in 0..1000 {
        if given_up_after(polls).await {
            return;
        }
    }
    panic!("it is never written");
}
