use std::time::Duration;

use shoal_cluster::local::LocalConfig;
use shoal_etcd::{
    Options,
    status::Error,
    wire::etcdserverpb::{WatchCreateRequest, WatchRequest, watch_request::RequestUnion},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use crate::server::{Server, assert_refused, get, soon};

fn requiring<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("hasleader", "true".parse().expect("it is text"));
    request
}

async fn quick_elections() -> Server {
    Server::with(LocalConfig { election_timeout: Duration::from_millis(100), ..LocalConfig::default() }, Options::default()).await
}

#[tokio::test]
async fn without_a_leader_those_who_require_one_are_refused() {
    let server = Server::start().await;
    server.kv().range(requiring(get("key"))).await.expect("there is a leader");
    server.replica.set_leader(None);
    assert_refused(server.kv().range(requiring(get("key"))).await, Error::NoLeader);
    let (_requests, receiver) = mpsc::channel::<WatchRequest>(1);
    assert_refused(server.watch().watch(requiring(ReceiverStream::new(receiver))).await, Error::NoLeader);
}

#[tokio::test]
async fn streams_end_when_no_leader_comes_back() {
    let server = quick_elections().await;
    let (requests, receiver) = mpsc::channel(1);
    let mut requiring = server.watch().watch(requiring(ReceiverStream::new(receiver))).await.expect("it opens").into_inner();
    let (other_requests, receiver) = mpsc::channel(1);
    let mut other = server.watch().watch(ReceiverStream::new(receiver)).await.expect("it opens").into_inner();
    let create = || WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(WatchCreateRequest { key: "key".into(), ..Default::default() })),
    };
    for (requests, stream) in [(&requests, &mut requiring), (&other_requests, &mut other)] {
        requests.send(create()).await.expect("it is open");
        soon(stream.message()).await.expect("it is created");
    }
    server.replica.set_leader(None);
    assert_refused(soon(requiring.message()).await, Error::NoLeader);
    server.put("key", "").await;
    assert_eq!(soon(other.message()).await.expect("it goes on").expect("an event").events.len(), 1, "whoever does not require one goes on");
}

#[tokio::test]
async fn streams_outlive_an_election() {
    let server = quick_elections().await;
    let own = LocalConfig::default().identity.member;
    let (requests, receiver) = mpsc::channel(1);
    let mut stream = server.watch().watch(requiring(ReceiverStream::new(receiver))).await.expect("it opens").into_inner();
    for leader in [None, Some(own), None, Some(own)] {
        server.replica.set_leader(leader);
    }
    requests
        .send(WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(WatchCreateRequest { key: "key".into(), ..Default::default() })),
        })
        .await
        .expect("it is open");
    assert!(soon(stream.message()).await.expect("it goes on").expect("an answer").created);
}
