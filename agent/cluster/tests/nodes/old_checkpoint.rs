//! A checkpoint that is older than what the log has forgotten is refused, and nothing is lost by trying.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use shoal_cluster::{Node, Replica};

use crate::cluster::{Cluster, Tune, get, put, until};

/// Checkpoints after every few entries, and nothing kept in the log that they have.
fn forgetful() -> Tune {
    Arc::new(|config| (config.checkpoint_bytes, config.kept_log_bytes) = (4 << 10, 0))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("its parent is there");
    for entry in fs::read_dir(from).expect("it is a directory") {
        let entry = entry.expect("it can be listed");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied");
    }
}

/// Has a member write checkpoints and purge its log, beyond what it has purged before, and says up to where it has.
async fn put_until_purged(node: &Node, before: Option<u64>) -> u64 {
    for number in 0..200 {
        put(node, "k", &format!("{number}-{}", "x".repeat(200))).await;
    }
    until(node, "purge", |node| node.purged_index() > before).await;
    node.purged_index().expect("it has purged")
}

/// Puts a copy in the place of a directory, which is kept under another name.
fn exchange(directory: &Path, copy: &Path, keep: &Path) {
    fs::rename(directory, keep).expect("both are in one file system");
    fs::rename(copy, directory).expect("both are in one file system");
}

fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).expect("it is a directory").map(|entry| entry.expect("it can be listed"));
    entries
        .map(|entry| (entry.file_name().into_string().expect("names are ASCII"), fs::read(entry.path()).expect("it can be read")))
        .collect()
}

/// Has a member go on until it has purged entries that an old copy of its checkpoint lacks, puts the copy back, and returns what the start says.
/// Then the member starts with the checkpoint that was there last, and has everything.
async fn start_with_an_old_checkpoint(members: usize) -> String {
    let mut cluster = Cluster::start_with(members, forgetful(), None).await;
    cluster.leader().await;
    let checkpoint = cluster.directory("n1").join("checkpoint");
    let [old, new] = ["old", "new"].map(|name| cluster.directory(name));
    let node = cluster.node("n1");
    put_until_purged(&node, None).await;
    drop(node);
    cluster.stop_node("n1").await;
    copy(&checkpoint, &old);

    let node = cluster.start_node("n1").await;
    cluster.leader().await;
    // Far enough for a checkpoint of its own: what is purged now, the old one has not.
    let purged = put_until_purged(&node, node.purged_index()).await;
    let revision = node.store().revision();
    drop(node);
    cluster.stop_node("n1").await;

    exchange(&checkpoint, &old, &new);
    let log = cluster.directory("n1").join("log");
    let before = contents(&log);
    let refused = cluster.try_start_node("n1").await.expect_err("entries are missing between the two").to_string();
    assert!(contents(&log) == before, "the log was changed");
    // More may have been purged while it was stopped.
    let said = refused.split("up to entry ").nth(1).and_then(|rest| rest.split(':').next()).and_then(|index| index.parse::<u64>().ok());
    assert!(said.is_some_and(|said| said >= purged), "{refused}");

    exchange(&checkpoint, &new, &old);
    let node = cluster.start_node("n1").await;
    cluster.leader().await;
    assert!(get(&node, "k").await.expect("it was put").starts_with(b"199-"));
    assert_eq!(node.store().revision(), revision);
    cluster.shutdown().await;
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_an_old_checkpoint_is_refused_and_told_to_join_anew() {
    let refused = start_with_an_old_checkpoint(3).await;
    assert!(refused.contains("etcdctl member remove") && !refused.contains("snapshot restore"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_member_with_an_old_checkpoint_is_refused_and_told_to_restore_a_snapshot() {
    let refused = start_with_an_old_checkpoint(1).await;
    assert!(refused.contains("snapshot restore"), "{refused}");
}
