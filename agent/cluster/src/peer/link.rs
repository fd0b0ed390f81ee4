//! Requests to one member on one connection, many at a time, answered in any order.
//!
//! The connection is made when it is needed, by a task of its own: a caller may give up (a heartbeat waits for less than a TLS handshake takes)
//! without giving up the connection for those that follow. When it breaks, everybody who waits is told; the next request makes a new one.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    PeerError, Peers,
    frame::{FrameError, FrameWriter, Frames},
    message::{Call, Failure, Lane, Reply, Request, Response},
};

/// Requests that wait to be written. More wait in front of the queue, each for its own time.
const QUEUED_REQUESTS: usize = 256;

/// Bytes written at once, about.
const WRITE_BYTES: usize = 256 << 10;

/// How long to leave an unreachable member alone. Requests meanwhile fail at once.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// A way to send requests to a member.
#[derive(Debug)]
pub(crate) struct Link {
    member: u64,
    requests: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    answer: oneshot::Sender<Result<Response, PeerError>>,
}

impl Link {
    /// Must be called within a tokio runtime. The connection ends when the last handle is dropped.
    pub(super) fn new(peers: &Arc<Peers>, member: u64, lane: Lane) -> Self {
        let (requests, queue) = mpsc::channel(QUEUED_REQUESTS);
        tokio::spawn(serve(Arc::downgrade(peers), member, lane, queue));
        Self { member, requests }
    }

    /// Sends a request and waits for its answer. After an error it is not known whether the request was carried out.
    pub(crate) async fn call(&self, request: Request, timeout: Duration) -> Result<Response, PeerError> {
        let (answer, answered) = oneshot::channel();
        let call = async {
            let gone = |()| PeerError::Broken { member: self.member, source: Arc::new(FrameError::Ended) };
            self.requests.send(Waiting { request, answer }).await.map_err(|_| gone(()))?;
            answered.await.map_err(|_| gone(()))?
        };
        tokio::time::timeout(timeout, call).await.map_err(|_| PeerError::Timeout(self.member))?
    }
}

/// Connects when there are requests, and carries them, until the link is dropped.
async fn serve(peers: Weak<Peers>, member: u64, lane: Lane, mut queue: mpsc::Receiver<Waiting>) {
    let mut failed: Option<(Instant, PeerError)> = None;
    while let Some(first) = queue.recv().await {
        if let Some((until, error)) = &failed
            && Instant::now() < *until
        {
            let _ = first.answer.send(Err(error.clone()));
            continue;
        }
        let Some(peers) = peers.upgrade() else { return };
        let error = match peers.connect(member, lane).await {
            Ok(frames) => {
                drop(peers);
                let Err(error) = carry(frames, member, first, &mut queue).await else { return };
                failed = None;
                tracing::warn!(member = format!("{member:x}"), ?lane, error = crate::checkpoint::chain(&error), "lost a peer");
                continue;
            }
            Err(error) => error,
        };
        if failed.is_none() {
            tracing::warn!(member = format!("{member:x}"), ?lane, error = crate::checkpoint::chain(&error), "cannot talk to a peer");
        }
        let _ = first.answer.send(Err(error.clone()));
        while let Ok(waiting) = queue.try_recv() {
            let _ = waiting.answer.send(Err(error.clone()));
        }
        failed = Some((Instant::now() + RETRY_AFTER, error));
    }
}

/// Carries requests until the connection breaks, or the link is dropped.
async fn carry(frames: Frames, member: u64, first: Waiting, queue: &mut mpsc::Receiver<Waiting>) -> Result<(), PeerError> {
    let Frames { mut reader, mut writer } = frames;
    let mut waiting = HashMap::new();
    let mut next_id = 0;
    let mut first = Some(first);
    let ended = loop {
        if let Some(request) = first.take() {
            write(request, &mut next_id, &mut waiting, &mut writer);
        }
        while writer.queued() < WRITE_BYTES
            && let Ok(request) = queue.try_recv()
        {
            write(request, &mut next_id, &mut waiting, &mut writer);
        }
        let must_flush = writer.queued() > 0;
        tokio::select! {
            flushed = writer.flush(), if must_flush => if let Err(error) = flushed { break error },
            reply = reader.receive::<Reply>() => match reply {
                Ok(Some(reply)) => answer(reply, &mut waiting),
                Ok(None) => break FrameError::Ended,
                Err(error) => break error,
            },
            request = queue.recv(), if !must_flush => match request {
                Some(request) => first = Some(request),
                None => return Ok(()),
            },
        }
        // Whoever gave up need not be remembered.
        if waiting.len() > QUEUED_REQUESTS {
            waiting.retain(|_, answer: &mut oneshot::Sender<_>| !answer.is_closed());
        }
    };
    let error = PeerError::Broken { member, source: Arc::new(ended) };
    for (_, answer) in waiting {
        let _ = answer.send(Err(error.clone()));
    }
    Err(error)
}

type Answers = HashMap<u64, oneshot::Sender<Result<Response, PeerError>>>;

fn write(request: Waiting, next_id: &mut u64, waiting: &mut Answers, writer: &mut FrameWriter) {
    let Waiting { request, answer } = request;
    if answer.is_closed() {
        return;
    }
    let id = *next_id;
    match writer.queue(&Call { id, request: Some(request) }) {
        Ok(()) => {
            *next_id += 1;
            waiting.insert(id, answer);
        }
        // Limits of requests are below those of frames.
        Err(error) => {
            tracing::error!(%error, "a request to a peer was not sent");
            let _ = answer.send(Ok(Response::Failed(Failure::TooManyRequests.into())));
        }
    }
}

fn answer(reply: Reply, waiting: &mut Answers) {
    if let Some(answer) = waiting.remove(&reply.id) {
        let _ = answer.send(Ok(reply.response.unwrap_or(Response::Failed(Failure::Unknown.into()))));
    }
}
