use shoal_etcd::{
    status::Error,
    wire::etcdserverpb::{CompactionRequest, RangeRequest},
};

use crate::server::{Server, assert_refused, get};

fn compact(revision: i64) -> CompactionRequest {
    CompactionRequest { revision, physical: true }
}

#[tokio::test]
async fn what_is_compacted_cannot_be_read_and_the_rest_can() {
    let server = Server::start().await;
    for value in ["2", "3", "4"] {
        server.put("key", value).await;
    }
    let response = server.kv().compact(compact(3)).await.expect("it is compacted").into_inner();
    assert_eq!(response.header.expect("a header").revision, 4, "a compaction takes no revision");
    let at = |revision| RangeRequest { revision, ..get("key") };
    assert_refused(server.kv().range(at(2)).await, Error::Compacted);
    for revision in [3, 4] {
        let kv = server.kv().range(at(revision)).await.expect("it is there").into_inner().kvs.remove(0);
        assert_eq!(kv.value, revision.to_string());
    }
}

#[tokio::test]
async fn compactions_are_refused_as_etcd_does() {
    let server = Server::start().await;
    server.put("key", "value").await;
    server.kv().compact(compact(2)).await.expect("it is compacted");
    assert_refused(server.kv().compact(compact(2)).await, Error::Compacted);
    assert_refused(server.kv().compact(compact(1)).await, Error::Compacted);
    assert_refused(server.kv().compact(compact(3)).await, Error::FutureRev);
}
