use prost::Message;
use shoal_etcd::{
    status::Error,
    wire::{
        etcdserverpb::{
            LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, PutRequest,
        },
        mvccpb::{Event, event::EventType},
    },
};
use shoal_kv::limits::LEASE_TTL_SECONDS;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::server::{Server, assert_refused, get, put, soon};

async fn grant(server: &Server, id: i64, ttl: i64) -> i64 {
    let response = server.lease().lease_grant(LeaseGrantRequest { id, ttl }).await.expect("it is granted").into_inner();
    assert!(response.ttl >= ttl && response.error.is_empty());
    response.id
}

async fn attach(server: &Server, key: &str, lease: i64) {
    server.kv().put(PutRequest { lease, ..put(key, "") }).await.expect("it is put");
}

#[tokio::test]
async fn a_lease_takes_its_keys_along_at_one_revision() {
    let server = Server::start().await;
    let lease = grant(&server, 0, 60).await;
    attach(&server, "a", lease).await;
    attach(&server, "b", lease).await;
    server.put("c", "").await;
    let response = server.lease().lease_revoke(LeaseRevokeRequest { id: lease }).await.expect("it is revoked").into_inner();
    assert_eq!(response.header.expect("a header").revision, 5);
    let left = server.kv().range(crate::server::range("a", "z")).await.expect("it is read").into_inner();
    assert_eq!(left.kvs.iter().map(|kv| &kv.key[..]).collect::<Vec<_>>(), [b"c"]);
}

#[tokio::test]
async fn granting_takes_no_revision() {
    let server = Server::start().await;
    let response = server.lease().lease_grant(LeaseGrantRequest { id: 7, ttl: 60 }).await.expect("it is granted").into_inner();
    assert_eq!((response.id, response.ttl, response.header.expect("a header").revision), (7, 60, 1));
}

#[tokio::test]
async fn a_lease_that_is_not_kept_alive_ends() {
    let server = Server::start().await;
    let lease = grant(&server, 0, 1).await;
    attach(&server, "key", lease).await;
    let (_requests, mut events) = server.follow("key").await;
    let ended = soon(events.message()).await.expect("it goes on").expect("an event");
    let event = Event::decode(ended.events[0].clone()).expect("an event");
    assert_eq!((event.r#type(), event.kv.expect("it has a key").mod_revision), (EventType::Delete, 3));
    let left = server.lease().lease_time_to_live(LeaseTimeToLiveRequest { id: lease, keys: true }).await.expect("it is told").into_inner();
    assert_eq!((left.id, left.ttl, left.granted_ttl, left.keys.len()), (lease, -1, 0, 0));
}

#[tokio::test]
async fn leases_are_kept_alive_in_order_and_lost_ones_told() {
    let server = Server::start().await;
    let lease = grant(&server, 0, 60).await;
    let (requests, receiver) = mpsc::channel(8);
    let mut responses = server.lease().lease_keep_alive(ReceiverStream::new(receiver)).await.expect("it opens").into_inner();
    for id in [lease, 99, lease] {
        requests.send(LeaseKeepAliveRequest { id }).await.expect("it is open");
    }
    drop(requests);
    let mut told = Vec::new();
    while let Some(response) = soon(responses.message()).await.expect("it goes on") {
        assert!(response.header.is_some());
        told.push((response.id, response.ttl));
    }
    assert_eq!(told, [(lease, 60), (99, 0), (lease, 60)], "and it ends when the client has no more");
}

#[tokio::test]
async fn the_time_left_and_the_keys_are_told() {
    let server = Server::start().await;
    let lease = grant(&server, 0, 60).await;
    attach(&server, "b", lease).await;
    attach(&server, "a", lease).await;
    let ask = |keys| LeaseTimeToLiveRequest { id: lease, keys };
    let told = server.lease().lease_time_to_live(ask(true)).await.expect("it is told").into_inner();
    assert_eq!((told.id, told.granted_ttl, told.keys), (lease, 60, vec!["a".into(), "b".into()]));
    assert!((30..=60).contains(&told.ttl));
    let told = server.lease().lease_time_to_live(ask(false)).await.expect("it is told").into_inner();
    assert_eq!(told.keys.len(), 0);
}

#[tokio::test]
async fn all_leases_are_listed() {
    let server = Server::start().await;
    for id in [5, 3, 9] {
        grant(&server, id, 60).await;
    }
    let listed = server.lease().lease_leases(LeaseLeasesRequest {}).await.expect("they are listed").into_inner();
    let mut ids: Vec<_> = listed.leases.into_iter().map(|lease| lease.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [3, 5, 9]);
}

#[tokio::test]
async fn leases_are_refused_as_etcd_does() {
    let server = Server::start().await;
    grant(&server, 7, 60).await;
    assert_refused(server.lease().lease_grant(LeaseGrantRequest { id: 7, ttl: 60 }).await, Error::LeaseExist);
    assert_refused(server.lease().lease_grant(LeaseGrantRequest { id: 0, ttl: LEASE_TTL_SECONDS + 1 }).await, Error::LeaseTtlTooLarge);
    assert_refused(server.lease().lease_revoke(LeaseRevokeRequest { id: 8 }).await, Error::LeaseNotFound);
    assert_eq!(server.kv().range(get("none")).await.expect("it is read").into_inner().header.expect("a header").revision, 1);
}
