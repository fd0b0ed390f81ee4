//! Leases end on time, on the leader only, and a new leader gives them their full time again.

use std::time::Duration;

use shoal_cluster::{LeaseError, Node, Replica};
use shoal_kv::{Command, LeaseGrantRequest, Outcome, PutRequest};

use crate::cluster::{Cluster, bytes, local, until, within};

async fn grant(node: &Node, id: i64, ttl: i64) {
    let granted = within("grant", node.propose(Command::LeaseGrant(LeaseGrantRequest { id, ttl }))).await;
    assert!(matches!(granted, Ok(Outcome::LeaseGrant(Ok(_)))), "{granted:?}");
}

async fn attach(node: &Node, key: &str, lease: i64) {
    let put = PutRequest { key: bytes(key), value: bytes("v"), lease, ..PutRequest::default() };
    let put = within("put", node.propose(Command::Put(put))).await;
    assert!(matches!(put, Ok(Outcome::Put(Ok(_)))), "{put:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_everywhere_and_its_keys_with_it() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader().await;
    let node = cluster.node(&cluster.followers().await[0]);
    grant(&node, 7, 1).await;
    attach(&node, "leased", 7).await;
    for name in cluster.running() {
        until(&cluster.node(&name), "expiry", |node| local(node, "leased").is_none() && node.store().lease(7, false).is_none()).await;
    }
    let expired: u64 = cluster.running().iter().map(|name| cluster.node(name).metrics().leases_expired).sum();
    assert_eq!(expired, 1, "one member has ended it");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_member_renews_a_lease_and_says_what_is_left() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader().await;
    for (number, name) in cluster.running().into_iter().enumerate() {
        let node = cluster.node(&name);
        let id = 100 + i64::try_from(number).expect("it is small");
        grant(&node, id, 600).await;
        attach(&node, &name, id).await;
        assert_eq!(within("renewal", node.lease_renew(id)).await, Ok(600), "{name}");
        let left = within("time to live", node.lease_time_to_live(id, true)).await.expect("it is granted");
        assert_eq!((left.granted_ttl, &left.keys), (600, &vec![bytes(&name)]));
        assert!(left.remaining > Duration::from_secs(500) && left.remaining <= Duration::from_secs(600), "{left:?}");
        assert_eq!(within("renewal", node.lease_renew(1)).await, Err(LeaseError::NotFound));
        assert_eq!(within("time to live", node.lease_time_to_live(1, false)).await, Err(LeaseError::NotFound));
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_gives_a_lease_its_full_time() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    grant(&cluster.node(&leader), 7, 600).await;
    let to = cluster.followers().await[0].clone();
    let left = async |cluster: &Cluster, name: &str| {
        let node = cluster.node(name);
        within("time to live", node.lease_time_to_live(7, false)).await.expect("it is granted").remaining
    };
    until(&cluster.node(&leader), "some of it gone", |_| true).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = left(&cluster, &leader).await;
    assert!(before <= Duration::from_millis(599_800), "{before:?}");
    within("move", cluster.node(&leader).move_leader(cluster.id(&to))).await.expect("it has caught up");
    cluster.leader().await;
    let after = left(&cluster, &leader).await;
    assert!(after > before, "{after:?} is not more than {before:?}");
    cluster.shutdown().await;
}
