//! `KV.Put`.

use shoal_kv::{Command, Outcome};

use crate::{
    request, response,
    shared::Shared,
    status::Error,
    wire::etcdserverpb::{PutRequest, PutResponse},
};

pub(crate) async fn put(shared: &Shared, request: PutRequest) -> Result<PutResponse, Error> {
    match shared.replica.propose(Command::Put(request::put(request))).await? {
        Outcome::Put(response) => Ok(response::put(response?, shared.header())),
        other => unreachable!("a put has no outcome like {other:?}"),
    }
}
