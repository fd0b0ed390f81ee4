//! Entries on their way to a follower: many requests before the first answer, answered in order.

use std::{collections::VecDeque, time::Duration};

use futures_util::{Stream, StreamExt};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use tokio::time::Instant;

use super::{
    PeerError,
    frame::{FrameError, Frames},
    message::{StreamedAppend, StreamedAppended},
};
use crate::raft::{Types, convert::Appending};

/// Requests that wait for an answer. As many as openraft's receiving end takes before it waits.
const WINDOW_REQUESTS: usize = 64;

/// Bytes of requests that wait for an answer: what a gigabit network carries in the time that a slow stick takes for one sync. Both ends keep
/// them in memory.
const WINDOW_BYTES: usize = 8 << 20;

/// A connection for entries. One that was left in the middle of something is of no use any more, see [`Self::is_usable`].
#[derive(Debug)]
pub(crate) struct AppendConnection {
    member: u64,
    frames: Frames,
    stream: u64,
    usable: bool,
}

impl AppendConnection {
    pub(crate) fn new(member: u64, frames: Frames) -> Self {
        Self { member, frames, stream: 0, usable: true }
    }

    /// Whether another stream may begin on it.
    pub(crate) const fn is_usable(&self) -> bool {
        self.usable
    }

    /// Sends requests and returns their answers, in order, until one is no success, or the requests end. An error ends the connection, too.
    /// With no answer for `patience`, it is taken for dead.
    pub(crate) fn stream<'a, S>(
        &'a mut self,
        requests: S,
        patience: Duration,
    ) -> impl Stream<Item = Result<StreamAppendResult<Types>, PeerError>> + Send + 'a
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        self.stream += 1;
        let state = Appends {
            connection: self,
            requests: Some(requests),
            window: VecDeque::new(),
            window_bytes: 0,
            heard: Instant::now(),
            patience,
        };
        futures_util::stream::unfold(Some(state), |state| async move {
            let mut state = state?;
            let next = state.next().await.transpose()?;
            let goes_on = matches!(next, Ok(Ok(_)));
            Some((next, goes_on.then_some(state)))
        })
    }
}

struct Appends<'a, S> {
    connection: &'a mut AppendConnection,
    /// `None` when they have ended.
    requests: Option<S>,
    /// The sizes of the requests that wait for an answer.
    window: VecDeque<usize>,
    window_bytes: usize,
    heard: Instant,
    patience: Duration,
}

impl<S> Appends<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    /// The next answer; `None` when all requests are answered.
    async fn next(&mut self) -> Result<Option<StreamAppendResult<Types>>, PeerError> {
        let member = self.connection.member;
        // Whoever stops in between leaves requests behind whose answers nobody expects on the next stream; those are told apart. But what is
        // half written cannot be.
        let result = self.drive().await;
        self.connection.usable &= result.is_ok();
        result.map_err(|error| match error {
            Broken::Silent => PeerError::Timeout(member),
            Broken::Frame(source) => PeerError::Broken { member, source: std::sync::Arc::new(source) },
        })
    }

    async fn drive(&mut self) -> Result<Option<StreamAppendResult<Types>>, Broken> {
        loop {
            if self.requests.is_none() && self.window.is_empty() {
                return Ok(None);
            }
            let may_send = self.window.len() < WINDOW_REQUESTS && self.window_bytes < WINDOW_BYTES;
            let AppendConnection { frames: Frames { reader, writer }, stream, .. } = &mut *self.connection;
            let queued = writer.queued() > 0;
            let requests = async {
                match &mut self.requests {
                    Some(requests) => requests.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                answer = reader.receive::<StreamedAppended>() => {
                    let answer = answer?.ok_or(FrameError::Ended)?;
                    // Of a stream that was given up.
                    if answer.stream != *stream {
                        continue;
                    }
                    self.heard = Instant::now();
                    self.window_bytes -= self.window.pop_front().unwrap_or_default();
                    let Ok(Appending(appended)) = answer.response.try_into() else { return Err(FrameError::Ended.into()) };
                    return Ok(Some(appended));
                }
                flushed = writer.flush(), if queued => flushed?,
                request = requests, if may_send && !queued => match request {
                    None => self.requests = None,
                    Some(request) => {
                        if self.window.is_empty() {
                            self.heard = Instant::now();
                        }
                        writer.queue(&StreamedAppend { stream: *stream, request: (&request).into() })?;
                        let bytes = writer.queued();
                        self.window.push_back(bytes);
                        self.window_bytes += bytes;
                    }
                },
                () = tokio::time::sleep_until(self.heard + self.patience), if !self.window.is_empty() => return Err(Broken::Silent),
            }
        }
    }
}

enum Broken {
    Silent,
    Frame(FrameError),
}

impl From<FrameError> for Broken {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}
