use shoal_etcd::{status::Error, wire::etcdserverpb::DeleteRangeRequest};

use crate::server::{Server, assert_refused, get};

fn delete(key: &str, range_end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { key: key.to_owned().into(), range_end: range_end.to_owned().into(), prev_kv: false }
}

#[tokio::test]
async fn a_range_is_deleted_at_one_revision() {
    let server = Server::start().await;
    for key in ["a", "b", "c", "d"] {
        server.put(key, key).await;
    }
    let request = DeleteRangeRequest { prev_kv: true, ..delete("b", "d") };
    let response = server.kv().delete_range(request).await.expect("they are deleted").into_inner();
    assert_eq!((response.header.expect("a header").revision, response.deleted), (6, 2));
    let keys: Vec<_> = response.prev_kvs.iter().map(|kv| &kv.key[..]).collect();
    assert_eq!(keys, [b"b", b"c"]);
    let rest = server.kv().delete_range(delete("\0", "\0")).await.expect("everything is deleted").into_inner();
    assert_eq!(rest.deleted, 2);
    assert_eq!(server.kv().range(get("a")).await.expect("it is read").into_inner().count, 0);
}

#[tokio::test]
async fn nothing_to_delete_takes_no_revision() {
    let server = Server::start().await;
    let response = server.kv().delete_range(delete("a", "")).await.expect("that is no error").into_inner();
    assert_eq!((response.header.expect("a header").revision, response.deleted), (1, 0));
}

#[tokio::test]
async fn a_deletion_without_a_key_is_refused() {
    let server = Server::start().await;
    assert_refused(server.kv().delete_range(delete("", "")).await, Error::EmptyKey);
}
