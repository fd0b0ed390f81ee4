//! The service KV. Each method is in a file of its own.

use std::pin::Pin;

use futures_util::Stream;
use tonic::{Request, Response, Status};

use crate::{
    compact, delete, put, range, range_stream,
    shared::{Learner, Shared},
    txn,
    wire::etcdserverpb::{
        CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest,
        RangeResponse, RangeStreamResponse, TxnRequest, TxnResponse, kv_server::Kv,
    },
};

/// `etcdserverpb.KV`.
#[derive(Debug, Clone)]
pub(crate) struct KvService(pub(crate) Shared);

#[tonic::async_trait]
impl Kv for KvService {
    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        // A read that may be old is the one thing of this service that a learner can do.
        let learner = if request.get_ref().serializable { Learner::Answers } else { Learner::Refuses };
        self.0.admit(request.metadata(), learner)?;
        Ok(Response::new(range::range(&self.0, request.into_inner()).await?))
    }

    type RangeStreamStream = Pin<Box<dyn Stream<Item = Result<RangeStreamResponse, Status>> + Send>>;

    async fn range_stream(&self, request: Request<RangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(Box::pin(range_stream::range_stream(&self.0, request.into_inner()).await?)))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(put::put(&self.0, request.into_inner()).await?))
    }

    async fn delete_range(&self, request: Request<DeleteRangeRequest>) -> Result<Response<DeleteRangeResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(delete::delete_range(&self.0, request.into_inner()).await?))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(txn::txn(&self.0, request.into_inner()).await?))
    }

    async fn compact(&self, request: Request<CompactionRequest>) -> Result<Response<CompactionResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(compact::compact(&self.0, request.into_inner()).await?))
    }
}
