//! A server of its own for each test, on a port that the system chooses.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use shoal_cluster::{Local, local::LocalConfig};
use shoal_etcd::{
    Options,
    status::Error,
    tls::ServerConfig,
    wire::etcdserverpb::{
        LeaseGrantRequest, PutRequest, RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse, auth_client::AuthClient,
        cluster_client::ClusterClient, kv_client::KvClient, lease_client::LeaseClient, maintenance_client::MaintenanceClient,
        watch_client::WatchClient, watch_request::RequestUnion,
    },
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

/// How long anything may take in a test before it has failed.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server; it ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) replica: Arc<Local>,
    channel: Channel,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(LocalConfig::default(), Options::default()).await
    }

    pub(crate) async fn with(config: LocalConfig, options: Options) -> Self {
        Self::with_tls(config, options, None).await
    }

    pub(crate) async fn with_tls(config: LocalConfig, options: Options, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        let replica = Arc::new(Local::new(config));
        let router = shoal_etcd::router(replica.clone(), options);
        let task = tokio::spawn(shoal_etcd::serve(listener, tls, router, std::future::pending()));
        let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URL").connect_lazy();
        Self { address, replica, channel, task }
    }

    pub(crate) fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    pub(crate) fn watch(&self) -> WatchClient<Channel> {
        WatchClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    pub(crate) fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    pub(crate) fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel.clone())
    }

    pub(crate) fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel.clone())
    }

    pub(crate) fn auth(&self) -> AuthClient<Channel> {
        AuthClient::new(self.channel.clone())
    }

    /// Watches a key from now on.
    pub(crate) async fn follow(&self, key: &str) -> (mpsc::Sender<WatchRequest>, Streaming<WatchResponse>) {
        let (requests, receiver) = mpsc::channel(1);
        let create = WatchCreateRequest { key: key.to_owned().into(), ..WatchCreateRequest::default() };
        requests.send(WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }).await.expect("it is open");
        let mut responses = self.watch().watch(ReceiverStream::new(receiver)).await.expect("it opens").into_inner();
        assert!(soon(responses.message()).await.expect("it goes on").expect("an answer").created);
        (requests, responses)
    }

    /// Grants a lease for a minute and returns its id.
    pub(crate) async fn grant(&self) -> i64 {
        let request = LeaseGrantRequest { id: 0, ttl: 60 };
        self.lease().lease_grant(request).await.expect("it is granted").into_inner().id
    }

    /// Puts a key and returns the revision.
    pub(crate) async fn put(&self, key: &str, value: &str) -> i64 {
        let response = self.kv().put(put(key, value)).await.expect("it is put").into_inner();
        response.header.expect("every response has a header").revision
    }
}

pub(crate) fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() }
}

pub(crate) fn get(key: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() }
}

/// All keys from `from` up to `to`.
pub(crate) fn range(from: &str, to: &str) -> RangeRequest {
    RangeRequest { range_end: to.to_owned().into(), ..get(from) }
}

/// Waits, but not for ever.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    time::timeout(DEADLINE, future).await.expect("it does not take that long")
}

/// Holds a refusal to etcd's text and code.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(result: Result<T, Status>, error: Error) {
    let status = result.expect_err("it is refused");
    assert_eq!((status.code(), status.message()), (error.code(), error.to_string().as_str()));
}
