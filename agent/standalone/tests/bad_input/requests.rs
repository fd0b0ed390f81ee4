//! Requests that are too large, or none at all.

use bytes::{Buf, BufMut};
use shoal_etcd::wire::etcdserverpb::{PutRequest, kv_client::KvClient};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::{Member, witness::Witness};

/// Every unary method that a client may call.
const METHODS: [&str; 21] = [
    "KV/Range",
    "KV/Put",
    "KV/DeleteRange",
    "KV/Txn",
    "KV/Compact",
    "Lease/LeaseGrant",
    "Lease/LeaseRevoke",
    "Lease/LeaseTimeToLive",
    "Cluster/MemberAdd",
    "Cluster/MemberRemove",
    "Cluster/MemberUpdate",
    "Cluster/MemberList",
    "Cluster/MemberPromote",
    "Maintenance/Alarm",
    "Maintenance/HashKV",
    "Maintenance/MoveLeader",
    "Maintenance/Downgrade",
    "Auth/UserAdd",
    "Auth/UserGet",
    "Auth/Authenticate",
    "Auth/RoleAdd",
];

/// Bytes that are no message: a field that ends too early, a tag that never ends, a kind of field that does not exist, and the end of a group that
/// was not begun.
const MALFORMED: [&[u8]; 4] = [&[0x0a, 0x7f], &[0xff; 11], &[0x0f, 0x01], &[0x0c]];

/// Sends bytes as they are.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_message_is_refused_by_every_method() {
    let member = Member::start(&[]);
    let witness = Witness::of(&member);
    let mut client = Grpc::new(member.channel());
    for method in METHODS {
        for bytes in MALFORMED {
            client.ready().await.expect("the connection goes on");
            let path = format!("/etcdserverpb.{method}").parse().expect("it is a path");
            let answer = client.unary(Request::new(bytes.to_vec()), path, Raw).await;
            let status = answer.expect_err("it is refused");
            assert_eq!(status.code(), Code::Internal, "{method} {bytes:?}: {status:?}");
        }
    }
    witness.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_above_the_limit_is_refused_and_the_connection_goes_on() {
    const LIMIT: usize = 100_000;
    /// etcd's `grpcOverheadBytes`: what is larger than both together is not read.
    const OVERHEAD: usize = 512 << 10;
    let member = Member::start(&[&format!("--max-request-bytes={LIMIT}")]);
    let witness = Witness::of(&member);
    let mut client = KvClient::new(member.channel());
    let mut put = async |bytes: usize| {
        let put = PutRequest { key: "key".into(), value: vec![b'v'; bytes].into(), ..PutRequest::default() };
        client.put(put).await.map_err(|status| (status.code(), status.message().to_owned()))
    };
    let too_large = (Code::InvalidArgument, "etcdserver: request is too large".to_owned());
    for _ in 0..10 {
        assert!(put(LIMIT / 2).await.is_ok());
        assert_eq!(put(LIMIT + 1).await.expect_err("it is too large"), too_large);
        let (code, message) = put(LIMIT + OVERHEAD).await.expect_err("it is far too large");
        assert!(code == Code::ResourceExhausted && message.starts_with("grpc: received message larger than max"), "{message}");
        // Its message is hung up on in the middle, or refused.
        put(64 << 20).await.expect_err("it is out of all proportion");
    }
    witness.goes_on().await;
}
