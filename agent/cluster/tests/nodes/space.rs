//! What grows has bounds, and what is refused is refused as etcd does.

use std::{sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use shoal_cluster::{Ended, Node, NodeConfig, Replica, SNAPSHOT_ALIGNMENT_BYTES};
use shoal_kv::{
    Alarm, AlarmAction, AlarmRequest, Command, DeleteRangeRequest, LeaseGrantError, LeaseGrantRequest, Outcome, PutError, PutRequest,
};
use shoal_store_files::{disk::sim::SimDisk, log::LogOptions};

use crate::{
    cluster::{Cluster, bytes, get, local, put, until, within},
    full_disk::FullDisk,
};

/// Bytes of a segment of the log, in these tests.
const SEGMENT_BYTES: u64 = 256 << 10;

fn value(key: &str, bytes: usize) -> Command {
    Command::Put(PutRequest { key: key.to_owned().into(), value: vec![b'x'; bytes].into(), ..PutRequest::default() })
}

/// Puts until it is refused for lack of space, and returns how many were put. Another member has each of them before the next one comes.
async fn put_until_refused(node: &Node, follower: &Node) -> usize {
    for number in 0..1000 {
        match within("put", node.propose(value(&format!("k{number}"), 8_000))).await {
            Ok(Outcome::Put(Ok(_))) => within("barrier", follower.read_barrier()).await.expect("there is a leader"),
            Ok(Outcome::Put(Err(PutError::NoSpace))) => return number,
            other => panic!("{other:?}"),
        }
    }
    panic!("nothing is refused")
}

async fn disarm(node: &Node, member: u64) {
    let disarm = AlarmRequest { action: AlarmAction::Deactivate, member, alarm: Alarm::NoSpace };
    assert!(matches!(within("alarm", node.propose(Command::Alarm(disarm))).await, Ok(Outcome::Alarm(_))));
}

/// Takes back the alarms until none comes back and a write is taken.
async fn put_again(node: &Node, member: u64) {
    within("room", async {
        loop {
            disarm(node, member).await;
            match node.propose(value("again", 10)).await {
                Ok(Outcome::Put(Ok(_))) => return,
                Ok(Outcome::Put(Err(PutError::NoSpace))) => tokio::time::sleep(Duration::from_millis(20)).await,
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

/// The log of a member without clients is filled by its leader, and the alarm of a member is obeyed by all others before its log is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_without_room_has_the_whole_cluster_refuse_writes_and_is_never_filled() {
    let disk = SimDisk::new(0);
    let of_node = disk.clone();
    let configure = move |config: &mut NodeConfig| {
        config.storage.log =
            LogOptions { segment_bytes: SEGMENT_BYTES as u32, space_retry: Duration::from_millis(10), ..LogOptions::default() };
        if config.name == "n3" {
            (config.storage.disk, config.storage.directory) = (Arc::new(of_node.clone()), "/n3".into());
        }
    };
    let mut cluster = Cluster::start_with(3, Arc::new(configure), None).await;
    cluster.lead("n1").await;
    let (leader, follower) = (cluster.node("n1"), cluster.node("n3"));
    put(&leader, "before", "v").await;
    until(&follower, "what is there", |node| local(node, "before").is_some()).await;
    // The segment after this one is there, the one after that will not be.
    disk.set_capacity(Some(disk.used() + SEGMENT_BYTES / 2));
    let taken = put_until_refused(&leader, &follower).await;
    assert!(taken > 10, "there was room for more: {taken}");
    let member = cluster.id("n3");
    assert_eq!(leader.status().errors, [format!("memberID:{member} alarm:NOSPACE")]);

    // What is refused takes no room: this would fill the follower's log many times over.
    for _ in 0..200 {
        let refused = within("put", leader.propose(value("refused", 8_000))).await;
        assert_eq!(refused, Ok(Outcome::Put(Err(PutError::NoSpace))));
    }
    assert_eq!(get(&follower, "before").await, Some(bytes("v")), "reads go on");
    let delete = Command::DeleteRange(DeleteRangeRequest { key: bytes("k0"), ..DeleteRangeRequest::default() });
    assert!(matches!(within("deletion", follower.propose(delete)).await, Ok(Outcome::DeleteRange(Ok(_)))));
    let lease = Command::LeaseGrant(LeaseGrantRequest { id: 1, ttl: 60 });
    assert_eq!(within("grant", leader.propose(lease)).await, Ok(Outcome::LeaseGrant(Err(LeaseGrantError::NoSpace))));

    // Disarming helps only when there is room.
    disarm(&leader, member).await;
    until(&leader, "alarm", |node| !node.status().errors.is_empty()).await;
    disk.set_capacity(None);
    put_again(&leader, member).await;
    until(&follower, "what comes after", |node| local(node, "again").is_some()).await;
    assert_eq!(follower.hash_kv(0).await, leader.hash_kv(0).await);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_that_was_disarmed_elsewhere_refuses_nothing() {
    let mut cluster = Cluster::start_with(3, Arc::new(|config| config.quota_bytes = 20_000), None).await;
    cluster.leader().await;
    let followers = cluster.followers().await;
    let [one, other] = [&followers[0], &followers[1]].map(|name| cluster.node(name));
    assert!(put_until_refused(&one, &other).await > 0);
    within("barrier", other.read_barrier()).await.expect("there is a leader");
    let delete = Command::DeleteRange(DeleteRangeRequest { key: bytes("k0"), ..DeleteRangeRequest::default() });
    assert!(matches!(within("deletion", one.propose(delete)).await, Ok(Outcome::DeleteRange(Ok(_)))));
    let member = one.identity().member;
    // Whether the other one has heard of it by then or not.
    for number in 0..5 {
        disarm(&one, member).await;
        put(&other, "small", &number.to_string()).await;
        let raise = AlarmRequest { action: AlarmAction::Activate, member, alarm: Alarm::NoSpace };
        assert!(matches!(within("alarm", one.propose(Command::Alarm(raise))).await, Ok(Outcome::Alarm(_))));
        within("barrier", other.read_barrier()).await.expect("there is a leader");
    }
    cluster.shutdown().await;
}

/// The estimate of what a checkpoint needs may be too low.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_runs_out_of_space_loses_nothing_and_is_written_when_there_is_some() {
    let disk = SimDisk::new(0);
    // It says that there is room when there is none.
    let liar = FullDisk::on(Arc::new(disk.clone()));
    liar.set_available(u64::MAX);
    let configure = move |config: &mut NodeConfig| {
        config.storage.log = LogOptions { segment_bytes: SEGMENT_BYTES as u32, ..LogOptions::default() };
        (config.storage.disk, config.storage.directory) = (Arc::new(liar.clone()), "/n1".into());
        (config.checkpoint_bytes, config.kept_log_bytes) = (SEGMENT_BYTES, 0);
    };
    let mut cluster = Cluster::start_with(1, Arc::new(configure), None).await;
    cluster.leader().await;
    let node = cluster.node("n1");
    // Room for the log, which is purged after each checkpoint; not for a larger checkpoint.
    disk.set_capacity(Some(disk.used() + 5 * SEGMENT_BYTES / 2));
    let mut acknowledged = 0;
    // Until the checkpoint is written, and fails.
    while let Ok(Outcome::Put(Ok(_))) = within("put", node.propose(value(&format!("k{acknowledged}"), 8_000))).await {
        acknowledged += 1;
        assert!(acknowledged < 1000, "there was room for all");
    }
    let ended = within("end", node.ended()).await;
    assert!(matches!(&ended, Ended::Failed(why) if why.contains("checkpoint") && why.contains("os error 28")), "{ended:?}");
    let purged = node.purged_index();
    drop(node);
    cluster.stop_node("n1").await;

    disk.set_capacity(None);
    let node = cluster.start_node("n1").await;
    cluster.leader().await;
    within("barrier", node.read_barrier()).await.expect("it leads");
    for number in 0..acknowledged {
        assert!(local(&node, &format!("k{number}")).is_some(), "k{number} is lost");
    }
    until(&node, "checkpoint", |node| node.purged_index() > purged).await;
    cluster.shutdown().await;
}

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
