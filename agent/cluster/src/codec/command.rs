//! [`Command`] as the log and peers see it.

mod convert;

use bytes::Bytes;
use prost::Message;
use shoal_kv::Command;

use super::DecodeError;
pub(crate) use convert::{alarm_number, alarm_of_number};

/// A command as the log keeps it, without what only its proposer needs.
#[must_use]
pub fn encode_command(command: &Command) -> Bytes {
    CommandMessage::new(command).encode_to_vec().into()
}

/// The size of [`encode_command`], in bytes.
#[must_use]
pub fn encoded_len(command: &Command) -> usize {
    CommandMessage::new(command).encoded_len()
}

/// The command that was encoded. Keys and values share the memory of `bytes`.
///
/// # Errors
/// [`DecodeError`] for anything that [`encode_command`] of this or an older version does not make.
pub fn decode_command(bytes: Bytes) -> Result<Command, DecodeError> {
    CommandMessage::decode(bytes)?.try_into()
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CommandMessage {
    #[prost(oneof = "Request", tags = "1, 2, 3, 4, 5, 6, 7")]
    command: Option<Request>,
}

impl CommandMessage {
    pub(crate) fn new(command: &Command) -> Self {
        Self { command: Some(command.into()) }
    }
}

impl TryFrom<CommandMessage> for Command {
    type Error = DecodeError;

    fn try_from(message: CommandMessage) -> Result<Self, DecodeError> {
        message.command.ok_or(DecodeError::Unknown("command"))?.try_into()
    }
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Request {
    #[prost(message, tag = "1")]
    Put(PutMessage),
    #[prost(message, tag = "2")]
    DeleteRange(DeleteRangeMessage),
    #[prost(message, tag = "3")]
    Txn(TxnMessage),
    #[prost(message, tag = "4")]
    Compact(CompactMessage),
    #[prost(message, tag = "5")]
    LeaseGrant(LeaseGrantMessage),
    #[prost(message, tag = "6")]
    LeaseRevoke(LeaseRevokeMessage),
    #[prost(message, tag = "7")]
    Alarm(AlarmMessage),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PutMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
    #[prost(int64, tag = "3")]
    lease: i64,
    #[prost(bool, tag = "4")]
    prev_kv: bool,
    #[prost(bool, tag = "5")]
    ignore_value: bool,
    #[prost(bool, tag = "6")]
    ignore_lease: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeleteRangeMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    range_end: Bytes,
    #[prost(bool, tag = "3")]
    prev_kv: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RangeMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    range_end: Bytes,
    #[prost(int64, tag = "3")]
    limit: i64,
    #[prost(int64, tag = "4")]
    revision: i64,
    #[prost(int32, tag = "5")]
    sort_order: i32,
    #[prost(int32, tag = "6")]
    sort_target: i32,
    #[prost(bool, tag = "7")]
    keys_only: bool,
    #[prost(bool, tag = "8")]
    count_only: bool,
    #[prost(int64, tag = "9")]
    min_mod_revision: i64,
    #[prost(int64, tag = "10")]
    max_mod_revision: i64,
    #[prost(int64, tag = "11")]
    min_create_revision: i64,
    #[prost(int64, tag = "12")]
    max_create_revision: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TxnMessage {
    #[prost(message, repeated, tag = "1")]
    compare: Vec<CompareMessage>,
    #[prost(message, repeated, tag = "2")]
    success: Vec<OpMessage>,
    #[prost(message, repeated, tag = "3")]
    failure: Vec<OpMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CompareMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    range_end: Bytes,
    /// As in rpc.proto; -1 for one that rpc.proto gives no meaning.
    #[prost(sint32, tag = "3")]
    result: i32,
    #[prost(oneof = "Target", tags = "4, 5, 6, 7, 8, 9")]
    target: Option<Target>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Target {
    #[prost(int64, tag = "4")]
    Version(i64),
    #[prost(int64, tag = "5")]
    CreateRevision(i64),
    #[prost(int64, tag = "6")]
    ModRevision(i64),
    #[prost(bytes = "bytes", tag = "7")]
    Value(Bytes),
    #[prost(int64, tag = "8")]
    Lease(i64),
    #[prost(bool, tag = "9")]
    Unrecognized(bool),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OpMessage {
    #[prost(oneof = "Op", tags = "1, 2, 3, 4")]
    op: Option<Op>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Op {
    #[prost(message, tag = "1")]
    Range(RangeMessage),
    #[prost(message, tag = "2")]
    Put(PutMessage),
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRangeMessage),
    #[prost(message, tag = "4")]
    Txn(TxnMessage),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct CompactMessage {
    #[prost(int64, tag = "1")]
    revision: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct LeaseGrantMessage {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int64, tag = "2")]
    ttl: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct LeaseRevokeMessage {
    #[prost(int64, tag = "1")]
    id: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct AlarmMessage {
    /// 1 to raise, 2 to disarm.
    #[prost(uint32, tag = "1")]
    action: u32,
    #[prost(uint64, tag = "2")]
    member: u64,
    /// As in rpc.proto.
    #[prost(uint32, tag = "3")]
    alarm: u32,
}
