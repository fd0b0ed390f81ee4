//! openraft's network: who sends what on which lane.

use std::{
    future::{self, Future},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use openraft::{
    RaftNetworkFactory,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{
        Backoff, NetAppend, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption, stream_append_sequential,
    },
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderError, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
    type_config::alias::SnapshotOf,
};

use super::{Peer, Types, Vote, convert::Appending, machine::SnapshotData};
use crate::{
    checkpoint::chain,
    peer::{
        PeerError, Peers,
        append::AppendConnection,
        link::Link,
        message::{Failure, Lane, Request, Response},
        transfer::{self, TransferError},
    },
};

/// Makes openraft's clients.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) peers: Arc<Peers>,
    /// With no answer to entries for so long, a connection is taken for dead. Much longer than a sync of a slow stick takes; a peer that is
    /// really dead is found out sooner by the kernel.
    pub(crate) patience: Duration,
}

/// openraft's way to one member.
#[derive(Debug)]
pub(crate) struct Client {
    peers: Arc<Peers>,
    member: u64,
    control: Arc<Link>,
    /// Whether entries go on a connection of their own; heartbeats do not, so that entries never delay them.
    streams: bool,
    append: Option<AppendConnection>,
    patience: Duration,
}

impl Network {
    fn client(&self, member: u64, streams: bool) -> Client {
        let control = self.peers.link(member, Lane::Control);
        Client { peers: self.peers.clone(), member, control, streams, append: None, patience: self.patience }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, _node: &Peer) -> Client {
        self.client(target, true)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &Peer) -> Client {
        self.client(target, false)
    }
}

/// Out of reach: openraft waits before it tries again. Everything else it tries again at once.
fn rpc_error(error: &PeerError) -> RPCError<Types> {
    match error {
        PeerError::Broken { .. } | PeerError::Timeout(_) => RPCError::Network(NetworkError::from_string(chain(error))),
        PeerError::NoAddress(_) | PeerError::Unreachable { .. } | PeerError::Refused { .. } => {
            RPCError::Unreachable(Unreachable::from_string(chain(error)))
        }
    }
}

/// An answer that does not fit the request, or a refusal: the other end is shutting down, or is of another version.
fn unexpected(response: &Response) -> RPCError<Types> {
    let text = match response {
        Response::Failed(failure) => format!("the peer refuses: {:?}", Failure::try_from(*failure).unwrap_or(Failure::Unknown)),
        _ => "the peer answers something else".into(),
    };
    RPCError::Unreachable(Unreachable::from_string(text))
}

impl Client {
    async fn call(&self, request: Request, option: &RPCOption) -> Result<Response, RPCError<Types>> {
        let response = self.control.call(request, option.soft_ttl()).await.map_err(|error| rpc_error(&error))?;
        if matches!(response, Response::Failed(failure) if failure == i32::from(Failure::Removed)) {
            self.peers.note_removed();
        }
        Ok(response)
    }

    /// Entries on their own connection, which is made if there is none that can be used.
    ///
    /// It is made for the first request and not before: it is there that openraft waits when the last try has failed. Tried at once, a peer that is
    /// down would be tried thousands of times a second.
    fn stream<'a, S>(&'a mut self, mut input: S) -> BoxStream<'a, Result<StreamAppendResult<Types>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        let answers = async move {
            let Some(first) = input.next().await else { return stream::empty().boxed() };
            if !self.append.as_ref().is_some_and(AppendConnection::is_usable) {
                match self.peers.connect(self.member, Lane::Append).await {
                    Ok(frames) => self.append = Some(AppendConnection::new(self.member, frames)),
                    Err(error) => return stream::once(future::ready(Err(rpc_error(&error)))).boxed(),
                }
            }
            let Some(connection) = &mut self.append else { return stream::empty().boxed() };
            let requests = stream::once(future::ready(first)).chain(input);
            connection.stream(requests, self.patience).map(|answer| answer.map_err(|error| rpc_error(&error))).boxed()
        };
        stream::once(answers).flatten().boxed()
    }
}

impl NetBackoff<Types> for Client {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

impl NetAppend<Types> for Client {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(previous);
        match self.call(Request::Heartbeat((&request).into()), &option).await? {
            Response::Append(response) => {
                let Ok(Appending(appended)) = response.try_into() else { return Err(unexpected(&Response::Append(response))) };
                Ok(match appended {
                    Ok(through) if through != last => AppendEntriesResponse::PartialSuccess(through),
                    appended => appended.into(),
                })
            }
            response => Err(unexpected(&response)),
        }
    }
}

impl NetStreamAppend<Types> for Client {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> openraft::base::BoxFuture<
        's,
        Result<openraft::base::BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        if self.streams { Box::pin(future::ready(Ok(self.stream(input)))) } else { stream_append_sequential(self, input, option) }
    }
}

impl NetVote<Types> for Client {
    async fn vote(&mut self, request: VoteRequest<Types>, option: RPCOption) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.call(Request::Vote((&request).into()), &option).await? {
            Response::Vote(response) => Ok(response.into()),
            response => Err(unexpected(&response)),
        }
    }

    async fn pre_vote(&mut self, request: VoteRequest<Types>, option: RPCOption) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.call(Request::PreVote((&request).into()), &option).await? {
            Response::Vote(response) => Ok(response.into()),
            response => Err(unexpected(&response)),
        }
    }
}

impl NetTransferLeader<Types> for Client {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        match self.call(Request::TransferLeader((&request).into()), &option).await? {
            Response::TransferLeader(true) => Ok(Ok(())),
            // openraft only writes the reason into its log.
            Response::TransferLeader(false) => {
                let vote = request.from_leader();
                Ok(Err(TransferLeaderError::VoteChanged { expected: *vote, actual: *vote }))
            }
            response => Err(unexpected(&response)),
        }
    }
}

impl NetSnapshot<Types> for Client {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let SnapshotData::Lent(lent) = snapshot.snapshot else {
            return Err(StreamingError::Closed(ReplicationClosed::new("a received snapshot is not for sending")));
        };
        tracing::info!(member = format!("{:x}", self.member), through = ?snapshot.meta.last_log_id, "sending a snapshot");
        let sent = tokio::select! {
            sent = transfer::send(&self.peers, self.member, &vote, lent) => sent,
            closed = cancel => return Err(closed.into()),
        };
        sent.map(SnapshotResponse::new).map_err(|error| {
            transfer::log_failure(self.member, &error);
            match error {
                TransferError::Peer(error) => rpc_error(&error).into(),
                // Wait before beginning anew: the other end is busy, or something is wrong with a medium.
                error => StreamingError::Unreachable(Unreachable::from_string(chain(&error))),
            }
        })
    }
}
