use shoal_etcd::{
    status::Error,
    wire::etcdserverpb::{
        RangeRequest,
        range_request::{SortOrder, SortTarget},
    },
};

use crate::server::{Server, assert_refused, get, range};

async fn keys(server: &Server, request: RangeRequest) -> Vec<String> {
    let response = server.kv().range(request).await.expect("it is read").into_inner();
    response.kvs.into_iter().map(|kv| String::from_utf8(kv.key.to_vec()).expect("the keys are text")).collect()
}

async fn alphabet() -> Server {
    let server = Server::start().await;
    for (key, value) in [("a", "3"), ("b", "1"), ("c", "2"), ("d", "4")] {
        server.put(key, value).await;
    }
    server
}

#[tokio::test]
async fn ranges_are_read_as_etcd_reads_them() {
    let server = alphabet().await;
    assert_eq!(keys(&server, get("b")).await, ["b"]);
    assert_eq!(keys(&server, range("b", "d")).await, ["b", "c"]);
    assert_eq!(keys(&server, range("b", "\0")).await, ["b", "c", "d"]);
    assert_eq!(keys(&server, range("\0", "\0")).await, ["a", "b", "c", "d"]);
    assert_eq!(keys(&server, range("d", "b")).await, [""; 0]);
    assert_eq!(keys(&server, get("nothing")).await, [""; 0]);
}

#[tokio::test]
async fn a_limited_range_says_how_much_there_is() {
    let server = alphabet().await;
    let response = server.kv().range(RangeRequest { limit: 3, ..range("a", "z") }).await.expect("it is read").into_inner();
    assert_eq!((response.kvs.len(), response.more, response.count), (3, true, 4));
    let response = server.kv().range(RangeRequest { limit: 4, ..range("a", "z") }).await.expect("it is read").into_inner();
    assert_eq!((response.kvs.len(), response.more, response.count), (4, false, 4));
    let response = server.kv().range(RangeRequest { count_only: true, ..range("a", "z") }).await.expect("it is counted").into_inner();
    assert_eq!((response.kvs.len(), response.more, response.count), (0, false, 4));
}

#[tokio::test]
async fn an_old_revision_is_answered_with_the_newest_in_the_header() {
    let server = alphabet().await;
    let response = server.kv().range(RangeRequest { revision: 3, ..range("a", "z") }).await.expect("it is read").into_inner();
    assert_eq!((response.header.expect("a header").revision, response.count), (5, 2));
}

#[tokio::test]
async fn values_can_be_left_out() {
    let server = alphabet().await;
    let response = server.kv().range(RangeRequest { keys_only: true, ..get("a") }).await.expect("it is read").into_inner();
    assert_eq!((&response.kvs[0].key[..], &response.kvs[0].value[..]), (&b"a"[..], &b""[..]));
}

#[tokio::test]
async fn everything_can_be_sorted_by_everything() {
    let server = alphabet().await;
    server.put("b", "9").await;
    for (target, order, sorted) in [
        (SortTarget::Key, SortOrder::Descend, ["d", "c", "b", "a"]),
        (SortTarget::Value, SortOrder::Ascend, ["c", "a", "d", "b"]),
        (SortTarget::Version, SortOrder::Descend, ["b", "a", "c", "d"]),
        (SortTarget::Create, SortOrder::Descend, ["d", "c", "b", "a"]),
        (SortTarget::Mod, SortOrder::Ascend, ["a", "c", "d", "b"]),
        (SortTarget::Mod, SortOrder::None, ["a", "c", "d", "b"]),
        (SortTarget::Key, SortOrder::None, ["a", "b", "c", "d"]),
    ] {
        let request = RangeRequest { sort_target: target.into(), sort_order: order.into(), ..range("a", "z") };
        assert_eq!(keys(&server, request).await, sorted, "{target:?} {order:?}");
    }
}

#[tokio::test]
async fn revisions_sift_what_is_read() {
    let server = alphabet().await;
    server.put("b", "9").await;
    for (request, sifted) in [
        (RangeRequest { min_mod_revision: 5, ..range("a", "z") }, &["b", "d"][..]),
        (RangeRequest { max_mod_revision: 4, ..range("a", "z") }, &["a", "c"]),
        (RangeRequest { min_create_revision: 4, ..range("a", "z") }, &["c", "d"]),
        (RangeRequest { max_create_revision: 3, ..range("a", "z") }, &["a", "b"]),
    ] {
        assert_eq!(keys(&server, request.clone()).await, sifted, "{request:?}");
    }
}

#[tokio::test]
async fn ranges_are_refused_as_etcd_does() {
    let server = alphabet().await;
    for (request, error) in [
        (get(""), Error::EmptyKey),
        (RangeRequest { sort_order: 3, ..get("a") }, Error::InvalidSortOption),
        (RangeRequest { sort_target: 5, ..get("a") }, Error::InvalidSortOption),
        (RangeRequest { revision: 6, ..get("a") }, Error::FutureRev),
    ] {
        assert_refused(server.kv().range(request).await, error);
    }
}
