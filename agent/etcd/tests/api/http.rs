use shoal_etcd::wire::etcdserverpb::{AlarmRequest, AlarmType, alarm_request::AlarmAction};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::server::{Server, put, soon};

/// The status and the body that a path is answered with.
async fn fetch(server: &Server, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address).await.expect("the server is there");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut response = String::new();
    soon(stream.read_to_string(&mut response)).await.expect("it is answered");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, body.to_owned())
}

async fn raise(server: &Server, alarm: AlarmType) {
    let request = AlarmRequest { action: AlarmAction::Activate.into(), member_id: 1, alarm: alarm.into() };
    server.maintenance().alarm(request).await.expect("it is raised");
}

#[tokio::test]
async fn a_healthy_member_says_so() {
    let server = Server::start().await;
    for path in ["/health", "/health?serializable=true"] {
        assert_eq!(fetch(&server, path).await, (200, r#"{"health":"true","reason":""}"#.to_owned()));
    }
    assert_eq!(fetch(&server, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(fetch(&server, "/readyz").await, (200, "ok\n".to_owned()));
    let verbose = "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n";
    assert_eq!(fetch(&server, "/readyz?verbose").await, (200, verbose.to_owned()));
    assert_eq!(fetch(&server, "/readyz/linearizable_read").await.0, 200);
    assert_eq!(fetch(&server, "/livez/linearizable_read").await.0, 404);
}

#[tokio::test]
async fn an_ill_member_says_why() {
    let server = Server::start().await;
    server.replica.set_leader(None);
    assert_eq!(fetch(&server, "/health").await, (503, "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n".to_owned()));
    assert_eq!(fetch(&server, "/health?serializable=true").await.0, 200, "this member alone is well");
    raise(&server, AlarmType::Corrupt).await;
    let (status, body) = fetch(&server, "/health?serializable=true").await;
    assert_eq!((status, body.as_str()), (503, "{\"health\":\"false\",\"reason\":\"ALARM CORRUPT\"}\n"));
    assert_eq!(fetch(&server, "/health?serializable=true&exclude=NOSPACE&exclude=CORRUPT").await.0, 200);
    let (status, body) = fetch(&server, "/readyz").await;
    assert!(status == 503 && body.contains("[-]data_corruption failed: alarm activated: CORRUPT"), "{body}");
    assert_eq!(fetch(&server, "/livez").await.0, 200, "that is no reason to kill it");
}

#[tokio::test]
async fn the_version_is_told() {
    let server = Server::start().await;
    let text = r#"{"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"3.7.0"}"#;
    assert_eq!(fetch(&server, "/version").await, (200, text.to_owned()));
    assert_eq!(fetch(&server, "/v2/keys").await.0, 404);
}

#[tokio::test]
async fn metrics_have_etcds_names() {
    let server = Server::start().await;
    server.put("key", "value").await;
    server.kv().put(put("", "value")).await.expect_err("it has no key");
    let (status, text) = fetch(&server, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "etcd_server_has_leader 1\n",
        "etcd_server_is_leader 1\n",
        "etcd_server_version{server_version=\"3.7.3\"} 1\n",
        "etcd_debugging_mvcc_keys_total 1\n",
        "etcd_debugging_mvcc_current_revision 2\n",
        "etcd_server_client_requests_total{client_api_version=\"unknown\",type=\"unary\"} 2\n",
        "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1\n",
        "grpc_server_handled_total{grpc_code=\"InvalidArgument\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1\n",
        "# TYPE etcd_mvcc_db_total_size_in_bytes gauge\n",
        "# TYPE process_resident_memory_bytes gauge\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

#[tokio::test]
async fn calls_of_what_does_not_exist_make_no_metrics() {
    let server = Server::start().await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address)).expect("a URL").connect_lazy();
    let mut client = tonic::client::Grpc::new(channel);
    for name in ["/made.up/Method", "/etcdserverpb.KV/MadeUp"] {
        client.ready().await.expect("the server is there");
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let status = client.unary(tonic::Request::new(()), name.parse().expect("a path"), codec).await.expect_err("it is refused");
        assert_eq!(status.code(), tonic::Code::Unimplemented);
    }
    let (_, text) = fetch(&server, "/metrics").await;
    assert!(!text.contains("made") && !text.contains("MadeUp"), "{text}");
}

#[tokio::test]
async fn grpc_asks_for_health_in_its_own_way() {
    let server = Server::start().await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address)).expect("a URL").connect_lazy();
    let response = HealthClient::new(channel).check(HealthCheckRequest::default()).await.expect("it is answered").into_inner();
    assert_eq!(response.status(), ServingStatus::Serving);
}
