//! `Maintenance.Hash` and `Maintenance.HashKV`, for members to compare themselves with each other. The hash is our own, so that an etcd's is
//! another one.

use crate::{
    shared::Shared,
    status::Error,
    wire::etcdserverpb::{HashKvRequest, HashKvResponse, HashResponse, ResponseHeader},
};

/// etcd hashes its file, whose bytes depend on when things were written. What can be compared is the content.
pub(crate) async fn hash(shared: &Shared) -> Result<HashResponse, Error> {
    let hashed = shared.replica.hash_kv(0).await?;
    let header = ResponseHeader { revision: hashed.revision, ..shared.header() };
    Ok(HashResponse { header: Some(header), hash: hashed.hash })
}

pub(crate) async fn hash_kv(shared: &Shared, request: HashKvRequest) -> Result<HashKvResponse, Error> {
    let hashed = shared.replica.hash_kv(request.revision).await?;
    let header = ResponseHeader { revision: hashed.revision, ..shared.header() };
    Ok(HashKvResponse {
        header: Some(header),
        hash: hashed.hash,
        compact_revision: hashed.compact_revision,
        hash_revision: hashed.hash_revision,
    })
}
