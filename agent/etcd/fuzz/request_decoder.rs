//! What the fuzz target and the short run of the tests do with bytes: send them as requests to all services, in memory.
//!
//! The input is any number of calls, each as one byte for the method (modulo their number), the length of its message (u32, little-endian), and the
//! message. They meet one store, which is empty at first.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use shoal_cluster::{Local, local::LocalConfig};
use shoal_etcd::Options;
use tokio::runtime::{Builder, Runtime};
use tower::Service;

/// All methods that take a message of their own.
pub(crate) const METHODS: [&str; 24] = [
    "KV/Range",
    "KV/Put",
    "KV/DeleteRange",
    "KV/Txn",
    "KV/Compact",
    "KV/RangeStream",
    "Watch/Watch",
    "Lease/LeaseGrant",
    "Lease/LeaseRevoke",
    "Lease/LeaseKeepAlive",
    "Lease/LeaseTimeToLive",
    "Lease/LeaseLeases",
    "Cluster/MemberAdd",
    "Cluster/MemberRemove",
    "Cluster/MemberUpdate",
    "Cluster/MemberList",
    "Cluster/MemberPromote",
    "Maintenance/Alarm",
    "Maintenance/Status",
    "Maintenance/HashKV",
    "Maintenance/MoveLeader",
    "Maintenance/Downgrade",
    "Auth/UserAdd",
    "Auth/Authenticate",
];

/// Calls of one input; more are not looked at.
const CALLS_MAX: usize = 64;

/// Frames of an answer that are read, if they are there. A watch does not end by itself.
const FRAMES_MAX: usize = 64;

/// How long an answer may take: nothing is waited for but the processor.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends the calls of `input`, and says how many of them were answered well.
pub(crate) fn send(input: &[u8]) -> usize {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));
    RUNTIME.block_on(async {
        let mut router = shoal_etcd::router(Arc::new(Local::new(LocalConfig::default())), Options::default());
        let (mut rest, mut answered) = (input, 0);
        for _ in 0..CALLS_MAX {
            let Some(([method, length @ ..], after)) = rest.split_first_chunk::<5>() else { break };
            let (message, after) = after.split_at(after.len().min(u32::from_le_bytes(*length) as usize));
            rest = after;
            let path = format!("/etcdserverpb.{}", METHODS[usize::from(*method) % METHODS.len()]);
            let request = Request::post(&path).header(CONTENT_TYPE, "application/grpc").body(Body::from(frame(message)));
            let response = router.call(request.expect("it is a request"));
            let response = tokio::time::timeout(PATIENCE, response).await.expect("it is answered").expect("a router does not fail");
            assert!(response.status().is_success(), "{path}: {response:?}");
            let mut body = response.into_body();
            for _ in 0..FRAMES_MAX {
                let Some(Some(frame)) = body.frame().now_or_never() else { break };
                let frame = frame.expect("an answer is not cut off");
                answered +=
                    usize::from(frame.trailers_ref().and_then(|trailers| trailers.get("grpc-status")).is_some_and(|code| code == "0"));
            }
        }
        answered
    })
}

/// A message as gRPC sends it: not compressed, behind its length.
fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(message);
    frame.freeze()
}
