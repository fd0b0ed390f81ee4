//! openraft's messages as peers exchange them.

use openraft::{
    raft::TransferLeaderRequest,
    raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest, VoteResponse},
};

use super::{
    LogId, Types, Vote,
    entry::{decode_entry, encode_payload},
};
use crate::{
    codec::DecodeError,
    peer::message::{self, Appended, Empty, EntryMessage},
};

impl From<&VoteRequest<Types>> for message::VoteRequest {
    fn from(request: &VoteRequest<Types>) -> Self {
        Self {
            vote: (&request.vote).into(),
            last: request.last_log_id.as_ref().map(Into::into),
            leadership_transfer: request.leadership_transfer,
        }
    }
}

impl From<message::VoteRequest> for VoteRequest<Types> {
    fn from(message: message::VoteRequest) -> Self {
        Self { vote: message.vote.into(), last_log_id: message.last.map(Into::into), leadership_transfer: message.leadership_transfer }
    }
}

impl From<&VoteResponse<Types>> for message::VoteResponse {
    fn from(response: &VoteResponse<Types>) -> Self {
        Self { vote: (&response.vote).into(), last: response.last_log_id.as_ref().map(Into::into), granted: response.vote_granted }
    }
}

impl From<message::VoteResponse> for VoteResponse<Types> {
    fn from(message: message::VoteResponse) -> Self {
        Self::new(Vote::from(message.vote), message.last.map(Into::into), message.granted)
    }
}

impl From<&AppendEntriesRequest<Types>> for message::AppendRequest {
    fn from(request: &AppendEntriesRequest<Types>) -> Self {
        let entry = |entry: &super::Entry| EntryMessage { id: (&entry.log_id).into(), payload: encode_payload(&entry.payload) };
        Self {
            vote: (&request.vote).into(),
            previous: request.prev_log_id.as_ref().map(Into::into),
            committed: request.leader_commit.as_ref().map(Into::into),
            entries: request.entries.iter().map(entry).collect(),
        }
    }
}

impl TryFrom<message::AppendRequest> for AppendEntriesRequest<Types> {
    type Error = DecodeError;

    fn try_from(message: message::AppendRequest) -> Result<Self, DecodeError> {
        let previous: Option<LogId> = message.previous.map(Into::into);
        let mut next = previous.map_or(0, |previous| previous.index.saturating_add(1));
        let mut entries = Vec::with_capacity(message.entries.len());
        for entry in message.entries {
            // A hole would be written before raft notices.
            if entry.id.index != next {
                return Err(DecodeError::Unknown("entry at the index that follows"));
            }
            next = next.saturating_add(1);
            entries.push(decode_entry(entry.id.into(), entry.payload)?);
        }
        Ok(Self { vote: message.vote.into(), prev_log_id: previous, entries, leader_commit: message.committed.map(Into::into) })
    }
}

impl From<StreamAppendResult<Types>> for message::AppendResponse {
    fn from(result: StreamAppendResult<Types>) -> Self {
        let appended = match result {
            Ok(Some(last)) => Appended::Through((&last).into()),
            Ok(None) => Appended::Nothing(Empty {}),
            Err(StreamAppendError::Conflict(id)) => Appended::Conflict((&id).into()),
            Err(StreamAppendError::HigherVote(vote)) => Appended::HigherVote((&vote).into()),
        };
        Self { appended: Some(appended) }
    }
}

impl TryFrom<message::AppendResponse> for Appending {
    type Error = DecodeError;

    fn try_from(message: message::AppendResponse) -> Result<Self, DecodeError> {
        Ok(Self(match message.appended.ok_or(DecodeError::Unknown("answer to entries"))? {
            Appended::Through(last) => Ok(Some(last.into())),
            Appended::Nothing(Empty {}) => Ok(None),
            Appended::Conflict(id) => Err(StreamAppendError::Conflict(id.into())),
            Appended::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote.into())),
        }))
    }
}

/// The answer to entries, which is a `Result` of openraft's.
#[derive(Debug)]
pub(crate) struct Appending(pub(crate) StreamAppendResult<Types>);

impl From<&TransferLeaderRequest<Types>> for message::TransferLeaderRequest {
    fn from(request: &TransferLeaderRequest<Types>) -> Self {
        Self { from: request.from_leader().into(), to: *request.to_node_id(), last: request.last_log_id().map(Into::into) }
    }
}

impl From<message::TransferLeaderRequest> for TransferLeaderRequest<Types> {
    fn from(message: message::TransferLeaderRequest) -> Self {
        Self::new(message.from.into(), message.to, message.last.map(Into::into))
    }
}
