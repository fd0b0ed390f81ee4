//! A member whose entries are gone from the leader's log is sent a snapshot.

use std::sync::Arc;

use shoal_cluster::{Node, Replica};
use shoal_kv::{Command, CompactionRequest, LeaseGrantRequest, Outcome, PutRequest};

use crate::cluster::{Cluster, Tune, bytes, local, put, until, within};

fn short_logs() -> Tune {
    Arc::new(|config| {
        config.checkpoint_bytes = 16 << 10;
        // What comes after the checkpoint that is sent stays until there are two newer ones: nobody needs a second one.
        config.kept_log_bytes = 16 << 10;
    })
}

/// Writes until the leader has purged what a member that is away would need.
async fn write_beyond(leader: &Node, index: u64) {
    let mut number = 0;
    while leader.purged_index().is_none_or(|purged| purged < index) {
        put(leader, &format!("k{}", number % 300), &format!("{number}-{}", "x".repeat(500))).await;
        number += 1;
        assert!(number < 100_000, "the log is purged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_away_too_long_gets_a_snapshot() {
    let mut cluster = Cluster::start_with(3, short_logs(), None).await;
    let away = {
        cluster.leader().await;
        cluster.followers().await[0].clone()
    };
    cluster.stop_node(&away).await;
    let leader = cluster.node(&cluster.leader().await);
    let grant = Command::LeaseGrant(LeaseGrantRequest { id: 7, ttl: 3600 });
    assert!(matches!(within("grant", leader.propose(grant)).await, Ok(Outcome::LeaseGrant(Ok(_)))));
    let leased = PutRequest { key: bytes("leased"), value: bytes("v"), lease: 7, ..PutRequest::default() };
    assert!(matches!(within("put", leader.propose(Command::Put(leased))).await, Ok(Outcome::Put(Ok(_)))));
    let revision = leader.store().revision();
    write_beyond(&leader, leader.status().raft_index + 200).await;
    let compact = Command::Compact(CompactionRequest { revision: revision + 5 });
    assert!(matches!(within("compaction", leader.propose(compact)).await, Ok(Outcome::Compact(Ok(_)))));

    let node = cluster.start_node(&away).await;
    put(&leader, "last", "1").await;
    until(&node, "catching up", |node| local(node, "last").is_some()).await;
    assert_eq!(node.metrics().snapshots_installed, 1);
    assert_eq!(node.store().lease(7, true), leader.store().lease(7, true));
    within("barrier", node.read_barrier()).await.expect("there is a leader");
    assert_eq!(node.hash_kv(0).await, leader.hash_kv(0).await);
    assert_eq!(node.members(), leader.members());

    // What it was sent is on its medium, too.
    drop(node);
    cluster.stop_node(&away).await;
    let node = cluster.start_node(&away).await;
    within("barrier", node.read_barrier()).await.expect("there is a leader");
    assert_eq!(node.metrics().snapshots_installed, 0);
    assert_eq!(node.hash_kv(0).await, leader.hash_kv(0).await);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_of_a_member_that_gets_a_snapshot_miss_nothing() {
    use shoal_kv::watch::{WatchCreateRequest, WatchResponse};

    let mut cluster = Cluster::start_with(3, short_logs(), None).await;
    cluster.leader().await;
    let away = cluster.followers().await[0].clone();
    let revision = put(&cluster.node(&away), "watched", "0").await;
    cluster.stop_node(&away).await;
    let leader = cluster.node(&cluster.leader().await);
    for number in 1..=3 {
        put(&leader, "watched", &number.to_string()).await;
    }
    write_beyond(&leader, leader.status().raft_index + 200).await;

    let node = cluster.start_node(&away).await;
    let stream = node.watches().open().expect("there are few");
    let create = WatchCreateRequest { key: bytes("watched"), start_revision: revision, ..WatchCreateRequest::default() };
    stream.create(&create);
    let values = within("events", async {
        let mut values = Vec::new();
        while values.len() < 4 {
            stream.ready().await;
            loop {
                let polled = stream.poll(1 << 20);
                for response in polled.responses {
                    if let WatchResponse::Events { events, .. } = response {
                        values.extend(events.iter().map(|event| event.event().kv.value.clone()));
                    }
                }
                if !polled.more {
                    break;
                }
            }
        }
        values
    })
    .await;
    assert_eq!(values, ["0", "1", "2", "3"].map(bytes));
    cluster.shutdown().await;
}
