use std::time::Duration;

use prost::Message;
use shoal_cluster::local::LocalConfig;
use shoal_etcd::{
    Options,
    status::Error,
    wire::{
        etcdserverpb::{
            CompactionRequest, DeleteRangeRequest, RequestOp, TxnRequest, WatchCancelRequest, WatchCreateRequest, WatchProgressRequest,
            WatchRequest, WatchResponse, request_op::Request, watch_create_request::FilterType, watch_request::RequestUnion,
        },
        mvccpb::{self, event::EventType},
    },
};
use shoal_kv::watch::HubLimits;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::server::{Server, put, soon};

/// Both ends of a watch stream.
struct Stream {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl Stream {
    async fn open(server: &Server) -> Self {
        let (requests, receiver) = mpsc::channel(1024);
        let responses = server.watch().watch(ReceiverStream::new(receiver)).await.expect("it opens").into_inner();
        Self { requests, responses }
    }

    async fn send(&self, request: RequestUnion) {
        self.requests.send(WatchRequest { request_union: Some(request) }).await.expect("the stream is open");
    }

    async fn next(&mut self) -> WatchResponse {
        soon(self.responses.message()).await.expect("the stream goes on").expect("the stream goes on")
    }

    /// Starts a watcher, and returns the id it is given.
    async fn create(&mut self, request: WatchCreateRequest) -> i64 {
        self.send(RequestUnion::CreateRequest(request)).await;
        let response = self.next().await;
        assert!(response.created && !response.canceled, "{response:?}");
        response.watch_id
    }
}

fn on(key: &str, range_end: &str) -> WatchCreateRequest {
    WatchCreateRequest { key: key.to_owned().into(), range_end: range_end.to_owned().into(), ..WatchCreateRequest::default() }
}

fn events(response: &WatchResponse) -> Vec<mvccpb::Event> {
    response.events.iter().map(|event| mvccpb::Event::decode(event.clone()).expect("an event")).collect()
}

fn revisions(response: &WatchResponse) -> Vec<i64> {
    events(response).into_iter().map(|event| event.kv.expect("every event has one").mod_revision).collect()
}

fn revision(response: &WatchResponse) -> i64 {
    response.header.expect("every response has a header").revision
}

async fn delete(server: &Server, key: &str) {
    let request = DeleteRangeRequest { key: key.to_owned().into(), ..DeleteRangeRequest::default() };
    server.kv().delete_range(request).await.expect("it is deleted");
}

#[tokio::test]
async fn changes_are_told_with_what_was_before() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    stream.create(WatchCreateRequest { prev_kv: true, ..on("k", "l") }).await;
    server.put("k1", "one").await;
    server.put("other", "").await;
    server.put("k1", "two").await;
    delete(&server, "k1").await;
    let mut told = Vec::new();
    while told.len() < 3 {
        for event in events(&stream.next().await) {
            let before = event.prev_kv.as_ref().map(|kv| kv.value.clone());
            told.push((event.r#type(), event.kv.expect("every event has one").mod_revision, before));
        }
    }
    let put = EventType::Put;
    assert_eq!(told, [(put, 2, None), (put, 4, Some("one".into())), (EventType::Delete, 5, Some("two".into()))]);
}

#[tokio::test]
async fn a_deletion_has_a_key_and_a_revision_only() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    server.put("key", "value").await;
    stream.create(on("key", "")).await;
    delete(&server, "key").await;
    let response = stream.next().await;
    let [event] = &events(&response)[..] else { panic!("one event: {response:?}") };
    let kv = mvccpb::KeyValue { key: "key".into(), mod_revision: 3, ..mvccpb::KeyValue::default() };
    assert_eq!(event, &mvccpb::Event { r#type: EventType::Delete.into(), kv: Some(kv), prev_kv: None });
}

#[tokio::test]
async fn history_comes_first_and_in_order() {
    let server = Server::start().await;
    for value in 2..=60 {
        server.put("key", &value.to_string()).await;
    }
    let mut stream = Stream::open(&server).await;
    let id = stream.create(WatchCreateRequest { start_revision: 30, ..on("key", "") }).await;
    server.put("key", "61").await;
    let mut told = Vec::new();
    while told.last() != Some(&61) {
        let response = stream.next().await;
        assert_eq!(response.watch_id, id);
        told.extend(revisions(&response));
    }
    assert_eq!(told, (30..=61).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_revision_to_come_is_waited_for_in_silence() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    stream.create(WatchCreateRequest { start_revision: 4, ..on("key", "") }).await;
    stream.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    for value in ["2", "3", "4"] {
        server.put("key", value).await;
    }
    assert_eq!(revisions(&stream.next().await), [4], "neither what was before nor that there was nothing");
}

#[tokio::test]
async fn watchers_that_start_too_early_are_told_where_history_begins() {
    let server = Server::start().await;
    for value in ["2", "3", "4"] {
        server.put("key", value).await;
    }
    server.kv().compact(CompactionRequest { revision: 4, physical: false }).await.expect("it is compacted");
    let mut stream = Stream::open(&server).await;
    let id = stream.create(WatchCreateRequest { start_revision: 3, ..on("key", "") }).await;
    let response = stream.next().await;
    assert_eq!((response.watch_id, response.canceled, response.compact_revision, revision(&response)), (id, true, 4, 0));
    let mut stream = Stream::open(&server).await;
    stream.create(WatchCreateRequest { start_revision: 4, ..on("key", "") }).await;
    assert_eq!(revisions(&stream.next().await), [4], "the compaction's own revision is still there");
}

#[tokio::test]
async fn requests_that_make_no_sense_are_created_and_canceled_at_once() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    stream.create(WatchCreateRequest { watch_id: 7, ..on("key", "") }).await;
    for (request, reason) in [
        (WatchCreateRequest { start_revision: -1, ..on("key", "") }, Error::Compacted.to_string()),
        (on("b", "a"), "mvcc: watcher range is empty".to_owned()),
        (WatchCreateRequest { watch_id: 7, ..on("key", "") }, "mvcc: duplicate watch ID provided on the WatchStream".to_owned()),
    ] {
        stream.send(RequestUnion::CreateRequest(request)).await;
        let response = stream.next().await;
        assert_eq!((response.watch_id, response.created, response.canceled, response.cancel_reason), (-1, true, true, reason));
    }
    stream.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 99 })).await;
    stream.requests.send(WatchRequest { request_union: None }).await.expect("the stream is open");
    server.put("key", "").await;
    assert_eq!(stream.next().await.watch_id, 7, "the others go on");
}

#[tokio::test]
async fn a_canceled_watcher_hears_nothing_more() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    let id = stream.create(on("key", "")).await;
    let other = stream.create(on("key", "")).await;
    stream.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: id })).await;
    let response = stream.next().await;
    assert_eq!((response.watch_id, response.created, response.canceled, response.compact_revision), (id, false, true, 0));
    server.put("key", "").await;
    assert_eq!(stream.next().await.watch_id, other);
}

#[tokio::test]
async fn progress_is_told_after_all_events_before_it() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    for value in 2..=50 {
        server.put("key", &value.to_string()).await;
    }
    let busy = stream.create(WatchCreateRequest { start_revision: 2, ..on("key", "") }).await;
    stream.send(RequestUnion::CreateRequest(on("quiet", ""))).await;
    stream.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    let mut told = Vec::new();
    loop {
        let response = stream.next().await;
        if response.watch_id == busy {
            told.extend(revisions(&response));
        } else if response.watch_id == -1 {
            assert_eq!((revision(&response), response.events.len()), (50, 0));
            break;
        }
    }
    assert_eq!(told, (2..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn quiet_watchers_are_told_how_far_they_are_if_they_want_that() {
    let options = Options { watch_progress_notify_interval: Duration::from_millis(100) };
    let server = Server::with(LocalConfig::default(), options).await;
    let mut stream = Stream::open(&server).await;
    stream.create(on("silent", "")).await;
    let id = stream.create(WatchCreateRequest { progress_notify: true, ..on("quiet", "") }).await;
    server.put("other", "").await;
    loop {
        let response = stream.next().await;
        assert_eq!((response.watch_id, response.events.len()), (id, 0));
        if revision(&response) == 2 {
            break;
        }
    }
}

#[tokio::test]
async fn filters_leave_events_out() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    let filtered = |filter: FilterType| WatchCreateRequest { filters: vec![filter.into()], ..on("key", "") };
    let no_put = stream.create(filtered(FilterType::Noput)).await;
    let no_delete = stream.create(filtered(FilterType::Nodelete)).await;
    server.put("key", "").await;
    delete(&server, "key").await;
    server.put("key", "").await;
    let mut told = Vec::new();
    while told.len() < 3 {
        let response = stream.next().await;
        told.extend(revisions(&response).into_iter().map(|revision| (response.watch_id, revision)));
    }
    told.sort_unstable();
    let mut expected = [(no_put, 3), (no_delete, 2), (no_delete, 4)];
    expected.sort_unstable();
    assert_eq!(told, expected);
}

/// One transaction with `keys` puts of `bytes` each.
async fn put_many(server: &Server, keys: usize, bytes: usize) {
    let put = |key| RequestOp { request: Some(Request::RequestPut(put(&format!("k{key:03}"), &"v".repeat(bytes)))) };
    let request = TxnRequest { success: (0..keys).map(put).collect(), ..TxnRequest::default() };
    server.kv().txn(request).await.expect("it is done");
}

#[tokio::test]
async fn a_revision_is_split_only_for_those_who_allow_it() {
    let watch_limits = HubLimits { fragment_bytes: 10_000, ..HubLimits::default() };
    let server = Server::with(LocalConfig { watch_limits, ..LocalConfig::default() }, Options::default()).await;
    let (mut whole, mut split) = (Stream::open(&server).await, Stream::open(&server).await);
    whole.create(on("k", "l")).await;
    split.create(WatchCreateRequest { fragment: true, ..on("k", "l") }).await;
    put_many(&server, 100, 1000).await;
    let response = whole.next().await;
    assert_eq!((response.events.len(), response.fragment), (100, false));
    let mut told = 0;
    loop {
        let response = split.next().await;
        told += response.events.len();
        assert!(response.encoded_len() < 12_000, "{} bytes", response.encoded_len());
        if !response.fragment {
            break;
        }
    }
    assert_eq!(told, 100);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up_and_is_told_everything_later() {
    let watch_limits = HubLimits { stream_bytes: 100_000, recent_bytes: 100_000, ..HubLimits::default() };
    let server = Server::with(LocalConfig { watch_limits, ..LocalConfig::default() }, Options::default()).await;
    let (mut slow, mut quick) = (Stream::open(&server).await, Stream::open(&server).await);
    slow.create(on("key", "")).await;
    quick.create(on("key", "")).await;
    // Far more than waits anywhere between server and client.
    let value = "v".repeat(50_000);
    for revision in 2..=201 {
        server.put("key", &value).await;
        assert_eq!(revisions(&quick.next().await), [revision]);
    }
    let mut told = Vec::new();
    while told.last() != Some(&201) {
        told.extend(revisions(&slow.next().await));
    }
    assert_eq!(told, (2..=201).collect::<Vec<_>>());
}

#[tokio::test]
async fn watchers_go_on_after_the_last_request() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    stream.create(on("key", "")).await;
    let (closed, _) = mpsc::channel(1);
    stream.requests = closed;
    server.put("key", "").await;
    assert_eq!(revisions(&stream.next().await), [2]);
}
