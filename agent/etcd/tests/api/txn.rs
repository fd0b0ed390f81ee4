use shoal_cluster::local::LocalConfig;
use shoal_etcd::{
    Options,
    status::Error,
    wire::etcdserverpb::{
        self as wire, Compare, DeleteRangeRequest, RangeRequest, RequestOp, ResponseOp, TxnRequest,
        compare::{CompareResult, CompareTarget, TargetUnion},
        request_op::Request,
        response_op::Response,
    },
};
use shoal_kv::Limits;

use crate::server::{Server, assert_refused, get, put, range};

fn op(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn do_put(key: &str, value: &str) -> RequestOp {
    op(Request::RequestPut(put(key, value)))
}

fn read(request: RangeRequest) -> RequestOp {
    op(Request::RequestRange(request))
}

fn success(success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { success, ..TxnRequest::default() }
}

fn range_count(response: &ResponseOp) -> i64 {
    match &response.response {
        Some(Response::ResponseRange(range)) => range.count,
        other => panic!("{other:?} is no range"),
    }
}

fn delete(key: &str) -> RequestOp {
    op(Request::RequestDeleteRange(DeleteRangeRequest { key: key.to_owned().into(), ..DeleteRangeRequest::default() }))
}

fn compare(key: &str, result: CompareResult, target: CompareTarget, operand: TargetUnion) -> Compare {
    Compare { key: key.to_owned().into(), result: result.into(), target: target.into(), target_union: Some(operand), ..Compare::default() }
}

fn at_revision(key: &str, revision: i64) -> Compare {
    compare(key, CompareResult::Equal, CompareTarget::Mod, TargetUnion::ModRevision(revision))
}

/// The three transactions of kube-apiserver.
#[tokio::test]
async fn create_update_and_delete_hold_to_the_revision() {
    let server = Server::start().await;
    let run = async |request| server.kv().txn(request).await.expect("it is done").into_inner();
    let create = TxnRequest { compare: vec![at_revision("key", 0)], success: vec![do_put("key", "one")], failure: Vec::new() };
    assert!(run(create.clone()).await.succeeded);
    assert!(!run(create).await.succeeded, "it exists already");

    let update = |revision, value| TxnRequest {
        compare: vec![at_revision("key", revision)],
        success: vec![do_put("key", value)],
        failure: vec![read(get("key"))],
    };
    assert!(run(update(2, "two")).await.succeeded);
    let lost = run(update(2, "three")).await;
    let Some(Response::ResponseRange(current)) = &lost.responses[0].response else { panic!("the other branch reads") };
    assert_eq!((lost.succeeded, &current.kvs[0].value[..]), (false, &b"two"[..]));
    assert_eq!(lost.header.expect("a header").revision, 3, "what only read took no revision");

    let remove = TxnRequest { compare: vec![at_revision("key", 3)], success: vec![delete("key")], failure: vec![read(get("key"))] };
    assert!(run(remove).await.succeeded);
    assert_eq!(server.kv().range(get("key")).await.expect("it is read").into_inner().count, 0);
}

#[tokio::test]
async fn everything_of_a_key_can_be_compared() {
    use CompareResult::{Equal, Greater, Less, NotEqual};

    let server = Server::start().await;
    let lease = server.grant().await;
    server.kv().put(wire::PutRequest { lease, ..put("key", "b") }).await.expect("it is put");
    let value = |key, result, value: &'static str| compare(key, result, CompareTarget::Value, TargetUnion::Value(value.into()));
    let version = |key, result, version| compare(key, result, CompareTarget::Version, TargetUnion::Version(version));
    let of_lease = |lease| compare("key", Equal, CompareTarget::Lease, TargetUnion::Lease(lease));
    for (compare, holds) in [
        (value("key", Equal, "b"), true),
        (value("key", Greater, "a"), true),
        (value("key", Less, "a"), false),
        (value("key", NotEqual, "a"), true),
        (value("none", Equal, ""), false),
        (version("key", Equal, 1), true),
        (version("none", Equal, 0), true),
        (Compare { range_end: "z".into(), ..version("a", Greater, 0) }, true),
        (compare("key", Greater, CompareTarget::Create, TargetUnion::CreateRevision(2)), false),
        (at_revision("key", 2), true),
        (of_lease(lease), true),
        (of_lease(0), false),
        // The operand of something else is none.
        (compare("key", Equal, CompareTarget::Version, TargetUnion::ModRevision(1)), false),
    ] {
        let request = TxnRequest { compare: vec![compare.clone()], ..TxnRequest::default() };
        assert_eq!(server.kv().txn(request).await.expect("it is done").into_inner().succeeded, holds, "{compare:?}");
    }
}

#[tokio::test]
async fn operations_see_what_the_ones_before_have_done() {
    let server = Server::start().await;
    let nested = TxnRequest { success: vec![do_put("b", "1"), read(range("a", "z"))], ..TxnRequest::default() };
    let request = success(vec![read(range("a", "z")), do_put("a", "1"), op(Request::RequestTxn(nested)), read(range("a", "z"))]);
    let response = server.kv().txn(request).await.expect("it is done").into_inner();
    assert_eq!(response.header.expect("a header").revision, 2, "one transaction, one revision");
    assert_eq!((range_count(&response.responses[0]), range_count(&response.responses[3])), (0, 2));
    let Some(Response::ResponseTxn(nested)) = &response.responses[2].response else { panic!("it was a transaction") };
    assert_eq!((nested.succeeded, range_count(&nested.responses[1])), (true, 2));
}

#[tokio::test]
async fn transactions_are_refused_as_etcd_does() {
    let config = LocalConfig { limits: Limits { request_bytes: 5000, txn_operations: 4 }, ..LocalConfig::default() };
    let server = Server::with(config, Options::default()).await;
    server.put("key", "value").await;
    let compare = |key: &str| Compare { key: key.to_owned().into(), ..Compare::default() };
    let nest = |inner| op(Request::RequestTxn(inner));
    for (request, error) in [
        (success(vec![do_put("", "")]), Error::EmptyKey),
        (success(vec![read(get(""))]), Error::EmptyKey),
        (TxnRequest { compare: vec![compare("")], ..TxnRequest::default() }, Error::EmptyKey),
        (success(vec![read(RangeRequest { sort_order: 3, ..get("a") })]), Error::InvalidSortOption),
        (success(vec![op(Request::RequestPut(wire::PutRequest { ignore_value: true, ..put("a", "v") }))]), Error::ValueProvided),
        (success(vec![op(Request::RequestPut(wire::PutRequest { ignore_lease: true, lease: 1, ..put("a", "") }))]), Error::LeaseProvided),
        (success(vec![RequestOp { request: None }]), Error::KeyNotFound),
        (success(vec![op(Request::RequestPut(wire::PutRequest { ignore_value: true, ..put("a", "") }))]), Error::KeyNotFound),
        (success(vec![op(Request::RequestPut(wire::PutRequest { lease: 17, ..put("a", "") }))]), Error::LeaseNotFound),
        (success((0..5).map(|key| do_put(&key.to_string(), "")).collect()), Error::TooManyOps),
        (TxnRequest { compare: vec![compare("a"); 5], ..TxnRequest::default() }, Error::TooManyOps),
        (success(vec![nest(success((0..4).map(|key| do_put(&key.to_string(), "")).collect()))]), Error::TooManyOps),
        (success(vec![do_put("a", ""), do_put("a", "")]), Error::DuplicateKey),
        (success(vec![do_put("a", ""), nest(success(vec![do_put("a", "")]))]), Error::DuplicateKey),
        (success(vec![do_put("a", &"v".repeat(5000))]), Error::RequestTooLarge),
        (success(vec![do_put("a", ""), read(RangeRequest { revision: 9, ..get("a") })]), Error::FutureRev),
        (success(vec![read(RangeRequest { revision: 9, ..get("a") })]), Error::FutureRev),
    ] {
        assert_refused(server.kv().txn(request).await, error);
    }
    assert_eq!(server.put("key", "value").await, 3, "what is refused takes no revision");
}

#[tokio::test]
async fn both_branches_may_change_the_same_key() {
    let server = Server::start().await;
    let request = TxnRequest { success: vec![do_put("a", "1")], failure: vec![do_put("a", "2")], ..TxnRequest::default() };
    assert!(server.kv().txn(request).await.expect("only one of them is done").into_inner().succeeded);
}
