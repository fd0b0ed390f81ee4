//! `Maintenance.Snapshot`: the replica's snapshot, and after it its SHA-256 in a message of its own.
//!
//! Clients of etcd hold a file for complete if its length is 32 more than a multiple of 512 (`clientv3/snapshot`), so that the snapshot itself is
//! a multiple of 512 long. The bytes are our own format, for `shoal-store snapshot`.

use futures_util::{Stream, stream};
use sha2::{Digest, Sha256};
use shoal_cluster::SnapshotStream;
use tonic::Status;

use crate::{shared::Shared, status, version::STORAGE_VERSION, wire::etcdserverpb::SnapshotResponse};

pub(crate) async fn snapshot(shared: &Shared) -> Result<impl Stream<Item = Result<SnapshotResponse, Status>> + use<>, Status> {
    let snapshot = shared.replica.snapshot().await.map_err(status::storage)?;
    let reading = Reading { remaining: snapshot.size_hint(), snapshot, digest: Sha256::new() };
    Ok(stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.snapshot.next().await {
            Some(Ok(blob)) => {
                reading.digest.update(&blob);
                reading.remaining = reading.remaining.saturating_sub(blob.len() as u64);
                Some((Ok(message(reading.remaining, blob)), Some(reading)))
            }
            Some(Err(error)) => Some((Err(status::storage(error)), None)),
            None => {
                let digest = reading.digest.finalize().to_vec().into();
                Some((Ok(message(0, digest)), None))
            }
        }
    }))
}

struct Reading {
    snapshot: SnapshotStream,
    /// What is left to be sent, as far as is known.
    remaining: u64,
    digest: Sha256,
}

fn message(remaining_bytes: u64, blob: bytes::Bytes) -> SnapshotResponse {
    SnapshotResponse { header: None, remaining_bytes, blob, version: STORAGE_VERSION.to_owned() }
}
