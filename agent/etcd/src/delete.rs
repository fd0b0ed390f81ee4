//! `KV.DeleteRange`.

use shoal_kv::{Command, Outcome};

use crate::{
    request, response,
    shared::Shared,
    status::Error,
    wire::etcdserverpb::{DeleteRangeRequest, DeleteRangeResponse},
};

pub(crate) async fn delete_range(shared: &Shared, request: DeleteRangeRequest) -> Result<DeleteRangeResponse, Error> {
    match shared.replica.propose(Command::DeleteRange(request::delete_range(request))).await? {
        Outcome::DeleteRange(response) => Ok(response::delete_range(response?, shared.header())),
        other => unreachable!("a deletion has no outcome like {other:?}"),
    }
}
