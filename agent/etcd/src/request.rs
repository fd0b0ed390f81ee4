//! From the wire's requests to those of the store.

use bytes::Bytes;
use shoal_kv::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, PutRequest, RangeError, RangeRequest, RequestOp, SortOrder, SortTarget,
    TxnError, TxnRequest,
};

use crate::wire::etcdserverpb::{self as wire, compare::TargetUnion, request_op::Request};

/// # Errors
/// [`RangeError::InvalidSortOption`] for a number that means nothing. A missing key comes first, as in etcd.
pub(crate) fn range(request: wire::RangeRequest) -> Result<RangeRequest, RangeError> {
    if request.key.is_empty() {
        return Err(RangeError::EmptyKey);
    }
    Ok(RangeRequest {
        sort_order: SortOrder::try_from(request.sort_order)?,
        sort_target: SortTarget::try_from(request.sort_target)?,
        key: request.key,
        range_end: request.range_end,
        limit: request.limit,
        revision: request.revision,
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: request.min_mod_revision,
        max_mod_revision: request.max_mod_revision,
        min_create_revision: request.min_create_revision,
        max_create_revision: request.max_create_revision,
    })
}

pub(crate) fn put(request: wire::PutRequest) -> PutRequest {
    PutRequest {
        key: request.key,
        value: request.value,
        lease: request.lease,
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    }
}

pub(crate) fn delete_range(request: wire::DeleteRangeRequest) -> DeleteRangeRequest {
    DeleteRangeRequest { key: request.key, range_end: request.range_end, prev_kv: request.prev_kv }
}

/// # Errors
/// [`TxnError`] for an operation that cannot be said in the store's terms.
pub(crate) fn txn(request: wire::TxnRequest) -> Result<TxnRequest, TxnError> {
    Ok(TxnRequest {
        compare: request.compare.into_iter().map(compare).collect(),
        success: request.success.into_iter().map(operation).collect::<Result<_, _>>()?,
        failure: request.failure.into_iter().map(operation).collect::<Result<_, _>>()?,
    })
}

fn operation(operation: wire::RequestOp) -> Result<RequestOp, TxnError> {
    Ok(match operation.request.ok_or(TxnError::KeyNotFound)? {
        Request::RequestRange(request) => RequestOp::Range(range(request)?),
        Request::RequestPut(request) => RequestOp::Put(put(request)),
        Request::RequestDeleteRange(request) => RequestOp::DeleteRange(delete_range(request)),
        Request::RequestTxn(request) => RequestOp::Txn(txn(request)?),
    })
}

fn compare(compare: wire::Compare) -> Compare {
    use wire::compare::CompareTarget as Target;

    // An operand that does not belong to the target counts as none given: 0, or no bytes.
    let target = match (Target::try_from(compare.target), compare.target_union) {
        (Ok(Target::Version), Some(TargetUnion::Version(version))) => CompareTarget::Version(version),
        (Ok(Target::Version), _) => CompareTarget::Version(0),
        (Ok(Target::Create), Some(TargetUnion::CreateRevision(revision))) => CompareTarget::CreateRevision(revision),
        (Ok(Target::Create), _) => CompareTarget::CreateRevision(0),
        (Ok(Target::Mod), Some(TargetUnion::ModRevision(revision))) => CompareTarget::ModRevision(revision),
        (Ok(Target::Mod), _) => CompareTarget::ModRevision(0),
        (Ok(Target::Value), Some(TargetUnion::Value(value))) => CompareTarget::Value(value),
        (Ok(Target::Value), _) => CompareTarget::Value(Bytes::new()),
        (Ok(Target::Lease), Some(TargetUnion::Lease(lease))) => CompareTarget::Lease(lease),
        (Ok(Target::Lease), _) => CompareTarget::Lease(0),
        (Err(_), _) => CompareTarget::Unrecognized,
    };
    Compare { result: CompareResult::from(compare.result), key: compare.key, range_end: compare.range_end, target }
}
