//! Streams that do nothing, and streams that nobody reads.

use shoal_etcd::wire::etcdserverpb::{
    CompactionRequest, PutRequest, WatchCreateRequest, WatchRequest, WatchResponse, kv_client::KvClient, watch_client::WatchClient,
    watch_request::RequestUnion,
};
use tokio::time;
use tokio_stream::StreamExt as _;
use tonic::{Streaming, transport::Channel};

use crate::{
    Member,
    harness::{DEADLINE, client::Client},
    witness::Witness,
};

const IDLE_STREAMS: usize = 10_000;

const CONNECTIONS: usize = 10;

/// Bytes of memory that an idle stream may take, with its share of the connection: more than twice what was measured.
const IDLE_STREAM_BYTES: u64 = 32 << 10;

/// Watchers that do not read.
const DEAF_WATCHERS: usize = 20;

/// What is written while they do not: 100 MB.
const VALUE_BYTES: usize = 1 << 20;
const VALUES: usize = 100;

/// Bytes of memory that a watcher that does not read may take: what waits for it, and what is on its way through the connection and the kernel. All
/// that is written would be 25 times as much. Twice what was measured.
const DEAF_WATCHER_BYTES: u64 = 4 << 20;

async fn watch(channel: &Channel, key: &'static str) -> Streaming<WatchResponse> {
    let create = WatchCreateRequest { key: key.into(), ..WatchCreateRequest::default() };
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let opened = time::timeout(DEADLINE, WatchClient::new(channel.clone()).watch(requests)).await.expect("it is heard");
    let mut responses = opened.expect("it opens").into_inner();
    let created = time::timeout(DEADLINE, responses.message()).await.expect("it is answered");
    assert!(created.expect("it goes on").expect("an answer").created);
    responses
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_streams_take_little_memory_and_hinder_nobody() {
    let member = Member::start(&[]);
    let witness = Witness::of(&member);
    witness.goes_on().await;
    let before = member.memory();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let channel = member.channel();
        for _ in 0..IDLE_STREAMS / CONNECTIONS {
            open.push(watch(&channel, "quiet").await);
        }
    }
    let taken = member.memory().saturating_sub(before);
    println!("{} bytes for each of {IDLE_STREAMS} idle streams", taken / IDLE_STREAMS as u64);
    assert!(taken < IDLE_STREAM_BYTES * IDLE_STREAMS as u64, "{taken} bytes for {IDLE_STREAMS} idle streams");
    witness.goes_on().await;
    // They are all there.
    Client::new(&format!("http://{}", member.process.address)).put("quiet", "").await.expect("it is put");
    for responses in &mut open {
        let told = time::timeout(DEADLINE, responses.message()).await.expect("it is told");
        assert_eq!(told.expect("it goes on").expect("an event").events.len(), 1);
    }
    drop(open);
    witness.goes_on().await;
}

/// Writes [`VALUES`] values to a key, waits until a watcher has heard of each, and has what was before forgotten.
async fn write_much(member: &Member, listening: &mut Streaming<WatchResponse>) {
    let mut client = KvClient::new(member.channel());
    for _ in 0..VALUES {
        let put = PutRequest { key: "loud".into(), value: vec![b'v'; VALUE_BYTES].into(), ..PutRequest::default() };
        let revision = client.put(put).await.expect("it is put").into_inner().header.expect("it has one").revision;
        let told = time::timeout(DEADLINE, listening.message()).await.expect("it is told").expect("it goes on").expect("an event");
        assert_eq!(told.events.len(), 1, "{}", told.compact_revision);
        client.compact(CompactionRequest { revision, physical: true }).await.expect("it is compacted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_never_read_take_bounded_memory_and_hinder_nobody() {
    let member = Member::start(&[]);
    let witness = Witness::of(&member);
    let mut listening = watch(&member.channel(), "loud").await;
    // What the store takes for itself with such a load.
    write_much(&member, &mut listening).await;
    write_much(&member, &mut listening).await;
    let before = member.memory();
    let mut deaf = Vec::new();
    for _ in 0..DEAF_WATCHERS {
        deaf.push(watch(&member.channel(), "loud").await);
    }
    write_much(&member, &mut listening).await;
    let taken = member.memory().saturating_sub(before);
    println!("{} bytes for each of {DEAF_WATCHERS} watchers that do not read", taken / DEAF_WATCHERS as u64);
    assert!(taken < DEAF_WATCHER_BYTES * DEAF_WATCHERS as u64, "{taken} bytes for {DEAF_WATCHERS} watchers that do not read");
    witness.goes_on().await;
    // Whoever reads again goes on, or is told that what comes next is forgotten.
    for responses in &mut deaf {
        let told = time::timeout(DEADLINE, responses.message()).await.expect("it is told").expect("it goes on").expect("an answer");
        assert!(!told.events.is_empty() || told.canceled);
    }
}
