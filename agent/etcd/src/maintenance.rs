//! The service Maintenance.

use std::pin::Pin;

use futures_util::Stream;
use tonic::{Request, Response, Status};

use crate::{
    alarm, downgrade, hash,
    shared::{Learner, Shared},
    snapshot,
    status::{self, Error},
    version::{SERVER_VERSION, STORAGE_VERSION},
    wire::etcdserverpb::{
        AlarmRequest, AlarmResponse, DefragmentRequest, DefragmentResponse, DowngradeInfo, DowngradeRequest, DowngradeResponse,
        HashKvRequest, HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, SnapshotResponse,
        StatusRequest, StatusResponse, maintenance_server::Maintenance,
    },
};

/// `etcdserverpb.Maintenance`.
#[derive(Debug, Clone)]
pub(crate) struct MaintenanceService(pub(crate) Shared);

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(alarm::alarm(&self.0, request.into_inner()).await?))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Answers)?;
        let status = self.0.replica.status();
        Ok(Response::new(StatusResponse {
            header: Some(self.0.header_now()),
            version: SERVER_VERSION.to_owned(),
            db_size: signed(status.db_size),
            leader: status.leader.unwrap_or_default(),
            raft_index: status.raft_index,
            raft_term: status.raft_term,
            raft_applied_index: status.raft_applied_index,
            errors: status.errors,
            db_size_in_use: signed(status.db_size_in_use),
            is_learner: status.is_learner,
            storage_version: STORAGE_VERSION.to_owned(),
            db_size_quota: signed(status.db_size_quota),
            downgrade_info: Some(DowngradeInfo::default()),
        }))
    }

    async fn defragment(&self, request: Request<DefragmentRequest>) -> Result<Response<DefragmentResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        self.0.replica.defragment().await.map_err(status::storage)?;
        Ok(Response::new(DefragmentResponse { header: None }))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(hash::hash(&self.0).await?))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(hash::hash_kv(&self.0, request.into_inner()).await?))
    }

    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<SnapshotResponse, Status>> + Send>>;

    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        self.0.admit(request.metadata(), Learner::Answers)?;
        Ok(Response::new(Box::pin(snapshot::snapshot(&self.0).await?)))
    }

    async fn move_leader(&self, request: Request<MoveLeaderRequest>) -> Result<Response<MoveLeaderResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        self.0.replica.move_leader(request.into_inner().target_id).await.map_err(Error::from)?;
        Ok(Response::new(MoveLeaderResponse { header: None }))
    }

    async fn downgrade(&self, request: Request<DowngradeRequest>) -> Result<Response<DowngradeResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(downgrade::downgrade(&self.0, &request.into_inner())?))
    }
}

/// Sizes are unsigned here and signed on the wire.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
