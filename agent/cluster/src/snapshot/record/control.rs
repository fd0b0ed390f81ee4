//! What entries about the cluster itself have made, as the head of a checkpoint or snapshot keeps it.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use shoal_formation::{
    BootId, ClusterId, Control, HardwareHint, NodeId, NodeKey,
    control::{Admission, MemberRecord, Parts, Tombstone},
};

use crate::codec::{DecodeError, cause_number, cause_of_number, medium_number, medium_of_number};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ControlMessage {
    #[prost(btree_map = "uint64, message", tag = "1")]
    members: BTreeMap<u64, MemberMessage>,
    #[prost(btree_map = "uint64, message", tag = "2")]
    tombstones: BTreeMap<u64, TombstoneMessage>,
    #[prost(fixed64, repeated, tag = "3")]
    revoked: Vec<u64>,
    #[prost(bool, tag = "4")]
    begun: bool,
    #[prost(bool, tag = "5")]
    born: bool,
    #[prost(uint64, optional, tag = "6")]
    sealed: Option<u64>,
    #[prost(message, optional, tag = "7")]
    dissolved: Option<DissolvedMessage>,
    #[prost(uint32, tag = "8")]
    replacements: u32,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct MemberMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(fixed64, tag = "2")]
    boot: u64,
    #[prost(fixed64, tag = "3")]
    hint: u64,
    #[prost(uint32, tag = "4")]
    medium: u32,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct TombstoneMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(uint64, tag = "2")]
    index: u64,
    #[prost(uint32, tag = "3")]
    cause: u32,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct DissolvedMessage {
    #[prost(uint64, tag = "1")]
    index: u64,
    /// 16 bytes, big endian.
    #[prost(bytes = "bytes", tag = "2")]
    into: Bytes,
}

impl From<&Control> for ControlMessage {
    fn from(control: &Control) -> Self {
        let Parts { members, tombstones, revoked, begun, born, sealed, dissolved, replacements } = control.clone().into();
        let member = |(node, MemberRecord { admission }): (NodeId, MemberRecord)| {
            let key = Bytes::copy_from_slice(&admission.key.0);
            let medium = medium_number(admission.medium).into();
            (node.0, MemberMessage { key, boot: admission.boot.0, hint: admission.hint.0, medium })
        };
        let tombstone = |(node, tombstone): (NodeId, Tombstone)| {
            let key = Bytes::copy_from_slice(&tombstone.key.0);
            (node.0, TombstoneMessage { key, index: tombstone.index, cause: cause_number(tombstone.cause).into() })
        };
        let dissolution = |(index, into): (u64, ClusterId)| DissolvedMessage { index, into: Bytes::copy_from_slice(&into.0.to_be_bytes()) };
        Self {
            members: members.into_iter().map(member).collect(),
            tombstones: tombstones.into_iter().map(tombstone).collect(),
            revoked: revoked.into_iter().map(|hint| hint.0).collect(),
            begun,
            born,
            sealed,
            dissolved: dissolved.map(dissolution),
            replacements,
        }
    }
}

fn key(bytes: &[u8]) -> Result<NodeKey, DecodeError> {
    bytes.try_into().map(NodeKey).map_err(|_| DecodeError::Unknown("key of a node"))
}

impl TryFrom<ControlMessage> for Control {
    type Error = DecodeError;

    fn try_from(message: ControlMessage) -> Result<Self, DecodeError> {
        let member = |(node, member): (u64, MemberMessage)| {
            let medium = medium_of_number(member.medium)?;
            let admission = Admission { key: key(&member.key)?, boot: BootId(member.boot), hint: HardwareHint(member.hint), medium };
            Ok((NodeId(node), MemberRecord { admission }))
        };
        let tombstone = |(node, tombstone): (u64, TombstoneMessage)| {
            let cause = cause_of_number(tombstone.cause)?;
            Ok((NodeId(node), Tombstone { key: key(&tombstone.key)?, index: tombstone.index, cause }))
        };
        let dissolved = |dissolved: DissolvedMessage| {
            let into = dissolved.into[..].try_into().map_err(|_| DecodeError::Unknown("cluster"))?;
            Ok::<_, DecodeError>((dissolved.index, ClusterId(u128::from_be_bytes(into))))
        };
        Ok(Parts {
            members: message.members.into_iter().map(member).collect::<Result<_, DecodeError>>()?,
            tombstones: message.tombstones.into_iter().map(tombstone).collect::<Result<_, DecodeError>>()?,
            revoked: message.revoked.into_iter().map(HardwareHint).collect(),
            begun: message.begun,
            born: message.born,
            sealed: message.sealed,
            dissolved: message.dissolved.map(dissolved).transpose()?,
            replacements: message.replacements,
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use shoal_formation::{ControlEntry, Settings};

    use super::*;
    use crate::codec::control_entries;

    fn controls() -> impl Iterator<Item = Control> {
        let mut control = Control::default();
        control_entries().into_iter().zip(3..).map(move |(entry, index)| {
            let _ = control.apply(index, &entry, &Settings::default());
            control.clone()
        })
    }

    #[test]
    fn what_entries_made_is_read_as_it_was_written() {
        let mut removed = Control::default();
        for (entry, index) in control_entries()
            .into_iter()
            .take(2)
            .chain([4, 1].map(|node| ControlEntry::Remove(NodeId(node), shoal_formation::control::Cause::Revoked)))
            .zip(3..)
        {
            let _ = removed.apply(index, &entry, &Settings::default());
        }
        assert!(removed.removed().eq([NodeId(1), NodeId(4)]));
        for control in controls().chain([Control::default(), removed]) {
            let bytes = ControlMessage::from(&control).encode_to_vec();
            let message = ControlMessage::decode(&bytes[..]).expect("it was written");
            assert_eq!(Control::try_from(message), Ok(control));
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let control = controls().nth(1).expect("there are more");
        let mut message = ControlMessage::from(&control);
        message.members.values_mut().for_each(|member| member.key = Bytes::from_static(&[1; 31]));
        assert_eq!(Control::try_from(message), Err(DecodeError::Unknown("key of a node")));
    }
}
