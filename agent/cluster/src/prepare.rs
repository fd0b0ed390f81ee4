//! What happens to a command before it takes a place in the log.

use std::time::Duration;

use shoal_kv::{Command, LeaseGrantError, Limits, Outcome, PutError, RequestOp, TxnError, TxnRequest};

use crate::codec;

/// How deep transactions may be nested, whatever the limit of operations: the encoding of a deeper one could not be decoded (`prost` takes at
/// most 100 messages inside each other, two for each level and some for what is around). etcd's own decoder ends there, too.
pub(crate) const TXN_DEPTH_MAX: usize = 40;

/// Bytes of a put or a grant besides what the client gave, towards the quota (etcd's `costPut` adds what its backend needs).
const WRITE_OVERHEAD_BYTES: u64 = 256;

/// The shortest time to live that is granted, in seconds: three half election timeouts, as in etcd, so that a lease outlives the election of the
/// leader that renews it.
pub(crate) fn min_ttl(election_timeout: Duration) -> i64 {
    i64::try_from((election_timeout * 3 / 2).as_millis().div_ceil(1000)).unwrap_or(i64::MAX).max(1)
}

/// The command as it is to be replicated, or the answer if it is not to be.
pub(crate) fn prepare(command: Command, limits: &Limits, min_ttl: i64, choose_id: impl FnOnce() -> i64) -> Result<Command, Outcome> {
    match &command {
        Command::Put(put) => put.validate(codec::encoded_len(&command), limits).map_err(|error| Outcome::Put(Err(error)))?,
        Command::DeleteRange(delete) => {
            delete.validate(codec::encoded_len(&command), limits).map_err(|error| Outcome::DeleteRange(Err(error)))?;
        }
        Command::Txn(txn) => {
            let deep = if is_deeper(txn, TXN_DEPTH_MAX) { Err(TxnError::TooManyOperations) } else { Ok(()) };
            deep.and_then(|()| txn.validate(codec::encoded_len(&command), limits)).map_err(|error| Outcome::Txn(Err(error)))?;
        }
        Command::LeaseGrant(grant) => {
            let grant = grant.prepare(choose_id(), min_ttl).map_err(|error| Outcome::LeaseGrant(Err(error)))?;
            return Ok(Command::LeaseGrant(grant));
        }
        Command::Compact(_) | Command::LeaseRevoke(_) | Command::Alarm(_) => {}
    }
    Ok(command)
}

/// Whether more than `depth` transactions are inside each other.
fn is_deeper(txn: &TxnRequest, depth: usize) -> bool {
    depth == 0
        || txn.success.iter().chain(&txn.failure).any(|op| match op {
            RequestOp::Txn(txn) => is_deeper(txn, depth - 1),
            RequestOp::Range(_) | RequestOp::Put(_) | RequestOp::DeleteRange(_) => false,
        })
}

/// About how many bytes the command may add to the store; `None` if it adds none, so that it is allowed however full the store is.
pub(crate) fn added_bytes(command: &Command) -> Option<u64> {
    match command {
        Command::Put(put) => Some((put.key.len() + put.value.len()) as u64 + WRITE_OVERHEAD_BYTES),
        Command::Txn(txn) => added_by_txn(txn),
        Command::LeaseGrant(_) => Some(WRITE_OVERHEAD_BYTES),
        Command::DeleteRange(_) | Command::Compact(_) | Command::LeaseRevoke(_) | Command::Alarm(_) => None,
    }
}

/// The larger of the two branches, as etcd's `costTxn`.
fn added_by_txn(txn: &TxnRequest) -> Option<u64> {
    let branch = |ops: &[RequestOp]| {
        ops.iter()
            .filter_map(|op| match op {
                RequestOp::Put(put) => Some((put.key.len() + put.value.len()) as u64 + WRITE_OVERHEAD_BYTES),
                RequestOp::Txn(txn) => added_by_txn(txn),
                RequestOp::Range(_) | RequestOp::DeleteRange(_) => None,
            })
            .reduce(|sum, one| sum + one)
    };
    branch(&txn.success).max(branch(&txn.failure))
}

/// The answer to a command that the quota does not allow.
pub(crate) fn no_space(command: &Command) -> Option<Outcome> {
    match command {
        Command::Put(_) => Some(Outcome::Put(Err(PutError::NoSpace))),
        Command::Txn(_) => Some(Outcome::Txn(Err(TxnError::NoSpace))),
        Command::LeaseGrant(_) => Some(Outcome::LeaseGrant(Err(LeaseGrantError::NoSpace))),
        Command::DeleteRange(_) | Command::Compact(_) | Command::LeaseRevoke(_) | Command::Alarm(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shoal_kv::{LeaseGrantRequest, PutRequest};

    use super::*;

    fn nested(depth: usize) -> TxnRequest {
        (1..depth).fold(TxnRequest::default(), |inner, _| TxnRequest { success: vec![RequestOp::Txn(inner)], ..TxnRequest::default() })
    }

    #[test]
    fn the_deepest_transaction_that_is_allowed_can_be_decoded() {
        let limits = Limits::default();
        let deepest = prepare(Command::Txn(nested(TXN_DEPTH_MAX)), &limits, 1, || 1).expect("it is allowed");
        assert_eq!(codec::decode_command(codec::encode_command(&deepest)), Ok(deepest));
        let outcome = prepare(Command::Txn(nested(TXN_DEPTH_MAX + 1)), &limits, 1, || 1);
        assert_eq!(outcome, Err(Outcome::Txn(Err(TxnError::TooManyOperations))));
    }

    #[test]
    fn a_lease_gets_an_id_and_at_least_the_minimal_time() {
        let grant = |id, ttl| prepare(Command::LeaseGrant(LeaseGrantRequest { id, ttl }), &Limits::default(), 2, || 7);
        assert_eq!(grant(0, 1), Ok(Command::LeaseGrant(LeaseGrantRequest { id: 7, ttl: 2 })));
        assert_eq!(grant(3, 60), Ok(Command::LeaseGrant(LeaseGrantRequest { id: 3, ttl: 60 })));
        assert_eq!(grant(3, i64::MAX), Err(Outcome::LeaseGrant(Err(LeaseGrantError::TtlTooLarge))));
    }

    #[test]
    fn only_what_adds_something_counts_towards_the_quota() {
        let put = PutRequest { key: Bytes::from_static(b"k"), value: Bytes::from_static(b"value"), ..PutRequest::default() };
        assert_eq!(added_bytes(&Command::Put(put.clone())), Some(6 + WRITE_OVERHEAD_BYTES));
        let writes = TxnRequest { failure: vec![RequestOp::Put(put.clone()), RequestOp::Put(put)], ..TxnRequest::default() };
        assert_eq!(added_bytes(&Command::Txn(writes)), Some(2 * (6 + WRITE_OVERHEAD_BYTES)));
        let deletes =
            TxnRequest { success: vec![RequestOp::DeleteRange(shoal_kv::DeleteRangeRequest::default())], ..TxnRequest::default() };
        assert_eq!(added_bytes(&Command::Txn(deletes)), None);
    }
}
