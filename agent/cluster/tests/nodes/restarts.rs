//! What was acknowledged is there after a restart, whatever is in the checkpoint and what is in the log.

use std::sync::Arc;

use shoal_cluster::Replica;
use shoal_kv::{Command, CompactionRequest, Outcome};

use crate::cluster::{Cluster, Tune, bytes, get, local, put, until, within};

/// Checkpoints after every few entries.
fn frequent_checkpoints() -> Tune {
    Arc::new(|config| {
        config.checkpoint_bytes = 4 << 10;
        config.kept_log_bytes = 8 << 10;
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_away_catches_up_from_the_log() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader().await;
    let away = cluster.followers().await[0].clone();
    put(&cluster.node(&away), "before", "1").await;
    cluster.stop_node(&away).await;
    let leader = cluster.leader().await;
    for number in 0..50 {
        put(&cluster.node(&leader), &format!("k{number}"), "2").await;
    }
    let node = cluster.start_node(&away).await;
    until(&node, "catching up", |node| local(node, "k49").is_some()).await;
    assert_eq!(local(&node, "before"), Some(bytes("1")));
    assert_eq!(node.metrics().snapshots_installed, 0);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_cluster_comes_back() {
    let mut cluster = Cluster::start_with(3, frequent_checkpoints(), None).await;
    let leader = cluster.leader().await;
    for number in 0..100 {
        put(&cluster.node(&leader), &format!("k{}", number % 7), &format!("{number}-{}", "x".repeat(200))).await;
    }
    let compact = Command::Compact(CompactionRequest { revision: 90 });
    let compacted = within("compaction", cluster.node(&leader).propose(compact)).await;
    assert!(matches!(compacted, Ok(Outcome::Compact(Ok(_)))), "{compacted:?}");
    within("physical compaction", cluster.node(&leader).physical_compaction()).await.expect("it runs");
    let before = cluster.node(&leader).hash_kv(0).await.expect("it is the newest revision");
    cluster.shutdown().await;

    for name in ["n1", "n2", "n3"] {
        cluster.start_node(name).await;
    }
    cluster.leader().await;
    for name in cluster.running() {
        let node = cluster.node(&name);
        within("barrier", node.read_barrier()).await.expect("there is a leader");
        assert_eq!(node.hash_kv(0).await, Ok(before), "{name}");
        assert_eq!(node.members().len(), 3);
        assert!(node.members().iter().all(|member| !member.name.is_empty()), "names are part of the state");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_member_replays_its_log_behind_the_checkpoint() {
    let mut cluster = Cluster::start_with(1, frequent_checkpoints(), None).await;
    cluster.leader().await;
    let node = cluster.node("n1");
    for number in 0..200 {
        put(&node, "k", &format!("{number}-{}", "x".repeat(100))).await;
    }
    until(&node, "purge", |node| node.purged_index().is_some()).await;
    let before = node.hash_kv(0).await.expect("it is the newest revision");
    drop(node);
    cluster.stop_node("n1").await;
    let node = cluster.start_node("n1").await;
    cluster.leader().await;
    assert!(get(&node, "k").await.expect("it was put").starts_with(b"199-"));
    assert_eq!(node.hash_kv(0).await, Ok(before));
    cluster.shutdown().await;
}
