//! The end that is connected to.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use openraft::raft::AppendEntriesRequest;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    Traffic,
    frame::{FrameError, FrameReader, FrameWriter, Frames},
    message::{Call, Failure, Hello, Lane, Refusal, Reply, Response, StreamedAppend, StreamedAppended, Welcome},
    transfer::log_failure,
    transport::{Accepted, Acceptor},
};
use crate::{checkpoint::chain, node::Inner, raft::Types};

/// Connections at the same time: some for each of a few dozen members. One more is hung up on.
const CONNECTIONS_MAX: usize = 256;

/// How long whoever connects may take to say who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests of one connection that are being answered. Further ones wait unread, and in the end the peer waits.
const CALLS_MAX: usize = 6000;

/// Bytes of answers that wait to be written; a peer that does not read them is hung up on after [`WRITE_TIMEOUT`].
const WRITE_BYTES: usize = 1 << 20;

/// How long a peer may take to read answers.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests with entries that wait for raft, of one connection.
const APPENDS_QUEUED: usize = 16;

/// Answers peers until the node has ended.
pub(crate) async fn serve(inner: Arc<Inner>, mut acceptor: Box<dyn Acceptor>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = inner.until_ended() => break,
            accepted = acceptor.accept() => accepted,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
        };
        let Some(accepted) = accepted else { break };
        let (inner, permit) = (inner.clone(), connections.clone().try_acquire_owned());
        tasks.spawn(async move {
            let from = accepted.from.clone();
            let Ok(_permit) = permit else {
                tracing::warn!(%from, "a peer was hung up on: there are too many connections");
                return;
            };
            if let Err(error) = welcome(&inner, accepted).await {
                tracing::debug!(%from, error = chain(&error), "a peer's connection ended");
            }
        });
    }
    tasks.shutdown().await;
}

async fn welcome(inner: &Arc<Inner>, mut accepted: Accepted) -> Result<(), FrameError> {
    let (nothing, _) = tokio::io::duplex(1);
    let stream = std::mem::replace(&mut accepted.stream, Box::new(nothing));
    let mut frames = Frames::new(stream, Arc::new(Traffic::default()));
    let hello = tokio::time::timeout(HELLO_TIMEOUT, frames.receive::<Hello>()).await.map_err(|_| FrameError::Ended)??;
    let Some(hello) = hello else { return Ok(()) };
    let lane = match inner.welcome(&hello, &accepted) {
        Ok(lane) => lane,
        Err(refusal) => {
            if refusal != Refusal::Removed {
                tracing::info!(from = accepted.from, member = format!("{:x}", hello.from), %refusal, "a peer is not welcome");
            }
            return frames.send(&Welcome { refused: Some(refusal.into()) }).await;
        }
    };
    if lane != Lane::Introduction {
        frames.count_for(inner.traffic_with(hello.from));
    }
    frames.guard_by(inner.guard(hello.from, accepted.peer));
    frames.send(&Welcome { refused: None }).await?;
    match lane {
        Lane::Introduction => frames.send(&inner.introduction()).await,
        Lane::Control | Lane::Proposals => answer_calls(inner, hello.from, frames).await,
        Lane::Append => answer_appends(inner, hello.from, frames).await,
        Lane::Snapshot => {
            if let Err(error) = inner.receiver.receive(frames, |received| inner.install(received)).await {
                log_failure(hello.from, &error);
            }
            Ok(())
        }
        Lane::Unknown => Ok(()),
    }
}

/// Writes what comes, several at a time.
async fn write_all<M: prost::Message>(mut writer: FrameWriter, mut messages: mpsc::Receiver<M>) -> Result<(), FrameError> {
    while let Some(message) = messages.recv().await {
        writer.queue(&message)?;
        while writer.queued() < WRITE_BYTES
            && let Ok(message) = messages.try_recv()
        {
            writer.queue(&message)?;
        }
        tokio::time::timeout(WRITE_TIMEOUT, writer.flush()).await.map_err(|_| FrameError::Ended)??;
    }
    Ok(())
}

/// Answers requests as they come, in whatever order the answers come.
async fn answer_calls(inner: &Arc<Inner>, from: u64, frames: Frames) -> Result<(), FrameError> {
    let Frames { reader, writer } = frames;
    let (replies, to_write) = mpsc::channel(CALLS_MAX);
    let mut calls = JoinSet::new();
    tokio::select! {
        biased;
        written = write_all(writer, to_write) => written,
        read = read_calls(inner, from, reader, &replies, &mut calls) => read,
    }
}

async fn read_calls(
    inner: &Arc<Inner>,
    from: u64,
    mut reader: FrameReader,
    replies: &mpsc::Sender<Reply>,
    calls: &mut JoinSet<()>,
) -> Result<(), FrameError> {
    loop {
        let call = tokio::select! {
            biased;
            Some(_) = calls.join_next(), if !calls.is_empty() => continue,
            call = reader.receive::<Call>(), if calls.len() < CALLS_MAX => call?,
        };
        let Some(call) = call else { return Ok(()) };
        let (inner, replies) = (inner.clone(), replies.clone());
        calls.spawn(async move {
            let id = call.id;
            let response = tokio::select! {
                biased;
                () = inner.until_ended() => Response::Failed(Failure::Stopped.into()),
                response = inner.answer(from, call) => response,
            };
            let _ = replies.send(Reply { id, response: Some(response) }).await;
        });
    }
}

/// Answers entries in their order. raft takes several requests before it answers the first; after an answer that is no success it takes no more
/// of that stream.
async fn answer_appends(inner: &Arc<Inner>, from: u64, frames: Frames) -> Result<(), FrameError> {
    let Frames { mut reader, writer } = frames;
    let (replies, to_write) = mpsc::channel::<StreamedAppended>(APPENDS_QUEUED);
    let read = async {
        let mut current: Option<(u64, mpsc::Sender<AppendEntriesRequest<Types>>)> = None;
        let mut streams = JoinSet::new();
        loop {
            let Some(StreamedAppend { stream, request }) = reader.receive::<StreamedAppend>().await? else { return Ok(()) };
            let Ok(request) = request.try_into() else { return Err(FrameError::Ended) };
            let requests = match &current {
                Some((number, requests)) if *number == stream => requests,
                _ => {
                    // A connection outlives any number of streams.
                    while streams.try_join_next().is_some() {}
                    let (sender, requests) = mpsc::channel(APPENDS_QUEUED);
                    streams.spawn(append(inner.clone(), from, stream, requests, replies.clone()));
                    &current.insert((stream, sender)).1
                }
            };
            // If the stream has ended, the sender knows by its last answer.
            let _ = requests.send(request).await;
        }
    };
    tokio::select! {
        biased;
        written = write_all(writer, to_write) => written,
        read = read => read,
    }
}

async fn append(
    inner: Arc<Inner>,
    from: u64,
    stream: u64,
    requests: mpsc::Receiver<AppendEntriesRequest<Types>>,
    replies: mpsc::Sender<StreamedAppended>,
) {
    let requests =
        futures_util::stream::unfold(requests, |mut requests| async move { requests.recv().await.map(|request| (request, requests)) });
    let mut answers = std::pin::pin!(inner.raft.stream_append(requests));
    while let Some(Ok(answer)) = answers.next().await {
        if !matches!(answer, Err(openraft::raft::StreamAppendError::HigherVote(_))) {
            inner.heard.note(from);
        }
        if replies.send(StreamedAppended { stream, response: answer.into() }).await.is_err() {
            return;
        }
    }
}
