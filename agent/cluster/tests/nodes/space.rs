//! What grows has bounds, and what is refused is refused as etcd does.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use shoal_cluster::{NodeConfig, Replica, SNAPSHOT_ALIGNMENT_BYTES};
use shoal_kv::{Alarm, AlarmAction, AlarmRequest, Command, DeleteRangeRequest, Outcome, PutError, PutRequest};

use crate::{
    cluster::{Cluster, bytes, get, put, within},
    full_disk::FullDisk,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_takes_deletions_until_its_alarm_is_disarmed() {
    let mut cluster = Cluster::start_with(3, Arc::new(|config| config.quota_bytes = 20_000), None).await;
    cluster.leader().await;
    let node = cluster.node(&cluster.followers().await[0]);
    let large = |key: &str| Command::Put(PutRequest { key: bytes(key), value: vec![b'x'; 8_000].into(), ..PutRequest::default() });
    assert!(matches!(within("put", node.propose(large("a"))).await, Ok(Outcome::Put(Ok(_)))));
    assert!(matches!(within("put", node.propose(large("b"))).await, Ok(Outcome::Put(Ok(_)))));
    assert_eq!(within("put", node.propose(large("c"))).await, Ok(Outcome::Put(Err(PutError::NoSpace))));
    // The alarm is everybody's.
    let leader = cluster.node(&cluster.leader().await);
    within("barrier", leader.read_barrier()).await.expect("there is a leader");
    let member = node.identity().member;
    assert_eq!(leader.status().errors, [format!("memberID:{member} alarm:NOSPACE")]);
    let small = Command::Put(PutRequest { key: bytes("small"), ..PutRequest::default() });
    assert_eq!(within("put", leader.propose(small)).await, Ok(Outcome::Put(Err(PutError::NoSpace))));

    let delete = Command::DeleteRange(DeleteRangeRequest { key: bytes("a"), ..DeleteRangeRequest::default() });
    assert!(matches!(within("deletion", leader.propose(delete)).await, Ok(Outcome::DeleteRange(Ok(_)))));
    let disarm = AlarmRequest { action: AlarmAction::Deactivate, member, alarm: Alarm::NoSpace };
    assert!(matches!(within("alarm", leader.propose(Command::Alarm(disarm))).await, Ok(Outcome::Alarm(_))));
    put(&leader, "small", "v").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_aligned_and_whole() {
    let mut cluster = Cluster::start(1).await;
    cluster.leader().await;
    let node = cluster.node("n1");
    for number in 0..100 {
        put(&node, &format!("k{number}"), &"x".repeat(50_000)).await;
    }
    let mut stream = node.snapshot().await.expect("it can be read");
    let mut backup = Vec::new();
    while let Some(chunk) = within("chunk", stream.next()).await {
        backup.extend_from_slice(&chunk.expect("nothing is wrong"));
    }
    assert_eq!(backup.len() % SNAPSHOT_ALIGNMENT_BYTES, 0);
    // Whoever serves it adds this.
    let digest = Sha256::digest(&backup);
    backup.extend(digest);
    let summary = shoal_cluster::backup::verify(&backup[..]).expect("it is whole");
    assert_eq!((summary.revision, summary.versions), (101, 100));
    assert!(shoal_cluster::backup::verify(&backup[..backup.len() / 2]).is_err(), "half of it is no backup");
    let middle = backup.len() / 2;
    backup[middle] ^= 1;
    assert!(shoal_cluster::backup::verify(&backup[..]).is_err(), "a bit was flipped");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rewriting_the_file_changes_nothing_else() {
    let mut cluster = Cluster::start_with(1, Arc::new(|config| config.checkpoint_bytes = 1 << 10), None).await;
    cluster.leader().await;
    let node = cluster.node("n1");
    for number in 0..50 {
        put(&node, "k", &number.to_string()).await;
    }
    within("rewrite", node.defragment()).await.expect("there is space");
    put(&node, "after", "v").await;
    assert_eq!(get(&node, "k").await, Some(bytes("49")));
    assert!(node.metrics().written_total().bytes > 0);
    let before = node.hash_kv(0).await;
    drop(node);
    cluster.stop_node("n1").await;
    let node = cluster.start_node("n1").await;
    cluster.leader().await;
    assert_eq!(get(&node, "after").await, Some(bytes("v")));
    assert_eq!(node.hash_kv(0).await, before);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_does_not_fit_waits_until_it_does() {
    let disk = FullDisk::default();
    let of_node = disk.clone();
    let configure = move |config: &mut NodeConfig| {
        config.storage.disk = Arc::new(of_node.clone());
        (config.checkpoint_bytes, config.kept_log_bytes) = (1 << 10, 0);
    };
    let mut cluster = Cluster::start_with(1, Arc::new(configure), None).await;
    cluster.leader().await;
    let node = cluster.node("n1");
    for number in 0..50 {
        put(&node, "k", &format!("{number:01000}")).await;
    }
    assert_eq!(node.purged_index(), None, "what no checkpoint has is not purged");
    // It is written with the next entries, or after a while without any.
    disk.set_available(u64::MAX);
    within("checkpoint", async {
        while node.purged_index().is_none() {
            put(&node, "k", "v").await;
        }
    })
    .await;
    assert_eq!(get(&node, "k").await, Some(bytes("v")));
    cluster.shutdown().await;
}
