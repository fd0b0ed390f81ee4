//! `KV.Txn`. A transaction that only reads takes no place in the log.

use prost::Message;
use shoal_kv::{Command, Outcome};

use crate::{
    request, response,
    shared::Shared,
    status::Error,
    wire::etcdserverpb::{RequestOp, TxnRequest, TxnResponse, request_op::Request},
};

pub(crate) async fn txn(shared: &Shared, request: TxnRequest) -> Result<TxnResponse, Error> {
    let serializable = request.success.iter().chain(&request.failure).all(reads_serializable);
    let encoded_bytes = request.encoded_len();
    let request = request::txn(request)?;
    if request.is_read_only() {
        request.validate(encoded_bytes, &shared.replica.limits())?;
        if !serializable {
            shared.replica.read_barrier().await?;
        }
        let response = shared.replica.store().read_txn(&request)?;
        return Ok(response::txn(response, shared.header()));
    }
    match shared.replica.propose(Command::Txn(request)).await? {
        Outcome::Txn(response) => Ok(response::txn(response?, shared.header())),
        other => unreachable!("a transaction has no outcome like {other:?}"),
    }
}

/// Whether an operation is a read that may be old.
fn reads_serializable(operation: &RequestOp) -> bool {
    matches!(&operation.request, Some(Request::RequestRange(range)) if range.serializable)
}
