//! 1,000 watchers of one key: ten streams of a connection each, with a hundred watchers each, as etcd's `benchmark watch` lays them out. They
//! are read by a client of our own that counts events and does not decode them: on few processors etcd's client would be what is measured.

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::{Buf, Bytes};
use shoal_etcd::wire::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse, watch_request::RequestUnion};
use shoal_store_bench::{
    events::{self, Seen},
    figures::{Aim, Figure},
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstCodec;

use crate::{connection::Connection, server::Launch};

const STREAMS: usize = 10;
const WATCHERS_ON_STREAM: usize = 100;

/// Bytes of the value, which comes twice with each event: of an object of Kubernetes, about.
const VALUE_BYTES: usize = 1024;

/// Puts under way at a time.
const WRITERS: usize = 8;

/// How long a stream may be silent before the run has failed.
const SILENCE: Duration = Duration::from_secs(60);

const KEY: &str = "watched";

pub(crate) const FIGURES: &[Figure] = &[
    Figure { name: "watch fan-out, 1,000 watchers with prev_kv: events", unit: "1/s", aim: Some(Aim::RatioAtLeast(3.0)) },
    Figure { name: "watch fan-out: server's processor time for each event", unit: "µs", aim: None },
];

pub(crate) async fn run(launch: &Launch<'_>, puts: usize) -> anyhow::Result<Vec<f64>> {
    let server = launch.one().await?;
    let connection = Connection::new(&server.endpoint)?;
    connection.put(KEY, Bytes::from_static(&[1; VALUE_BYTES]), 0).await?;
    let mut watches = JoinSet::new();
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        let (requests, responses) = watch(&Connection::new(&server.endpoint)?).await?;
        open.push(requests);
        watches.spawn(receive(responses, (puts * WATCHERS_ON_STREAM) as u64));
    }
    let processor = server.processor_seconds()?;
    let start = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let connection = connection.clone();
        writers.spawn(async move {
            for put in (writer..puts).step_by(WRITERS) {
                connection.put(KEY, vec![put as u8; VALUE_BYTES].into(), 0).await?;
            }
            Ok::<(), Status>(())
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    while let Some(received) = watches.join_next().await {
        received??;
    }
    let seconds = start.elapsed().as_secs_f64();
    let events = (puts * STREAMS * WATCHERS_ON_STREAM) as f64;
    Ok(vec![events / seconds, (server.processor_seconds()? - processor) * 1e6 / events])
}

/// Opens a stream and returns when all its watchers have been created.
async fn watch(connection: &Connection) -> anyhow::Result<(mpsc::Sender<WatchRequest>, Streaming<Seen>)> {
    let (requests, receiver) = mpsc::channel(WATCHERS_ON_STREAM);
    for _ in 0..WATCHERS_ON_STREAM {
        let create = WatchCreateRequest { key: KEY.into(), prev_kv: true, ..WatchCreateRequest::default() };
        requests.send(WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }).await?;
    }
    let mut client = tonic::client::Grpc::new(connection.channel.clone()).max_decoding_message_size(usize::MAX);
    client.ready().await.context("cannot connect")?;
    let path = http_path("/etcdserverpb.Watch/Watch");
    let mut responses = client.streaming(Request::new(ReceiverStream::new(receiver)), path, Counting).await?.into_inner();
    let mut created = 0;
    while created < WATCHERS_ON_STREAM {
        created += usize::from(next(&mut responses).await?.created);
    }
    Ok((requests, responses))
}

fn http_path(path: &'static str) -> tonic::codegen::http::uri::PathAndQuery {
    tonic::codegen::http::uri::PathAndQuery::from_static(path)
}

/// Returns when so many events have come.
async fn receive(mut responses: Streaming<Seen>, events: u64) -> anyhow::Result<()> {
    let mut received = 0;
    while received < events {
        let seen = next(&mut responses).await?;
        anyhow::ensure!(!seen.canceled, "a watcher has been cancelled");
        received += seen.events;
    }
    anyhow::ensure!(received == events, "{received} events of {events}: some came twice");
    Ok(())
}

async fn next(responses: &mut Streaming<Seen>) -> anyhow::Result<Seen> {
    let message = timeout(SILENCE, responses.message()).await.context("a watch stream is silent")??;
    message.context("a watch stream has ended")
}

/// Encodes requests, and of responses only counts what is in them.
#[derive(Debug, Clone, Copy)]
struct Counting;

impl Codec for Counting {
    type Encode = WatchRequest;
    type Decode = Seen;
    type Encoder = <ProstCodec<WatchRequest, WatchResponse> as Codec>::Encoder;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<WatchRequest, WatchResponse>::default().encoder()
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Decoder for Counting {
    type Item = Seen;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Seen>, Status> {
        let message = source.copy_to_bytes(source.remaining());
        events::count(&message).map(Some).ok_or_else(|| Status::internal("a watch response cannot be read"))
    }
}
