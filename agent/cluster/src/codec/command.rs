//! [`Command`] as the log and peers see it.

use bytes::Bytes;
use prost::Message;
use shoal_kv::{
    Alarm, AlarmAction, AlarmRequest, Command, CompactionRequest, Compare, CompareResult, CompareTarget, DeleteRangeRequest,
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, SortOrder, SortTarget, TxnRequest,
};

use super::DecodeError;

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

impl From<&Command> for Request {
    fn from(command: &Command) -> Self {
        match command {
            Command::Put(put) => Self::Put(put.into()),
            Command::DeleteRange(delete) => Self::DeleteRange(delete.into()),
            Command::Txn(txn) => Self::Txn(txn.into()),
            Command::Compact(compact) => Self::Compact(CompactMessage { revision: compact.revision }),
            Command::LeaseGrant(grant) => Self::LeaseGrant(LeaseGrantMessage { id: grant.id, ttl: grant.ttl }),
            Command::LeaseRevoke(revoke) => Self::LeaseRevoke(LeaseRevokeMessage { id: revoke.id }),
            Command::Alarm(alarm) => Self::Alarm(alarm.into()),
        }
    }
}

impl TryFrom<Request> for Command {
    type Error = DecodeError;

    fn try_from(request: Request) -> Result<Self, DecodeError> {
        Ok(match request {
            Request::Put(put) => Self::Put(put.into()),
            Request::DeleteRange(delete) => Self::DeleteRange(delete.into()),
            Request::Txn(txn) => Self::Txn(txn.try_into()?),
            Request::Compact(compact) => Self::Compact(CompactionRequest { revision: compact.revision }),
            Request::LeaseGrant(grant) => Self::LeaseGrant(LeaseGrantRequest { id: grant.id, ttl: grant.ttl }),
            Request::LeaseRevoke(revoke) => Self::LeaseRevoke(LeaseRevokeRequest { id: revoke.id }),
            Request::Alarm(alarm) => Self::Alarm(alarm.try_into()?),
        })
    }
}

impl From<&PutRequest> for PutMessage {
    fn from(put: &PutRequest) -> Self {
        let PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease } = put.clone();
        Self { key, value, lease, prev_kv, ignore_value, ignore_lease }
    }
}

impl From<PutMessage> for PutRequest {
    fn from(put: PutMessage) -> Self {
        let PutMessage { key, value, lease, prev_kv, ignore_value, ignore_lease } = put;
        Self { key, value, lease, prev_kv, ignore_value, ignore_lease }
    }
}

impl From<&DeleteRangeRequest> for DeleteRangeMessage {
    fn from(delete: &DeleteRangeRequest) -> Self {
        let DeleteRangeRequest { key, range_end, prev_kv } = delete.clone();
        Self { key, range_end, prev_kv }
    }
}

impl From<DeleteRangeMessage> for DeleteRangeRequest {
    fn from(delete: DeleteRangeMessage) -> Self {
        let DeleteRangeMessage { key, range_end, prev_kv } = delete;
        Self { key, range_end, prev_kv }
    }
}

impl From<&RangeRequest> for RangeMessage {
    fn from(range: &RangeRequest) -> Self {
        let RangeRequest {
            key,
            range_end,
            limit,
            revision,
            sort_order,
            sort_target,
            keys_only,
            count_only,
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
        } = range.clone();
        let sort_order = match sort_order {
            SortOrder::None => 0,
            SortOrder::Ascend => 1,
            SortOrder::Descend => 2,
        };
        let sort_target = match sort_target {
            SortTarget::Key => 0,
            SortTarget::Version => 1,
            SortTarget::Create => 2,
            SortTarget::Mod => 3,
            SortTarget::Value => 4,
        };
        Self {
            key,
            range_end,
            limit,
            revision,
            sort_order,
            sort_target,
            keys_only,
            count_only,
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
        }
    }
}

impl TryFrom<RangeMessage> for RangeRequest {
    type Error = DecodeError;

    fn try_from(range: RangeMessage) -> Result<Self, DecodeError> {
        let RangeMessage {
            key,
            range_end,
            limit,
            revision,
            sort_order,
            sort_target,
            keys_only,
            count_only,
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
        } = range;
        Ok(Self {
            key,
            range_end,
            limit,
            revision,
            sort_order: sort_order.try_into().map_err(|_| DecodeError::Unknown("sort order"))?,
            sort_target: sort_target.try_into().map_err(|_| DecodeError::Unknown("sort target"))?,
            keys_only,
            count_only,
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
        })
    }
}

impl From<&TxnRequest> for TxnMessage {
    fn from(txn: &TxnRequest) -> Self {
        Self {
            compare: txn.compare.iter().map(Into::into).collect(),
            success: txn.success.iter().map(Into::into).collect(),
            failure: txn.failure.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<TxnMessage> for TxnRequest {
    type Error = DecodeError;

    fn try_from(txn: TxnMessage) -> Result<Self, DecodeError> {
        Ok(Self {
            compare: txn.compare.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            success: txn.success.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            failure: txn.failure.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&RequestOp> for OpMessage {
    fn from(op: &RequestOp) -> Self {
        Self {
            op: Some(match op {
                RequestOp::Range(range) => Op::Range(range.into()),
                RequestOp::Put(put) => Op::Put(put.into()),
                RequestOp::DeleteRange(delete) => Op::DeleteRange(delete.into()),
                RequestOp::Txn(txn) => Op::Txn(txn.into()),
            }),
        }
    }
}

impl TryFrom<OpMessage> for RequestOp {
    type Error = DecodeError;

    fn try_from(op: OpMessage) -> Result<Self, DecodeError> {
        Ok(match op.op.ok_or(DecodeError::Unknown("operation"))? {
            Op::Range(range) => Self::Range(range.try_into()?),
            Op::Put(put) => Self::Put(put.into()),
            Op::DeleteRange(delete) => Self::DeleteRange(delete.into()),
            Op::Txn(txn) => Self::Txn(txn.try_into()?),
        })
    }
}

impl From<&Compare> for CompareMessage {
    fn from(compare: &Compare) -> Self {
        let Compare { key, range_end, result, target } = compare.clone();
        let result = match result {
            CompareResult::Equal => 0,
            CompareResult::Greater => 1,
            CompareResult::Less => 2,
            CompareResult::NotEqual => 3,
            CompareResult::Unrecognized => -1,
        };
        let target = match target {
            CompareTarget::Version(version) => Target::Version(version),
            CompareTarget::CreateRevision(revision) => Target::CreateRevision(revision),
            CompareTarget::ModRevision(revision) => Target::ModRevision(revision),
            CompareTarget::Value(value) => Target::Value(value),
            CompareTarget::Lease(lease) => Target::Lease(lease),
            CompareTarget::Unrecognized => Target::Unrecognized(true),
        };
        Self { key, range_end, result, target: Some(target) }
    }
}

impl TryFrom<CompareMessage> for Compare {
    type Error = DecodeError;

    fn try_from(compare: CompareMessage) -> Result<Self, DecodeError> {
        let CompareMessage { key, range_end, result, target } = compare;
        let target = match target.ok_or(DecodeError::Unknown("comparison"))? {
            Target::Version(version) => CompareTarget::Version(version),
            Target::CreateRevision(revision) => CompareTarget::CreateRevision(revision),
            Target::ModRevision(revision) => CompareTarget::ModRevision(revision),
            Target::Value(value) => CompareTarget::Value(value),
            Target::Lease(lease) => CompareTarget::Lease(lease),
            Target::Unrecognized(_) => CompareTarget::Unrecognized,
        };
        Ok(Self { key, range_end, result: CompareResult::from(result), target })
    }
}

impl From<&AlarmRequest> for AlarmMessage {
    fn from(request: &AlarmRequest) -> Self {
        let action = match request.action {
            AlarmAction::Activate => 1,
            AlarmAction::Deactivate => 2,
        };
        Self { action, member: request.member, alarm: alarm_number(request.alarm) }
    }
}

impl TryFrom<AlarmMessage> for AlarmRequest {
    type Error = DecodeError;

    fn try_from(message: AlarmMessage) -> Result<Self, DecodeError> {
        let action = match message.action {
            1 => AlarmAction::Activate,
            2 => AlarmAction::Deactivate,
            _ => return Err(DecodeError::Unknown("alarm action")),
        };
        Ok(Self { action, member: message.member, alarm: alarm_of_number(message.alarm)? })
    }
}

pub(crate) const fn alarm_number(alarm: Alarm) -> u32 {
    match alarm {
        Alarm::NoSpace => 1,
        Alarm::Corrupt => 2,
    }
}

pub(crate) const fn alarm_of_number(number: u32) -> Result<Alarm, DecodeError> {
    match number {
        1 => Ok(Alarm::NoSpace),
        2 => Ok(Alarm::Corrupt),
        _ => Err(DecodeError::Unknown("alarm")),
    }
}
