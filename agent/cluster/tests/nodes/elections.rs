//! Nodes agree on who leads, and go on when it is gone.

use shoal_cluster::{MoveLeaderError, Replica, status::until_leader_is_lost};

use crate::cluster::{Cluster, bytes, get, put, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_through_any_member_is_read_through_any_other() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader().await;
    for writer in cluster.running() {
        put(&cluster.node(&writer), &writer, "value").await;
        for reader in cluster.running() {
            assert_eq!(get(&cluster.node(&reader), &writer).await, Some(bytes("value")), "{writer} wrote, {reader} reads");
        }
    }
    let hashes: Vec<_> = futures_util::future::join_all(cluster.running().iter().map(|name| {
        let node = cluster.node(name);
        async move { node.hash_kv(0).await.expect("it is the newest revision") }
    }))
    .await;
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_member_leads_itself() {
    let mut cluster = Cluster::start(1).await;
    assert_eq!(cluster.leader().await, "n1");
    let node = cluster.node("n1");
    assert_eq!(put(&node, "k", "v").await, 2, "an empty store is at revision 1, and an election takes none");
    assert_eq!(get(&node, "k").await, Some(bytes("v")));
    until(&node, "a name", |node| node.members().iter().map(|member| member.name.as_str()).eq(["n1"])).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_without_the_leader() {
    let mut cluster = Cluster::start(3).await;
    let first = cluster.leader().await;
    put(&cluster.node(&first), "before", "1").await;
    cluster.stop_node(&first).await;

    let second = cluster.leader().await;
    assert_ne!(first, second);
    for name in cluster.running() {
        let node = cluster.node(&name);
        assert_eq!(get(&node, "before").await, Some(bytes("1")));
        put(&node, &name, "2").await;
    }
    cluster.start_node(&first).await;
    let returned = cluster.node(&first);
    for name in cluster.running().iter().filter(|name| **name != first) {
        assert_eq!(get(&returned, name).await, Some(bytes("2")));
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_there_is_no_leader_and_no_answer() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for follower in cluster.followers().await {
        cluster.stop_node(&follower).await;
    }
    let node = cluster.node(&leader);
    within("loss of the leader", until_leader_is_lost(node.leadership(), node.election_timeout())).await;
    assert_eq!(node.status().errors, ["etcdserver: no leader"]);
    assert!(node.read_barrier().await.is_err(), "nobody has confirmed that it leads");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_moved_where_it_is_wanted() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let followers = cluster.followers().await;
    let (to, other) = (&followers[0], &followers[1]);
    assert_eq!(cluster.node(other).move_leader(cluster.id(to)).await, Err(MoveLeaderError::NotLeader));
    assert_eq!(cluster.node(&leader).move_leader(7).await, Err(MoveLeaderError::BadTransferee));
    put(&cluster.node(&leader), "k", "before").await;
    within("move", cluster.node(&leader).move_leader(cluster.id(to))).await.expect("it has caught up");
    assert_eq!(cluster.leader().await, *to);
    put(&cluster.node(&leader), "k", "after").await;
    assert_eq!(get(&cluster.node(to), "k").await, Some(bytes("after")));
    cluster.shutdown().await;
}
