//! The service Cluster. As in etcd, its headers have no revision.

use shoal_cluster::MemberChange;
use tonic::{Request, Response, Status};

use crate::{
    shared::{Learner, Shared},
    status::Error,
    wire::etcdserverpb::{
        Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest, MemberPromoteResponse,
        MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest, MemberUpdateResponse, cluster_server::Cluster,
    },
};

/// `etcdserverpb.Cluster`.
#[derive(Debug, Clone)]
pub(crate) struct ClusterService(pub(crate) Shared);

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(&self, request: Request<MemberListRequest>) -> Result<Response<MemberListResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        if request.get_ref().linearizable {
            self.0.replica.read_barrier().await.map_err(Error::from)?;
        }
        let members = wire(self.0.replica.members());
        Ok(Response::new(MemberListResponse { header: Some(self.0.header()), members }))
    }

    async fn member_add(&self, request: Request<MemberAddRequest>) -> Result<Response<MemberAddResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        let MemberAddRequest { peer_ur_ls, is_learner } = request.into_inner();
        let MemberChange { id, members } = self.0.replica.member_add(peer_ur_ls, is_learner).await.map_err(Error::from)?;
        let members = wire(members);
        let member = members.iter().find(|member| member.id == id).cloned();
        Ok(Response::new(MemberAddResponse { header: Some(self.0.header()), member, members }))
    }

    async fn member_promote(&self, request: Request<MemberPromoteRequest>) -> Result<Response<MemberPromoteResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        let change = self.0.replica.member_promote(request.into_inner().id).await.map_err(Error::from)?;
        Ok(Response::new(MemberPromoteResponse { header: Some(self.0.header()), members: wire(change.members) }))
    }

    async fn member_update(&self, request: Request<MemberUpdateRequest>) -> Result<Response<MemberUpdateResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        let MemberUpdateRequest { id, peer_ur_ls } = request.into_inner();
        let change = self.0.replica.member_update(id, peer_ur_ls).await.map_err(Error::from)?;
        Ok(Response::new(MemberUpdateResponse { header: Some(self.0.header()), members: wire(change.members) }))
    }

    async fn member_remove(&self, request: Request<MemberRemoveRequest>) -> Result<Response<MemberRemoveResponse>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        let change = self.0.replica.member_remove(request.into_inner().id).await.map_err(Error::from)?;
        Ok(Response::new(MemberRemoveResponse { header: Some(self.0.header()), members: wire(change.members) }))
    }
}

fn wire(members: Vec<shoal_cluster::Member>) -> Vec<Member> {
    members
        .into_iter()
        .map(|member| Member {
            id: member.id,
            name: member.name,
            peer_ur_ls: member.peer_urls,
            client_ur_ls: member.client_urls,
            is_learner: member.is_learner,
        })
        .collect()
}
