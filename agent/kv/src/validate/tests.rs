use bytes::Bytes;

use super::*;
use crate::request::{Compare, CompareResult, CompareTarget};

fn put(key: &'static str) -> RequestOp {
    RequestOp::Put(PutRequest { key: key.into(), ..PutRequest::default() })
}

fn keep(key: &'static str) -> RequestOp {
    RequestOp::Put(PutRequest { key: key.into(), ignore_value: true, ..PutRequest::default() })
}

fn delete(key: &'static str, range_end: &'static str) -> RequestOp {
    RequestOp::DeleteRange(DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv: false })
}

fn txn(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
    RequestOp::Txn(TxnRequest { compare: Vec::new(), success, failure })
}

fn validate(success: Vec<RequestOp>) -> Result<(), TxnError> {
    let request = TxnRequest { compare: Vec::new(), success, failure: Vec::new() };
    let mirrored = TxnRequest { compare: Vec::new(), success: Vec::new(), failure: request.success.clone() };
    let limits = Limits::default();
    let outcome = request.validate(0, &limits);
    assert_eq!(mirrored.validate(0, &limits), outcome, "both branches are checked alike");
    outcome
}

#[test]
fn no_branch_changes_a_key_twice() {
    let duplicates = [
        vec![put("a"), put("a")],
        vec![put("b"), delete("b", "")],
        vec![put("b"), delete("a", "c")],
        vec![delete("a", "c"), put("b")],
        vec![put("a"), txn(vec![put("a")], vec![])],
        vec![put("a"), txn(vec![], vec![put("a")])],
        vec![put("b"), txn(vec![delete("a", "c")], vec![])],
        vec![delete("a", "c"), txn(vec![], vec![put("b")])],
        vec![txn(vec![put("a")], vec![]), txn(vec![], vec![put("a")])],
        vec![txn(vec![delete("a", "")], vec![]), txn(vec![put("a")], vec![])],
        vec![txn(vec![txn(vec![put("a")], vec![])], vec![]), put("a")],
        vec![delete("a", "d"), delete("b", "c"), put("c")],
        vec![delete("b", "c"), delete("a", "d"), put("c")],
        vec![delete("c", "d"), delete("a", "b"), delete("b", "c"), put("b")],
    ];
    for ops in duplicates {
        assert_eq!(validate(ops.clone()), Err(TxnError::DuplicateKey), "{ops:?}");
    }
}

#[test]
fn what_etcd_lets_pass_passes() {
    let fine = [
        vec![put("a"), put("b"), delete("c", "d")],
        vec![delete("a", "c"), delete("b", "d"), put("d")],
        vec![txn(vec![put("a")], vec![put("a")])],
        vec![txn(vec![put("a")], vec![delete("a", "")])],
        vec![put("a"), put("c"), delete("c", "a")],
        // Carried out in their order.
        vec![delete("a", "\0"), put("b")],
        vec![txn(vec![put("a")], vec![]), txn(vec![delete("a", "")], vec![])],
        vec![keep("b"), delete("a", "\0")],
        vec![delete("c", "\0"), keep("b")],
    ];
    for ops in fine {
        assert_eq!(validate(ops.clone()), Ok(()), "{ops:?}");
    }
}

#[test]
fn nothing_is_kept_of_a_key_that_is_gone() {
    let gone = [
        vec![delete("a", "\0"), keep("b")],
        vec![txn(vec![], vec![delete("a", "\0")]), keep("b")],
        vec![delete("a", "\0"), txn(vec![txn(vec![keep("b")], vec![])], vec![])],
    ];
    for ops in gone {
        assert_eq!(validate(ops.clone()), Err(TxnError::DuplicateKey), "{ops:?}");
    }
}

#[test]
fn operations_are_counted_along_each_path() {
    let limits = Limits { txn_operations: 4, ..Limits::default() };
    let validate = |request: &TxnRequest| request.validate(0, &limits);
    let puts = |keys: &[&'static str]| keys.iter().map(|key| put(key)).collect::<Vec<_>>();
    let three = TxnRequest { success: puts(&["a", "b", "c"]), ..TxnRequest::default() };
    let nest = |inner: TxnRequest| TxnRequest { success: vec![RequestOp::Txn(inner)], ..TxnRequest::default() };
    assert_eq!(validate(&three), Ok(()));
    assert_eq!(validate(&nest(three.clone())), Ok(()));
    assert_eq!(validate(&nest(nest(three.clone()))), Err(TxnError::TooManyOperations));
    let beside = TxnRequest { success: vec![RequestOp::Txn(three.clone()), put("d")], ..TxnRequest::default() };
    assert_eq!(validate(&beside), Err(TxnError::TooManyOperations));
    let compare = Compare { key: "a".into(), range_end: Bytes::new(), result: CompareResult::Equal, target: CompareTarget::Version(0) };
    let compares = TxnRequest { compare: vec![compare; 5], ..TxnRequest::default() };
    assert_eq!(validate(&compares), Err(TxnError::TooManyOperations));
}

#[test]
fn requests_without_a_key_or_with_contradictions_are_refused() {
    let limits = Limits::default();
    let request = PutRequest { key: "a".into(), ..PutRequest::default() };
    let table = [
        (PutRequest::default(), Err(PutError::EmptyKey)),
        (PutRequest { ignore_value: true, value: "v".into(), ..request.clone() }, Err(PutError::ValueProvided)),
        (PutRequest { ignore_lease: true, lease: 1, ..request.clone() }, Err(PutError::LeaseProvided)),
        (PutRequest { ignore_value: true, ignore_lease: true, ..request.clone() }, Ok(())),
    ];
    for (put, outcome) in table {
        assert_eq!(put.validate(0, &limits), outcome, "{put:?}");
        assert_eq!(validate(vec![RequestOp::Put(put)]), outcome.map_err(TxnError::from));
    }
    assert_eq!(validate(vec![delete("", "a")]), Err(TxnError::EmptyKey));
    assert_eq!(validate(vec![RequestOp::Range(RangeRequest::default())]), Err(TxnError::EmptyKey));
    let largest = limits.request_bytes;
    assert_eq!(request.validate(largest, &limits), Ok(()));
    assert_eq!(request.validate(largest + 1, &limits), Err(PutError::RequestTooLarge));
    let request = DeleteRangeRequest { key: "a".into(), ..DeleteRangeRequest::default() };
    assert_eq!(request.validate(largest, &limits), Ok(()));
    assert_eq!(request.validate(largest + 1, &limits), Err(DeleteRangeError::RequestTooLarge));
    assert_eq!(TxnRequest::default().validate(largest, &limits), Ok(()));
    assert_eq!(TxnRequest::default().validate(largest + 1, &limits), Err(TxnError::RequestTooLarge));
}

#[test]
fn requests_nested_as_deep_as_they_may_be_are_checked_in_a_moment() {
    // A hundred levels, each of which passes on what all below it change.
    let level = |inner: Option<TxnRequest>, depth: usize| {
        let own = (0..20).map(|number| RequestOp::Put(PutRequest { key: format!("{depth}/{number}").into(), ..PutRequest::default() }));
        TxnRequest { success: own.chain(inner.map(RequestOp::Txn)).collect(), ..TxnRequest::default() }
    };
    let nested = (0..100).fold(None, |inner, depth| Some(level(inner, depth))).unwrap();
    assert_eq!(nested.validate(0, &Limits { txn_operations: 100 * 21, ..Limits::default() }), Ok(()));
}
