//! Members come and go while the cluster works, by etcd's rules.

use std::sync::Arc;

use shoal_cluster::{Ended, MembershipError, Node, ProposeError, Replica};
use shoal_kv::{Command, PutRequest};

use crate::cluster::{Cluster, bytes, get, local, put, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_is_added_and_promoted_once_it_has_caught_up() {
    let mut cluster = Cluster::start(3).await;
    cluster.named().await;
    // Through a follower, which asks the leader.
    let node = cluster.node(&cluster.followers().await[0]);
    put(&node, "before", "1").await;
    let urls = cluster.prepare_member("n4");
    let added = within("addition", node.member_add(urls.clone(), true)).await.expect("it may be added");
    let learner = added.members.iter().find(|member| member.id == added.id).expect("it is in the list");
    assert_eq!((learner.is_learner, learner.name.as_str(), &learner.peer_urls), (true, "", &urls));
    assert_eq!(within("addition", node.member_add(urls, true)).await, Err(MembershipError::PeerUrlExists));
    let other = vec!["http://127.0.0.1:1".to_owned()];
    assert_eq!(within("addition", node.member_add(other, true)).await, Err(MembershipError::TooManyLearners));
    assert_eq!(within("promotion", node.member_promote(added.id)).await, Err(MembershipError::LearnerNotReady));

    let joined = cluster.join_node("n4").await;
    assert_eq!(joined.identity().member, added.id);
    until(&joined, "catching up", |node| local(node, "before").is_some()).await;
    assert!(joined.status().is_learner);
    let promoted = within("promotion", async {
        loop {
            match node.member_promote(added.id).await {
                // What the learner has is told to the leader a moment later.
                Err(MembershipError::LearnerNotReady) => tokio::task::yield_now().await,
                promoted => return promoted,
            }
        }
    })
    .await
    .expect("it has caught up");
    assert!(promoted.members.iter().all(|member| !member.is_learner), "{promoted:?}");
    until(&joined, "a vote", |node| !node.status().is_learner).await;
    until(&node, "a name", |node| node.members().iter().all(|member| !member.name.is_empty())).await;
    assert_eq!(within("promotion", node.member_promote(added.id)).await, Err(MembershipError::MemberNotLearner));
    put(&joined, "after", "2").await;
    assert_eq!(get(&node, "after").await, Some(bytes("2")));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_member_grows_to_three() {
    let mut cluster = Cluster::start(1).await;
    let first = cluster.named().await;
    put(&first, "k", "1").await;
    for name in ["n2", "n3"] {
        let urls = cluster.prepare_member(name);
        let added = within("addition", first.member_add(urls, false)).await.expect("it may be added");
        assert!(added.members.iter().all(|member| !member.is_learner), "it is to vote");
        // It counts for no majority before it is there.
        put(&first, "k", name).await;
        let node = cluster.join_node(name).await;
        until(&node, "a vote", |node| !node.status().is_learner).await;
        until(&first, "a name", |node| node.members().iter().all(|member| !member.name.is_empty())).await;
    }
    let leader = cluster.leader().await;
    cluster.stop_node(&leader).await;
    cluster.leader().await;
    let left = cluster.running();
    assert_eq!(get(&cluster.node(&left[0]), "k").await, Some(bytes("n3")));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_removed_ends_and_the_others_go_on() {
    let mut cluster = Cluster::start_with(3, Arc::new(|config| config.max_learners = 2), None).await;
    cluster.named().await;
    let gone = cluster.followers().await[0].clone();
    let (id, node) = (cluster.id(&gone), cluster.node(&gone));
    let leader = cluster.node(&cluster.leader().await);
    let removed = within("removal", leader.member_remove(id)).await.expect("two are left");
    assert_eq!(removed.members.len(), 2);
    assert_eq!(within("removal", leader.member_remove(id)).await, Err(MembershipError::MemberNotFound));
    assert_eq!(within("end", node.ended()).await, Ended::Removed);
    drop(node);
    cluster.stop_node(&gone).await;
    put(&leader, "k", "v").await;

    // Whoever comes in its place gets an id that was never used.
    let urls = cluster.prepare_member("n4");
    let added = within("addition", leader.member_add(urls, false)).await.expect("it may be added");
    assert!(![id, cluster.id("n1"), cluster.id("n2"), cluster.id("n3")].contains(&added.id));
    let joined = cluster.join_node("n4").await;
    assert_eq!(get(&joined, "k").await, Some(bytes("v")));
    cluster.shutdown().await;
}

/// A cluster of one member and a learner, n2, that knows of both; and who they are.
async fn with_learner() -> (Cluster, Arc<Node>, Arc<Node>) {
    let mut cluster = Cluster::start(1).await;
    let first = cluster.named().await;
    let urls = cluster.prepare_member("n2");
    within("addition", first.member_add(urls, true)).await.expect("it may be added");
    let learner = cluster.join_node("n2").await;
    let knows = |node: &Node| {
        let members = node.members();
        members.len() == 2 && members.iter().all(|member| !member.name.is_empty())
    };
    until(&learner, "a name", knows).await;
    (cluster, first, learner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_was_away_when_it_was_removed_finds_out() {
    let (mut cluster, first, learner) = with_learner().await;
    drop(learner);
    cluster.stop_node("n2").await;
    within("removal", first.member_remove(cluster.id("n2"))).await.expect("nobody needs it");
    // It knows of nothing: for itself it is a learner of a cluster that is silent.
    let learner = cluster.start_node("n2").await;
    assert_eq!(within("end", learner.ended()).await, Ended::Removed);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_was_removed_before_it_was_sent_anything_finds_out() {
    let mut cluster = Cluster::start(1).await;
    let first = cluster.named().await;
    let urls = cluster.prepare_member("n2");
    within("addition", first.member_add(urls, true)).await.expect("it may be added");
    cluster.introduce_node("n2").await;
    within("removal", first.member_remove(cluster.id("n2"))).await.expect("nobody needs it");
    let learner = cluster.start_node("n2").await;
    assert_eq!(within("end", learner.ended()).await, Ended::Removed);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_removed_member_is_still_asked_to_write_is_not_written() {
    let (mut cluster, first, learner) = with_learner().await;
    // So that it has a connection for proposals, made while it belonged to the cluster.
    put(&learner, "before", "1").await;
    within("removal", first.member_remove(cluster.id("n2"))).await.expect("nobody needs it");
    let late = Command::Put(PutRequest { key: bytes("after"), value: bytes("2"), ..PutRequest::default() });
    assert_eq!(within("put", learner.propose(late)).await, Err(ProposeError::Stopped));
    assert_eq!(within("end", learner.ended()).await, Ended::Removed);
    assert_eq!(get(&first, "after").await, None);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_may_remove_itself() {
    let mut cluster = Cluster::start(3).await;
    let node = cluster.named().await;
    let first = cluster.leader().await;
    let removed = within("removal", node.member_remove(cluster.id(&first))).await;
    // It may be gone before it could say so.
    assert!(matches!(removed, Ok(_) | Err(MembershipError::Stopped | MembershipError::Timeout)), "{removed:?}");
    within("end", node.ended()).await;
    drop(node);
    cluster.stop_node(&first).await;
    let second = cluster.node(&cluster.leader().await);
    assert_eq!(second.members().len(), 2);
    put(&second, "k", "v").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_member_stays() {
    let mut cluster = Cluster::start(1).await;
    let node = cluster.named().await;
    assert_eq!(within("removal", node.member_remove(cluster.id("n1"))).await, Err(MembershipError::NotEnoughStarted));
    assert_eq!(within("update", node.member_update(cluster.id("n1"), vec!["n1:2380".into()])).await, Err(MembershipError::BadUrls));
    let url = vec!["http://127.0.0.1:2380".to_owned()];
    let updated = within("update", node.member_update(cluster.id("n1"), url.clone())).await.expect("it is a URL");
    assert_eq!(updated.members[0].peer_urls, url);
    cluster.shutdown().await;
}
