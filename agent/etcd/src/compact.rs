//! `KV.Compact`.

use shoal_kv::{Command, Outcome};
use tonic::Status;

use crate::{
    response,
    shared::Shared,
    status::{self, Error},
    wire::etcdserverpb::{CompactionRequest, CompactionResponse},
};

pub(crate) async fn compact(shared: &Shared, request: CompactionRequest) -> Result<CompactionResponse, Status> {
    let command = Command::Compact(shoal_kv::CompactionRequest { revision: request.revision });
    let response = match shared.replica.propose(command).await.map_err(Error::from)? {
        Outcome::Compact(response) => response.map_err(Error::from)?,
        other => unreachable!("a compaction has no outcome like {other:?}"),
    };
    if request.physical {
        shared.replica.physical_compaction().await.map_err(status::storage)?;
    }
    Ok(response::compaction(response, shared.header()))
}
