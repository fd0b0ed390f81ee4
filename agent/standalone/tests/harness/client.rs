//! A client of a member.

use std::time::Duration;

use shoal_etcd::wire::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberRemoveRequest, PutRequest, RangeRequest, StatusRequest, StatusResponse,
    cluster_client::ClusterClient, kv_client::KvClient, maintenance_client::MaintenanceClient,
};
use tonic::{
    Status,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

/// How long one request may take: longer than a member waits for a decision.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// How long connecting may take: nobody is far away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Talks to one member.
#[derive(Debug, Clone)]
pub(crate) struct Client(Channel);

impl Client {
    /// Connects when it is first needed, and again when the connection has broken.
    pub(crate) fn new(url: &str) -> Self {
        Self::with_timeout(url, REQUEST_TIMEOUT)
    }

    pub(crate) fn with_timeout(url: &str, timeout: Duration) -> Self {
        Self(endpoint(url, timeout).connect_lazy())
    }

    pub(crate) fn with_tls(url: &str, tls: ClientTlsConfig) -> Self {
        Self(endpoint(url, REQUEST_TIMEOUT).tls_config(tls).expect("the certificates are good").connect_lazy())
    }

    /// For requests that only one test has.
    pub(crate) fn channel(&self) -> Channel {
        self.0.clone()
    }

    /// Puts a key, and returns the revision.
    pub(crate) async fn put(&self, key: &str, value: &str) -> Result<i64, Status> {
        let put = PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() };
        let response = KvClient::new(self.0.clone()).put(put).await?.into_inner();
        Ok(response.header.expect("every response has one").revision)
    }

    /// The value of a key, as of now.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<String>, Status> {
        self.range(RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() }).await
    }

    /// The value of a key, as this member has it.
    pub(crate) async fn get_serializable(&self, key: &str) -> Result<Option<String>, Status> {
        self.range(RangeRequest { key: key.to_owned().into(), serializable: true, ..RangeRequest::default() }).await
    }

    async fn range(&self, range: RangeRequest) -> Result<Option<String>, Status> {
        let response = KvClient::new(self.0.clone()).range(range).await?.into_inner();
        Ok(response.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()))
    }

    pub(crate) async fn members(&self) -> Result<Vec<Member>, Status> {
        let list = ClusterClient::new(self.0.clone()).member_list(MemberListRequest { linearizable: true }).await?;
        Ok(list.into_inner().members)
    }

    /// Adds a member, and returns its id.
    pub(crate) async fn add(&self, peer_url: &str) -> Result<u64, Status> {
        let add = MemberAddRequest { peer_ur_ls: vec![peer_url.to_owned()], is_learner: false };
        let added = ClusterClient::new(self.0.clone()).member_add(add).await?.into_inner();
        Ok(added.member.expect("every response has it").id)
    }

    pub(crate) async fn remove(&self, id: u64) -> Result<(), Status> {
        ClusterClient::new(self.0.clone()).member_remove(MemberRemoveRequest { id }).await.map(drop)
    }

    pub(crate) async fn status(&self) -> Result<StatusResponse, Status> {
        Ok(MaintenanceClient::new(self.0.clone()).status(StatusRequest {}).await?.into_inner())
    }
}

fn endpoint(url: &str, timeout: Duration) -> Endpoint {
    Endpoint::from_shared(url.to_owned()).expect("it is a URL").timeout(timeout).connect_timeout(CONNECT_TIMEOUT)
}
