//! A door for fuzzing: what peers and files say, taken in as a node takes it in, without a node. Not part of a build without the feature `fuzzing`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest, VoteResponse};
use prost::Message;
use shoal_formation::control::Cause;
use shoal_kv::{
    Command, Compare, CompareResult, CompareTarget, DeleteRangeRequest, KeyValue, LeaseGrantRequest, PutRequest, RangeRequest, RequestOp,
    Revision, Store, TxnRequest,
};

use crate::{
    codec::{decode_command, encode_command},
    peer::message::{self, AppendRequest, Call, EntryMessage, Hello, Introduction, Lane, Reply, Request, Response, StreamedAppend},
    raft::{
        Membership, Payload, Peer, Types,
        convert::Appending,
        entry::{Attributes, Content, Proposal, ProposalId, encode_payload},
        wire::{LogIdMessage, VoteMessage},
    },
    snapshot::record::{HeadMessage, decode_row, encode_row},
    state::{Head, Replicated},
};

/// What the first byte of an input says that the rest is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Hello,
    Call,
    Reply,
    Append,
    Appended,
    Introduction,
    Head,
    Row,
    Command,
}

const KINDS: [Kind; 9] =
    [Kind::Hello, Kind::Call, Kind::Reply, Kind::Append, Kind::Appended, Kind::Introduction, Kind::Head, Kind::Row, Kind::Command];

/// Takes `input` in: one byte that says what it is (modulo their number: a hello, a call, a reply, entries, the answer to entries, an introduction,
/// the head of a snapshot, a row of one, a command), and its bytes. Says whether it was understood.
///
/// # Panics
/// If what was understood is another thing after it was written and read again.
#[must_use]
pub fn take_in(input: &[u8]) -> bool {
    let Some((&kind, bytes)) = input.split_first() else { return false };
    let bytes = Bytes::copy_from_slice(bytes);
    match KINDS[usize::from(kind) % KINDS.len()] {
        Kind::Hello => decode::<Hello>(bytes).is_some_and(|hello| Lane::try_from(hello.lane).is_ok()),
        Kind::Call => decode::<Call>(bytes).is_some_and(call),
        Kind::Reply => decode::<Reply>(bytes).is_some_and(reply),
        Kind::Append => decode::<StreamedAppend>(bytes).is_some_and(|append| entries(append.request)),
        Kind::Appended => decode::<message::StreamedAppended>(bytes).is_some_and(|answer| Appending::try_from(answer.response).is_ok()),
        Kind::Introduction => decode::<Introduction>(bytes).is_some(),
        Kind::Head => decode::<HeadMessage>(bytes).is_some_and(|head| Head::try_from(head).is_ok()),
        Kind::Row => decode_row(Revision { main: 1, sub: 0 }, bytes).is_ok(),
        Kind::Command => command(bytes),
    }
}

/// A message that is the same when it is written and read again.
fn decode<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: Bytes) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    assert!(M::decode(Bytes::from(message.encode_to_vec())).is_ok_and(|again| again == message), "{message:?}");
    Some(message)
}

fn call(call: Call) -> bool {
    match call.request {
        Some(Request::Vote(vote) | Request::PreVote(vote)) => {
            let _ = VoteRequest::<Types>::from(vote);
            true
        }
        Some(Request::Heartbeat(append)) => entries(append),
        Some(Request::TransferLeader(transfer)) => {
            let _ = TransferLeaderRequest::<Types>::from(transfer);
            true
        }
        Some(Request::Propose(propose)) => Proposal::from_bytes(propose.proposal).is_ok_and(|proposal| proposal.decode().is_ok()),
        Some(_) => true,
        None => false,
    }
}

fn reply(reply: Reply) -> bool {
    match reply.response {
        Some(Response::Vote(vote)) => {
            let _ = VoteResponse::<Types>::from(vote);
            true
        }
        Some(Response::Append(appended)) => Appending::try_from(appended).is_ok(),
        Some(_) => true,
        None => false,
    }
}

fn entries(append: AppendRequest) -> bool {
    let Ok(request) = AppendEntriesRequest::<Types>::try_from(append) else { return false };
    request.entries.iter().all(|entry| match &entry.payload {
        Payload::Normal(proposal) => proposal.decode().is_ok(),
        Payload::Blank | Payload::Membership(_) => true,
    })
}

fn command(bytes: Bytes) -> bool {
    let Ok(command) = decode_command(bytes) else { return false };
    assert_eq!(decode_command(encode_command(&command)).as_ref(), Ok(&command));
    true
}

/// Inputs that are understood, by name.
#[must_use]
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let vote = VoteMessage { term: 3, voted_for: 7, committed: true };
    let id = |index| LogIdMessage { term: 3, index };
    let put = Command::Put(PutRequest { key: "key".into(), value: "value".into(), lease: 9, ..PutRequest::default() });
    let compare =
        Compare { key: "key".into(), range_end: Bytes::new(), result: CompareResult::Equal, target: CompareTarget::Value("value".into()) };
    let txn = Command::Txn(TxnRequest {
        compare: vec![compare],
        success: vec![
            RequestOp::Put(PutRequest { key: "a".into(), ..PutRequest::default() }),
            RequestOp::Txn(TxnRequest { success: vec![RequestOp::Range(RangeRequest::default())], ..TxnRequest::default() }),
        ],
        failure: vec![RequestOp::DeleteRange(DeleteRangeRequest {
            key: "b".into(),
            range_end: "c".into(),
            ..DeleteRangeRequest::default()
        })],
    });
    let grant = Command::LeaseGrant(LeaseGrantRequest { id: 5, ttl: 60 });
    let proposal = |content| Proposal::new(ProposalId { member: 7, sequence: 1 }, content).bytes().clone();
    let attributes = Attributes { member: 7, name: "n1".to_owned(), client_urls: vec!["http://n1:2379".to_owned()] };
    let publish = proposal(Content::Publish(attributes.clone()));
    let peers = [7, 8].map(|member| (member, Peer::voter(vec![format!("http://n{member}:2380")])));
    let membership = Membership::new(vec![[7, 8].into()], BTreeMap::from(peers)).expect("both are known");
    let membership = encode_payload(&Payload::Membership(membership));
    let control = proposal(Content::Control(shoal_formation::ControlEntry::Remove(shoal_formation::NodeId(5), Cause::Revoked)));
    let payloads =
        [Bytes::from_static(&[0]), proposal(Content::Command(put.clone())), publish, proposal(Content::Admit), membership, control];
    let mut head = Replicated::new(Store::new()).head();
    head.attributes.insert(7, attributes);
    head.store.leases.push((5, 60));
    let row = KeyValue { key: "key".into(), value: "value".into(), version: 1, lease: 5, ..KeyValue::default() };
    let entries = (1..).zip(payloads).map(|(index, payload)| EntryMessage { id: id(index), payload }).collect();
    let append = AppendRequest { vote, previous: Some(id(0)), committed: Some(id(2)), entries };
    let ask = |request| Call { id: 1, request: Some(request) }.encode_to_vec();
    let vote_request = message::VoteRequest { vote, last: Some(id(4)), leadership_transfer: false };
    let propose = message::ProposeRequest { term: 3, proposal: proposal(Content::Command(txn.clone())) };
    let add = message::Change::Add(message::AddMember { urls: vec!["http://n4:2380".to_owned()], is_learner: true });
    let member =
        message::IntroducedMember { id: 7, name: "n1".to_owned(), peer_urls: vec!["http://n1:2380".to_owned()], ..Default::default() };
    let appended = message::AppendResponse { appended: Some(message::Appended::Through(id(4))) };
    let of = |kind: Kind, bytes: &[u8]| [&[kind as u8], bytes].concat();
    vec![
        ("hello", of(Kind::Hello, &Hello::new(1, 7, 8, Lane::Control).encode_to_vec())),
        ("vote", of(Kind::Call, &ask(Request::Vote(vote_request)))),
        ("heartbeat", of(Kind::Call, &ask(Request::Heartbeat(append.clone())))),
        ("propose", of(Kind::Call, &ask(Request::Propose(propose)))),
        ("change", of(Kind::Call, &ask(Request::ChangeMembers(message::ChangeRequest { change: Some(add) })))),
        ("reply", of(Kind::Reply, &Reply { id: 1, response: Some(Response::Append(appended)) }.encode_to_vec())),
        ("append", of(Kind::Append, &StreamedAppend { stream: 1, request: append }.encode_to_vec())),
        ("appended", of(Kind::Appended, &message::StreamedAppended { stream: 1, response: appended }.encode_to_vec())),
        ("introduction", of(Kind::Introduction, &Introduction { cluster: 1, members: vec![member] }.encode_to_vec())),
        ("head", of(Kind::Head, &HeadMessage::from(&head).encode_to_vec())),
        ("row", of(Kind::Row, &encode_row(&row))),
        ("put", of(Kind::Command, &encode_command(&put))),
        ("txn", of(Kind::Command, &encode_command(&txn))),
        ("grant", of(Kind::Command, &encode_command(&grant))),
    ]
}
