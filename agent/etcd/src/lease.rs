//! The service Lease.

use std::pin::Pin;

use futures_util::{Stream, stream};
use shoal_cluster::LeaseError;
use shoal_kv::{Command, Outcome};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    shared::{Learner, Shared},
    status::Error,
    wire::etcdserverpb::{
        LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest, LeaseLeasesResponse,
        LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, ResponseHeader,
        lease_server::Lease,
    },
};

/// The time to live of a lease that does not exist, in `LeaseTimeToLiveResponse`.
const NO_LEASE_TTL: i64 = -1;

/// `etcdserverpb.Lease`.
#[derive(Debug, Clone)]
pub(crate) struct LeaseService(pub(crate) Shared);

#[tonic::async_trait]
impl Lease for LeaseService {
    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Result<Response<LeaseGrantResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(grant(&self.0, request.into_inner()).await?))
    }

    async fn lease_revoke(&self, request: Request<LeaseRevokeRequest>) -> Result<Response<LeaseRevokeResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(revoke(&self.0, request.into_inner()).await?))
    }

    type LeaseKeepAliveStream = Pin<Box<dyn Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        let leader_is_lost = Box::pin(self.0.until_leader_is_lost(request.metadata()));
        Ok(Response::new(Box::pin(keep_alive(self.0.clone(), request.into_inner(), leader_is_lost))))
    }

    async fn lease_time_to_live(&self, request: Request<LeaseTimeToLiveRequest>) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        Ok(Response::new(time_to_live(&self.0, request.into_inner()).await?))
    }

    async fn lease_leases(&self, request: Request<LeaseLeasesRequest>) -> Result<Response<LeaseLeasesResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        let header = self.0.header_now();
        let leases = self.0.replica.store().leases().map(|(id, _)| LeaseStatus { id }).collect();
        Ok(Response::new(LeaseLeasesResponse { header: Some(header), leases }))
    }
}

async fn grant(shared: &Shared, request: LeaseGrantRequest) -> Result<LeaseGrantResponse, Error> {
    let command = Command::LeaseGrant(shoal_kv::LeaseGrantRequest { id: request.id, ttl: request.ttl });
    match shared.replica.propose(command).await? {
        Outcome::LeaseGrant(response) => {
            let response = response?;
            let header = ResponseHeader { revision: response.revision, ..shared.header() };
            Ok(LeaseGrantResponse { header: Some(header), id: response.id, ttl: response.ttl, error: String::new() })
        }
        other => unreachable!("a grant has no outcome like {other:?}"),
    }
}

async fn revoke(shared: &Shared, request: LeaseRevokeRequest) -> Result<LeaseRevokeResponse, Error> {
    let command = Command::LeaseRevoke(shoal_kv::LeaseRevokeRequest { id: request.id });
    match shared.replica.propose(command).await? {
        Outcome::LeaseRevoke(response) => {
            let header = ResponseHeader { revision: response?.revision, ..shared.header() };
            Ok(LeaseRevokeResponse { header: Some(header) })
        }
        other => unreachable!("a revocation has no outcome like {other:?}"),
    }
}

/// Answers each request with the time the lease has now, in order. Ends when the client does, or with the first error.
fn keep_alive(
    shared: Shared,
    requests: Streaming<LeaseKeepAliveRequest>,
    leader_is_lost: impl Future<Output = ()> + Send + Unpin,
) -> impl Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send {
    stream::unfold(Some((shared, requests, leader_is_lost)), |state| async move {
        let (shared, mut requests, mut leader_is_lost) = state?;
        let answer = tokio::select! {
            () = &mut leader_is_lost => Err(Error::NoLeader.into()),
            answer = async {
                let request = requests.message().await.transpose()?;
                Some(match request {
                    Ok(request) => renew(&shared, request).await.map_err(Status::from),
                    Err(status) => Err(status),
                })
            } => answer?,
        };
        let rest = answer.is_ok().then_some((shared, requests, leader_is_lost));
        Some((answer, rest))
    })
}

async fn renew(shared: &Shared, LeaseKeepAliveRequest { id }: LeaseKeepAliveRequest) -> Result<LeaseKeepAliveResponse, Error> {
    // The header is taken before: a client must not see a lease kept alive at a revision at which it had been revoked already.
    let header = Some(shared.header_now());
    match shared.replica.lease_renew(id).await {
        Ok(ttl) => Ok(LeaseKeepAliveResponse { header, id, ttl }),
        Err(LeaseError::NotFound) => Ok(LeaseKeepAliveResponse { header, id, ttl: 0 }),
        Err(error) => Err(error.into()),
    }
}

async fn time_to_live(shared: &Shared, request: LeaseTimeToLiveRequest) -> Result<LeaseTimeToLiveResponse, Error> {
    match shared.replica.lease_time_to_live(request.id, request.keys).await {
        Ok(lease) => Ok(LeaseTimeToLiveResponse {
            header: Some(shared.header_now()),
            id: request.id,
            ttl: i64::try_from(lease.remaining.as_secs()).unwrap_or(i64::MAX),
            granted_ttl: lease.granted_ttl,
            keys: lease.keys,
        }),
        Err(LeaseError::NotFound) => Ok(LeaseTimeToLiveResponse {
            header: Some(shared.header_now()),
            id: request.id,
            ttl: NO_LEASE_TTL,
            ..LeaseTimeToLiveResponse::default()
        }),
        Err(error) => Err(error.into()),
    }
}
