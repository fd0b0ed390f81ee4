//! What was acknowledged is there after a restart, whatever is in the checkpoint and what is in the log.

use std::sync::Arc;

use shoal_cluster::Replica;
use shoal_kv::{Command, CompactionRequest, Outcome};
use shoal_store_files::wear::Cause;

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

/// Bytes of segments in a member's log.
fn log_bytes(cluster: &Cluster, name: &str) -> u64 {
    let files = std::fs::read_dir(cluster.directory(name).join("log")).expect("it has a log");
    let segments =
        files.map(|file| file.expect("it can be listed")).filter(|file| file.file_name().to_string_lossy().starts_with("segment-"));
    // One may be let go of between the two calls.
    segments.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Small entries fill a block of the log each, so that it grows much faster than what is in it. It must not grow for ever, nor have new files made
/// where old ones could be written again, also when each life of the member is short.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_small_entries_stays_small_and_its_files_are_used_again() {
    const SEGMENT: u64 = 64 << 10;
    // Two segments hold so much: of such small ones, a third is their header, their mark and the reserve.
    const FILLED: u64 = 80 << 10;
    // Two that are kept, two until the next checkpoint, one of which a part is not needed any more, two that are filled meanwhile, the one in use.
    const MOST: u64 = 8 * SEGMENT;
    const LIVES: u64 = 12;
    let tune: Tune = Arc::new(|config| {
        config.log_bytes = FILLED;
        config.storage.log.segment_bytes = SEGMENT as u32;
    });
    let mut cluster = Cluster::start_with(1, tune, None).await;
    let (mut entries, mut zeros) = (0, 0);
    for _ in 0..LIVES {
        cluster.leader().await;
        let node = cluster.node("n1");
        for number in 0..50 {
            put(&node, &format!("k{number}"), "small").await;
            if number % 10 == 9 {
                until(&node, "log that is small again", |_| log_bytes(&cluster, "n1") <= MOST).await;
            }
        }
        for (cause, written) in node.metrics().written {
            match cause {
                Cause::Entries => entries += written.bytes,
                Cause::Preallocation => zeros += written.bytes,
                _ => {}
            }
        }
        drop(node);
        cluster.stop_node("n1").await;
        cluster.start_node("n1").await;
    }
    assert!(entries > LIVES * 3 * SEGMENT, "small entries fill it: {entries} bytes");
    assert!(zeros * 2 < entries, "{zeros} bytes of new files for {entries} of entries");
    cluster.shutdown().await;
}
