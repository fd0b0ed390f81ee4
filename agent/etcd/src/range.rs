//! `KV.Range`.

use crate::{
    request, response,
    shared::Shared,
    status::Error,
    wire::etcdserverpb::{RangeRequest, RangeResponse},
};

pub(crate) async fn range(shared: &Shared, request: RangeRequest) -> Result<RangeResponse, Error> {
    let serializable = request.serializable;
    let request = request::range(request)?;
    if !serializable {
        shared.replica.read_barrier().await?;
    }
    let response = shared.replica.store().range(&request)?;
    Ok(response::range(response, shared.header()))
}
