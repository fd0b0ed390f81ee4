//! Messages from commands, and commands from messages: numbers that this version does not know are refused, never guessed.

use shoal_kv::{
    Alarm, AlarmAction, AlarmRequest, Command, CompactionRequest, Compare, CompareResult, CompareTarget, DeleteRangeRequest,
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, SortOrder, SortTarget, TxnRequest,
};

use super::{
    AlarmMessage, CompactMessage, CompareMessage, DeleteRangeMessage, LeaseGrantMessage, LeaseRevokeMessage, Op, OpMessage, PutMessage,
    RangeMessage, Request, Target, TxnMessage,
};
use crate::codec::DecodeError;

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
