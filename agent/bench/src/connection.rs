//! The client of the cases that etcd's benchmark client does not have: the same one for both servers.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use shoal_etcd::wire::etcdserverpb::{
    LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, StatusRequest, TxnRequest, kv_client::KvClient, lease_client::LeaseClient,
    maintenance_client::MaintenanceClient, request_op,
};
use tonic::transport::{Channel, Endpoint};

/// What a client takes unread, of one call and of all. Large enough that the server never waits for the client's permission.
const WINDOW_BYTES: u32 = 16 << 20;

/// How long to wait before a server that is starting is asked again.
const READY_PAUSE: Duration = Duration::from_millis(2);

/// How long one answer of a server that is starting may take.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// Puts in one transaction when many objects are loaded: below etcd's 128, and below its request size with objects of 1 KiB.
pub(crate) const LOAD_TXN_PUTS: usize = 100;

/// A connection to one server.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) channel: Channel,
}

impl Connection {
    /// To an endpoint like `http://127.0.0.1:2379`; it connects when it is used.
    pub(crate) fn new(endpoint: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(endpoint.to_owned())
            .context("the endpoint is no URL")?
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        Ok(Self { channel: endpoint.connect_lazy() })
    }

    pub(crate) fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    /// Returns when a linearizable read has been answered.
    pub(crate) async fn until_ready(&self) {
        loop {
            let answer = tokio::time::timeout(READY_TIMEOUT, self.kv().range(get("ready"))).await;
            if matches!(answer, Ok(Ok(_))) {
                return;
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
    }

    /// Puts a key.
    pub(crate) async fn put(&self, key: &str, value: Bytes, lease: i64) -> Result<(), tonic::Status> {
        let request = PutRequest { key: key.to_owned().into(), value, lease, ..PutRequest::default() };
        self.kv().put(request).await.map(|_| ())
    }

    /// Puts objects in transactions of [`LOAD_TXN_PUTS`].
    pub(crate) async fn load(&self, objects: usize, key: impl Fn(usize) -> String, value: impl Fn(usize) -> Bytes) -> anyhow::Result<()> {
        let mut kv = self.kv();
        for first in (0..objects).step_by(LOAD_TXN_PUTS) {
            let put = |at: usize| RequestOp {
                request: Some(request_op::Request::RequestPut(PutRequest {
                    key: key(at).into(),
                    value: value(at),
                    ..PutRequest::default()
                })),
            };
            let success = (first..objects.min(first + LOAD_TXN_PUTS)).map(put).collect();
            kv.txn(TxnRequest { success, ..TxnRequest::default() }).await.context("cannot load objects")?;
        }
        Ok(())
    }

    /// Grants a lease and returns its id.
    pub(crate) async fn grant(&self, seconds: i64) -> Result<i64, tonic::Status> {
        let request = LeaseGrantRequest { ttl: seconds, id: 0 };
        Ok(LeaseClient::new(self.channel.clone()).lease_grant(request).await?.into_inner().id)
    }

    /// Whether the member is its cluster's leader.
    pub(crate) async fn leads(&self) -> anyhow::Result<bool> {
        let status = MaintenanceClient::new(self.channel.clone()).status(StatusRequest {}).await.context("no status")?.into_inner();
        Ok(status.header.is_some_and(|header| header.member_id == status.leader))
    }
}

/// A read of one key.
pub(crate) fn get(key: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() }
}
