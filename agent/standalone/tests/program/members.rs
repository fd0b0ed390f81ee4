//! Several processes are one store.

use rustix::process::Signal;

use crate::harness::{client::Client, cluster::Cluster, wait_for};

/// Tries until it is done: while there is no leader, requests may fail.
async fn put(client: &Client, key: &str, value: &str) {
    let start = std::time::Instant::now();
    while let Err(error) = client.put(key, value).await {
        assert!(start.elapsed() < crate::harness::DEADLINE, "{key} is not put: {error}");
    }
}

async fn leader(cluster: &Cluster, ask: &str) -> String {
    let start = std::time::Instant::now();
    loop {
        let status = cluster.client(ask).status().await.expect("it answers");
        let members = cluster.client(ask).members().await;
        if let Ok(members) = members
            && let Some(member) = members.iter().find(|member| member.id == status.leader)
        {
            return member.name.clone();
        }
        assert!(start.elapsed() < crate::harness::DEADLINE, "there is no leader");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_go_on_without_one_and_take_it_back() {
    let mut cluster = Cluster::start(3, &[]);
    put(&cluster.client("n1"), "first", "1").await;
    let members = cluster.client("n2").members().await.expect("there is a leader");
    assert_eq!(members.iter().map(|member| member.name.as_str()).collect::<std::collections::BTreeSet<_>>().len(), 3);
    for member in &members {
        assert_eq!(member.client_ur_ls, [cluster.client_url(&member.name)]);
        assert_eq!(member.peer_ur_ls, [cluster.peer_url(&member.name)]);
    }
    let gone = leader(&cluster, "n1").await;
    cluster.kill(&gone);
    let left: Vec<String> = cluster.names().into_iter().filter(|name| *name != gone).collect();
    put(&cluster.client(&left[0]), "second", "2").await;
    assert_eq!(cluster.client(&left[1]).get("first").await.expect("there is a leader"), Some("1".to_owned()));

    cluster.spawn(&gone);
    cluster.process(&gone).wait_ready();
    assert_eq!(cluster.client(&gone).get("second").await.expect("there is a leader"), Some("2".to_owned()));
    cluster.kill(&left[0]);
    put(&cluster.client(&gone), "third", "3").await;
    assert_eq!(cluster.client(&left[1]).get("third").await.expect("there is a leader"), Some("3".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_told_to_end_hands_over_first() {
    let mut cluster = Cluster::start(3, &["--election-timeout=5000"]);
    put(&cluster.client("n1"), "k", "v").await;
    let first = leader(&cluster, "n1").await;
    let mut ending = cluster.take(&first);
    ending.signal(Signal::TERM);
    ending.wait_line("another member leads");
    assert!(ending.wait().success());
    let left = cluster.names().into_iter().find(|name| *name != first).expect("two are left");
    assert_eq!(cluster.client(&left).get("k").await.expect("there is a leader"), Some("v".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_added_and_another_removed() {
    let mut cluster = Cluster::start(3, &[]);
    let client = cluster.client("n1");
    put(&client, "k", "v").await;
    let url = cluster.prepare("n4");
    let id = client.add(&url).await.expect("all members are well");
    cluster.spawn("n4");
    cluster.process("n4").wait_ready();
    let status = cluster.client("n4").status().await.expect("it answers");
    assert_eq!(status.header.expect("it has one").member_id, id);
    assert_eq!(cluster.client("n4").get("k").await.expect("there is a leader"), Some("v".to_owned()));

    let members = client.members().await.expect("there is a leader");
    let gone = members.iter().find(|member| member.name == "n3").expect("it is a member").id;
    client.remove(gone).await.expect("three are left");
    assert_eq!(cluster.process("n3").wait().code(), Some(3));
    assert!(cluster.take("n3").log().contains("this member was removed from its cluster"));
    // Nor does it come back.
    cluster.spawn("n3");
    assert_eq!(cluster.process("n3").wait().code(), Some(3));
    assert_eq!(client.members().await.expect("there is a leader").len(), 3);
    put(&client, "k", "w").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_nobody_has_added_is_told_to_be() {
    let mut cluster = Cluster::start(1, &[]);
    cluster.prepare("n2");
    cluster.spawn("n2");
    assert_eq!(cluster.process("n2").wait().code(), Some(1));
    wait_for("reason", || cluster.process("n2").log().contains("add this member to the cluster first").then_some(()));
}
