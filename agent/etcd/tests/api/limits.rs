//! Bad input: etcd's error or a closed connection, and other clients do not notice.

use bytes::Bytes;
use shoal_cluster::local::LocalConfig;
use shoal_etcd::{
    Options,
    wire::etcdserverpb::{WatchCreateRequest, WatchRequest, watch_client::WatchClient, watch_request::RequestUnion},
};
use shoal_kv::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, transport::Endpoint};

use crate::server::{Server, get, put, soon};

#[tokio::test]
async fn a_message_above_all_limits_is_refused_unread() {
    let config = LocalConfig { limits: Limits { request_bytes: 1000, ..Limits::default() }, ..LocalConfig::default() };
    let server = Server::with(config, Options::default()).await;
    let status = server.kv().put(put("key", &"v".repeat(600_000))).await.expect_err("it is refused");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "grpc: received message larger than max (600009 vs. 525288)");
    server.put("key", "value").await;
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    let server = Server::start().await;
    for garbage in [
        &b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage garbage",
        b"GET \xff\xff\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).await.expect("the server is there");
        stream.write_all(garbage).await.expect("it is sent");
        let mut rest = Vec::new();
        // Reset or ended: both are a closed connection.
        let _ = soon(stream.read_to_end(&mut rest)).await;
    }
    server.put("key", "value").await;
}

#[tokio::test]
async fn a_malformed_message_is_refused() {
    let server = Server::start().await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address)).expect("a URL").connect_lazy();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("the server is there");
    // A field of bytes that is longer than the message.
    let codec = tonic_prost::ProstCodec::<Malformed, ()>::default();
    let path = "/etcdserverpb.KV/Range".parse().expect("a path");
    let status = client.unary(Request::new(Malformed), path, codec).await.expect_err("it is refused");
    assert_eq!(status.code(), Code::Internal);
    server.put("key", "value").await;
}

/// Encodes as the beginning of a field that never comes.
#[derive(Debug)]
struct Malformed;

impl prost::Message for Malformed {
    fn encode_raw(&self, buffer: &mut impl bytes::BufMut) {
        buffer.put_slice(&[0x0a, 0x7f]);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl bytes::Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        2
    }

    fn clear(&mut self) {}
}

#[tokio::test]
async fn a_version_that_is_no_text_is_refused() {
    let server = Server::start().await;
    let mut request = Request::new(get("key"));
    let mut headers = request.metadata().clone().into_headers();
    headers.insert("client-api-version", http::HeaderValue::from_bytes(b"\xff").expect("it is allowed in a header"));
    *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
    let status = server.kv().range(request).await.expect_err("it is refused");
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "etcdserver: invalid client api version"));
}

#[tokio::test]
async fn thousands_of_idle_streams_hinder_nobody() {
    let server = Server::start().await;
    // A client that takes in many small answers at once: HTTP/2's own limit for them grows with the window.
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("a URL");
    let mut client = WatchClient::new(endpoint.initial_connection_window_size(1 << 30).connect_lazy());
    let mut open = Vec::new();
    for _ in 0..10_000 {
        let (requests, receiver) = mpsc::channel(1);
        let create = WatchCreateRequest { key: Bytes::from_static(b"key"), ..WatchCreateRequest::default() };
        requests.send(WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }).await.expect("it is open");
        let responses = client.watch(ReceiverStream::new(receiver)).await.expect("it opens").into_inner();
        open.push((requests, responses));
    }
    server.put("key", "value").await;
    for (_, responses) in &mut open {
        assert!(soon(responses.message()).await.expect("it goes on").expect("an answer").created);
        assert_eq!(soon(responses.message()).await.expect("it goes on").expect("an event").events.len(), 1);
    }
}
