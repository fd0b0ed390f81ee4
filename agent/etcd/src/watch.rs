//! The service Watch: any number of watchers on one stream.
//!
//! A stream has no task of its own. It is driven by the connection, which asks for the next response when the client can take one: a client that
//! does not read costs what the hub lets wait for it, and then events are read from history again. In turn, requests are not read while answers
//! wait.
//!
//! Events are encoded once for all who watch; a response puts them in as they are.

use std::{collections::VecDeque, pin::Pin};

use bytes::Bytes;
use futures_util::{Stream, stream};
use shoal_cluster::WatchStream;
use shoal_kv::watch::{NO_WATCH_ID, WatchResponse as Told};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    response,
    shared::{Learner, Options, Shared},
    status::Error,
    wire::etcdserverpb::{
        ResponseHeader, WatchCancelRequest, WatchCreateRequest, WatchRequest, WatchResponse, watch_create_request::FilterType,
        watch_request::RequestUnion, watch_server::Watch,
    },
};

/// How much of what waits for a stream is put into responses at once, in bytes. Enough for many small events to share a packet, little enough to
/// be forgotten beside what a connection buffers.
const POLL_BYTES: usize = 256 * 1024;

/// `etcdserverpb.Watch`.
#[derive(Debug, Clone)]
pub(crate) struct WatchService(pub(crate) Shared);

#[tonic::async_trait]
impl Watch for WatchService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        self.0.admit(request.metadata(), Learner::Refuses)?;
        let call = Call {
            leader_is_lost: Box::pin(self.0.until_leader_is_lost(request.metadata())),
            progress: progress_interval(&self.0.options),
            stream: self.0.replica.watches().open().ok_or(Error::TooManyRequests)?,
            shared: self.0.clone(),
            requests: Some(request.into_inner()),
            waiting: VecDeque::new(),
            more: false,
        };
        Ok(Response::new(Box::pin(stream::unfold(Some(call), |call| async move {
            let mut call = call?;
            match call.next().await {
                Ok(response) => Some((Ok(response), Some(call))),
                Err(status) => Some((Err(status), None)),
            }
        }))))
    }
}

fn progress_interval(options: &Options) -> Interval {
    let interval = options.watch_progress_notify_interval.max(crate::shared::MIN_WATCH_PROGRESS_NOTIFY_INTERVAL);
    let interval = interval + interval.mul_f64(fastrand::f64() / 10.0);
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// One call of the method.
struct Call {
    shared: Shared,
    stream: WatchStream,
    /// `None` when the client has said that no more will come; its watchers go on.
    requests: Option<Streaming<WatchRequest>>,
    /// Taken from the hub, and not asked for yet by the connection.
    waiting: VecDeque<Told>,
    /// The hub had more than [`POLL_BYTES`].
    more: bool,
    progress: Interval,
    leader_is_lost: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Call {
    /// The next response. Nothing is lost when it is dropped while it waits.
    async fn next(&mut self) -> Result<WatchResponse, Status> {
        loop {
            if let Some(told) = self.waiting.pop_front() {
                return Ok(self.encode(told));
            }
            if self.more {
                self.poll();
                continue;
            }
            // A congested stream has something to send, so that it cannot wait here for requests that it does not read.
            let reads = self.requests.is_some() && !self.stream.is_congested();
            tokio::select! {
                biased;
                () = &mut self.leader_is_lost => return Err(Error::NoLeader.into()),
                () = self.stream.ready() => self.poll(),
                request = message(&mut self.requests), if reads => match request? {
                    Some(request) => self.take(request),
                    None => self.requests = None,
                },
                _ = self.progress.tick() => self.stream.notify_progress(),
            }
        }
    }

    fn poll(&mut self) {
        let polled = self.stream.poll(POLL_BYTES);
        self.waiting.extend(polled.responses);
        self.more = polled.more;
    }

    fn take(&self, request: WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => self.stream.create(&create(request)),
            Some(RequestUnion::CancelRequest(WatchCancelRequest { watch_id })) => self.stream.cancel(watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.stream.request_progress(),
            // etcd ignores what it does not know, too.
            None => tracing::debug!("a watch request that asks for nothing"),
        }
    }

    fn encode(&self, told: Told) -> WatchResponse {
        let header = |revision| Some(ResponseHeader { revision, ..self.shared.header() });
        let none = WatchResponse::default();
        match told {
            Told::Created { watch_id, revision } => WatchResponse { header: header(revision), watch_id, created: true, ..none },
            Told::Refused { revision, reason } => WatchResponse {
                header: header(revision),
                watch_id: NO_WATCH_ID,
                created: true,
                canceled: true,
                cancel_reason: reason.to_string(),
                ..none
            },
            Told::Events { watch_id, revision, events, fragment } => {
                let encoded =
                    |event: &shoal_kv::WatchEvent| -> Bytes { event.encoded(|one| response::event(one, event.with_prev_kv)).clone() };
                WatchResponse { header: header(revision), watch_id, events: events.iter().map(encoded).collect(), fragment, ..none }
            }
            Told::Progress { watch_id, revision } => WatchResponse { header: header(revision), watch_id, ..none },
            Told::Canceled { watch_id, revision } => WatchResponse { header: header(revision), watch_id, canceled: true, ..none },
            Told::Compacted { watch_id, compact_revision } => {
                WatchResponse { header: header(0), watch_id, canceled: true, compact_revision, ..none }
            }
        }
    }
}

async fn message(requests: &mut Option<Streaming<WatchRequest>>) -> Result<Option<WatchRequest>, Status> {
    match requests {
        Some(requests) => requests.message().await,
        None => std::future::pending().await,
    }
}

fn create(request: WatchCreateRequest) -> shoal_kv::watch::WatchCreateRequest {
    let filtered = |kind: FilterType| request.filters.contains(&kind.into());
    shoal_kv::watch::WatchCreateRequest {
        watch_id: request.watch_id,
        no_put: filtered(FilterType::Noput),
        no_delete: filtered(FilterType::Nodelete),
        key: request.key,
        range_end: request.range_end,
        start_revision: request.start_revision,
        progress_notify: request.progress_notify,
        prev_kv: request.prev_kv,
        fragment: request.fragment,
    }
}
