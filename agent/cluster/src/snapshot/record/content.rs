//! What is in a snapshot and in a checkpoint alike: the head, and versions of keys, in protocol buffers.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use shoal_formation::Control;
use shoal_kv::{AlarmMember, KeyValue, Revision, checkpoint::CheckpointHead};

use super::control::ControlMessage;
use crate::{
    codec::{DecodeError, alarm_number, alarm_of_number},
    raft::{
        entry::Attributes,
        wire::{LogIdMessage, StoredMembershipMessage},
    },
    state::Head,
};

/// [`Head`], also as the checkpoint keeps it (there without leases, which are rows of their own).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HeadMessage {
    #[prost(message, optional, tag = "1")]
    applied: Option<LogIdMessage>,
    #[prost(message, optional, tag = "2")]
    membership: Option<StoredMembershipMessage>,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<Attributes>,
    #[prost(int64, tag = "4")]
    revision: i64,
    #[prost(sint64, tag = "5")]
    compact_revision: i64,
    #[prost(message, repeated, tag = "6")]
    alarms: Vec<AlarmMemberMessage>,
    #[prost(btree_map = "int64, int64", tag = "7")]
    pub(crate) leases: BTreeMap<i64, i64>,
    /// Only of a cluster that has formed itself.
    #[prost(message, optional, tag = "8")]
    control: Option<ControlMessage>,
    #[prost(uint64, optional, tag = "9")]
    first_seal: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct AlarmMemberMessage {
    #[prost(uint64, tag = "1")]
    member: u64,
    #[prost(uint32, tag = "2")]
    alarm: u32,
}

/// A version of a key, without its revision.
#[derive(Clone, PartialEq, Eq, Message)]
struct KeyValueMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
    #[prost(int64, tag = "3")]
    create_revision: i64,
    #[prost(int64, tag = "4")]
    version: i64,
    #[prost(int64, tag = "5")]
    lease: i64,
}

impl From<&Head> for HeadMessage {
    fn from(head: &Head) -> Self {
        let alarm = |member: &AlarmMember| AlarmMemberMessage { member: member.member, alarm: alarm_number(member.alarm) };
        Self {
            applied: head.applied.as_ref().map(Into::into),
            membership: Some((&head.membership).into()),
            attributes: head.attributes.values().cloned().collect(),
            revision: head.store.revision,
            compact_revision: head.store.compact_revision,
            alarms: head.store.alarms.iter().map(alarm).collect(),
            leases: head.store.leases.iter().copied().collect(),
            control: (head.control != Control::default()).then(|| (&head.control).into()),
            first_seal: head.first_seal,
        }
    }
}

impl TryFrom<HeadMessage> for Head {
    type Error = DecodeError;

    fn try_from(message: HeadMessage) -> Result<Self, DecodeError> {
        let alarm = |alarm: AlarmMemberMessage| Ok(AlarmMember { member: alarm.member, alarm: alarm_of_number(alarm.alarm)? });
        Ok(Self {
            applied: message.applied.map(Into::into),
            membership: message.membership.unwrap_or_default().try_into()?,
            attributes: message.attributes.into_iter().map(|attributes| (attributes.member, attributes)).collect(),
            control: message.control.unwrap_or_default().try_into()?,
            first_seal: message.first_seal,
            store: CheckpointHead {
                revision: message.revision,
                compact_revision: message.compact_revision,
                leases: message.leases.into_iter().collect(),
                alarms: message.alarms.into_iter().map(alarm).collect::<Result<_, DecodeError>>()?,
            },
        })
    }
}

/// A version as a row of the checkpoint. Its mod revision is the row's own.
pub(crate) fn encode_row(kv: &KeyValue) -> Bytes {
    let KeyValue { key, value, create_revision, version, lease, .. } = kv.clone();
    KeyValueMessage { key, value, create_revision, version, lease }.encode_to_vec().into()
}

/// The version in a row. Key and value share the row's memory.
pub(crate) fn decode_row(at: Revision, row: Bytes) -> Result<KeyValue, DecodeError> {
    let KeyValueMessage { key, value, create_revision, version, lease } = KeyValueMessage::decode(row)?;
    Ok(KeyValue { key, value, create_revision, mod_revision: at.main, version, lease })
}
