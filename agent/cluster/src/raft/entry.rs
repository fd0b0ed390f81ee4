//! What stands in the log's entries.
//!
//! | first byte | the rest |
//! |---|---|
//! | 0 | nothing: a leader's first entry |
//! | 1 | a [`Proposal`]'s content, with who proposed it |
//! | 2 | a configuration of the cluster |
//! | 3 | an entry about the cluster itself, behind who proposed it: two numbers of eight bytes, big endian |
//!
//! A version that does not know a kind of entry does not skip it: it stops, and says so.

use std::fmt;

use bytes::{BufMut, Bytes};
use openraft::entry::RaftEntry;
use prost::Message;
use shoal_formation::ControlEntry;
use shoal_kv::Command;

use super::{Entry, LogId, Membership, Payload, wire::MembershipMessage};
use crate::codec::{CONTROL_BYTES_MAX, CommandMessage, DecodeError, decode_control, encode_control, is_seal};

const BLANK: u8 = 0;
const PROPOSAL: u8 = 1;
const MEMBERSHIP: u8 = 2;
const CONTROL: u8 = 3;

/// Bytes in front of an entry about the cluster itself: the kind, and who proposed it.
const CONTROL_HEADER_BYTES: usize = 1 + 8 + 8;

/// A proposal as the log keeps it, encoded once by the member that makes it. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proposal(Bytes);

/// Who made a proposal, so that it is found again when it is applied: the member, and a number it uses once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ProposalId {
    pub(crate) member: u64,
    pub(crate) sequence: u64,
}

/// What is proposed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A command for the store.
    Command(Command),
    /// A member says what it calls itself and where clients reach it.
    Publish(Attributes),
    /// An entry about the cluster itself.
    Control(ControlEntry),
    /// Nothing but a place in the log, whose index is the id of a member to be: it was never used and never will be.
    Admit,
}

/// What a member says about itself.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Attributes {
    #[prost(uint64, tag = "1")]
    pub(crate) member: u64,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) client_urls: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ProposalMessage {
    #[prost(uint64, tag = "1")]
    member: u64,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(oneof = "ContentMessage", tags = "3, 4, 5")]
    content: Option<ContentMessage>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ContentMessage {
    #[prost(message, tag = "3")]
    Command(CommandMessage),
    #[prost(message, tag = "4")]
    Publish(Attributes),
    #[prost(bool, tag = "5")]
    Admit(bool),
}

impl Proposal {
    pub(crate) fn new(id: ProposalId, content: Content) -> Self {
        let content = match content {
            Content::Command(command) => ContentMessage::Command(CommandMessage::new(&command)),
            Content::Publish(attributes) => ContentMessage::Publish(attributes),
            Content::Admit => ContentMessage::Admit(true),
            Content::Control(entry) => return Self::control(id, &entry),
        };
        let message = ProposalMessage { member: id.member, sequence: id.sequence, content: Some(content) };
        let mut bytes = Vec::with_capacity(1 + message.encoded_len());
        bytes.put_u8(PROPOSAL);
        message.encode_raw(&mut bytes);
        Self(bytes.into())
    }

    fn control(id: ProposalId, entry: &ControlEntry) -> Self {
        let mut bytes = Vec::with_capacity(CONTROL_HEADER_BYTES + CONTROL_BYTES_MAX);
        bytes.put_u8(CONTROL);
        bytes.put_u64(id.member);
        bytes.put_u64(id.sequence);
        encode_control(entry, &mut bytes);
        Self(bytes.into())
    }

    /// Whether it is a seal. Does not look at more than a few bytes.
    pub(crate) fn is_seal(&self) -> bool {
        self.0.first() == Some(&CONTROL) && self.0.get(CONTROL_HEADER_BYTES..).is_some_and(is_seal)
    }

    /// A proposal that another member encoded. Entries about the cluster itself are none: only who leads proposes them, to itself.
    pub(crate) fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        if bytes.first() == Some(&PROPOSAL) { Ok(Self(bytes)) } else { Err(DecodeError::Unknown("proposal")) }
    }

    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// What was proposed, and by whom. Keys and values share one allocation with nothing but this proposal in it, whatever buffer the
    /// proposal itself is a part of: they live as long as the store keeps them.
    pub(crate) fn decode(&self) -> Result<(ProposalId, Content), DecodeError> {
        if self.0.first() == Some(&CONTROL) {
            return self.decode_control();
        }
        let message = ProposalMessage::decode(Bytes::copy_from_slice(&self.0[1..]))?;
        let content = match message.content.ok_or(DecodeError::Unknown("content of a proposal"))? {
            ContentMessage::Command(command) => Content::Command(command.try_into()?),
            ContentMessage::Publish(attributes) => Content::Publish(attributes),
            ContentMessage::Admit(_) => Content::Admit,
        };
        Ok((ProposalId { member: message.member, sequence: message.sequence }, content))
    }
}

impl Proposal {
    fn decode_control(&self) -> Result<(ProposalId, Content), DecodeError> {
        let (header, entry) = self.0.split_first_chunk::<CONTROL_HEADER_BYTES>().ok_or(DecodeError::Unknown("control entry"))?;
        let number = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        Ok((ProposalId { member: number(1), sequence: number(9) }, Content::Control(decode_control(entry)?)))
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proposal({} bytes)", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// The payload of an entry as the log and peers see it.
pub(crate) fn encode_payload(payload: &Payload) -> Bytes {
    match payload {
        Payload::Blank => Bytes::from_static(&[BLANK]),
        Payload::Normal(proposal) => proposal.0.clone(),
        Payload::Membership(membership) => {
            let mut bytes = vec![MEMBERSHIP];
            MembershipMessage::from(membership).encode_raw(&mut bytes);
            bytes.into()
        }
    }
}

/// The entry that was encoded. A proposal shares the memory of `payload` and is not looked into.
pub(crate) fn decode_entry(id: LogId, payload: Bytes) -> Result<Entry, DecodeError> {
    match payload.first() {
        Some(&BLANK) => Ok(Entry::new_blank(id)),
        Some(&PROPOSAL | &CONTROL) => Ok(Entry::new_normal(id, Proposal(payload))),
        Some(&MEMBERSHIP) => Ok(Entry::new_membership(id, Membership::try_from(MembershipMessage::decode(payload.slice(1..))?)?)),
        Some(_) | None => Err(DecodeError::Unknown("kind of log entry")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec::control_entries, raft::log_id};

    #[test]
    fn entries_about_the_cluster_itself_come_back_and_are_not_taken_from_peers() {
        let id = ProposalId { member: 7, sequence: u64::MAX };
        for entry in control_entries() {
            let proposal = Proposal::new(id, Content::Control(entry));
            assert_eq!(proposal.is_seal(), entry == ControlEntry::Seal);
            assert!(Proposal::from_bytes(proposal.bytes().clone()).is_err(), "only who leads proposes them");
            let read = decode_entry(log_id(3, 4), encode_payload(&Payload::Normal(proposal))).expect("it was written");
            let Payload::Normal(read) = read.payload else { panic!("it was a proposal") };
            assert_eq!(read.decode(), Ok((id, Content::Control(entry))));
        }
    }

    /// Written by a version that knew of no such entries.
    #[test]
    fn logs_from_before_are_read() {
        let admit = Bytes::from_static(&[1, 8, 7, 16, 1, 40, 1]);
        let entry = decode_entry(log_id(1, 2), admit.clone()).expect("it is a proposal");
        let Payload::Normal(proposal) = entry.payload else { panic!("it was a proposal") };
        assert_eq!(proposal.decode(), Ok((ProposalId { member: 7, sequence: 1 }, Content::Admit)));
        assert_eq!(Proposal::new(ProposalId { member: 7, sequence: 1 }, Content::Admit).bytes(), &admit, "and still written so");
    }
}
