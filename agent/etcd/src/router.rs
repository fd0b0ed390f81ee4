//! All services on one router.

use std::sync::Arc;

use axum::{Router, response::Response};
use http::{HeaderMap, header::CONTENT_TYPE};
use shoal_cluster::Replica;
use tonic::{Status, service::Routes};

use crate::{
    auth::AuthService,
    cluster::ClusterService,
    http::{self as plain, not_found},
    kv::KvService,
    lease::LeaseService,
    maintenance::MaintenanceService,
    metrics::ServiceMetrics,
    observe::Observe,
    shared::{Options, Shared},
    watch::WatchService,
    wire::etcdserverpb::{
        auth_server::AuthServer, cluster_server::ClusterServer, kv_server::KvServer, lease_server::LeaseServer,
        maintenance_server::MaintenanceServer, watch_server::WatchServer,
    },
};

/// What a message of gRPC may be larger than the write in it, in bytes: etcd's `grpcOverheadBytes`. What is between the two limits is refused with
/// "request is too large", what is above both without being read.
const MESSAGE_OVERHEAD_BYTES: usize = 512 * 1024;

/// What no service and no path is called: each protocol has its own answer.
async fn unknown(headers: HeaderMap) -> Response {
    let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc { Status::unimplemented("unknown service").into_http() } else { not_found() }
}

/// Everything the client port answers: the services of etcd and `grpc.health.v1`, and the paths of HTTP.
pub fn router(replica: Arc<dyn Replica>, options: Options) -> Router {
    let message_bytes = replica.limits().request_bytes.saturating_add(MESSAGE_OVERHEAD_BYTES);
    let shared = Shared::new(replica, options);
    let metrics = Arc::new(ServiceMetrics::new());
    // The empty name is the server as a whole; it serves from the start.
    let (_, health) = tonic_health::server::health_reporter();
    let mut services = Routes::builder();
    services
        .add_service(KvServer::new(KvService(shared.clone())).max_decoding_message_size(message_bytes))
        .add_service(WatchServer::new(WatchService(shared.clone())).max_decoding_message_size(message_bytes))
        .add_service(LeaseServer::new(LeaseService(shared.clone())).max_decoding_message_size(message_bytes))
        .add_service(ClusterServer::new(ClusterService(shared.clone())).max_decoding_message_size(message_bytes))
        .add_service(MaintenanceServer::new(MaintenanceService(shared.clone())).max_decoding_message_size(message_bytes))
        .add_service(AuthServer::new(AuthService(shared.clone())).max_decoding_message_size(message_bytes))
        .add_service(health);
    services.routes().into_axum_router().layer(Observe(metrics.clone())).merge(plain::routes(shared, metrics)).fallback(unknown)
}
