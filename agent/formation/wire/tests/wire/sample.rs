//! One of everything.

use std::{collections::BTreeMap, sync::Arc};

use shoal_formation::{
    BootId, ClusterId, Configuration, HardwareHint, Incarnation, Message, NodeId, NodeKey, Peer, Role, Standing,
    control::{Admission, Cause, Refusal},
    disk::{Floor, Leaving},
    facts::LogId,
    message::{Hello, JoinRefusal, Membership, RaftPosition, Sighting, Wish},
    settings::{Medium, Traits},
    statement::{PastLife, Reason, Removed, Verified},
};
use shoal_formation_wire::{PeerAddresses, Statements, statement};
use shoal_trust::{key::NodeSecret, statement as signed};

/// Signs all that it is asked for.
pub(crate) struct Node(pub(crate) NodeSecret);

impl Statements for Node {
    fn past_life(&self, past_life: &PastLife) -> Option<signed::Signed<signed::PastLife>> {
        Some(self.0.state(statement::to_be_signed(past_life)).signed().clone())
    }

    fn removed(&self, removed: &Removed) -> signed::Signed<signed::Removed> {
        statement::sign_removed(&self.0, removed)
    }
}

pub(crate) fn node(number: u8) -> Node {
    Node(NodeSecret::from_random([number; 32]).unwrap())
}

pub(crate) fn membership() -> Membership {
    Membership { cluster: ClusterId(0x1234), node: NodeId(5), sealed: true, live: false }
}

pub(crate) fn past_lives(count: u64) -> Vec<Verified<PastLife>> {
    let past_life = |number: u64| PastLife {
        cluster: ClusterId(number.into()),
        node: NodeId(number),
        configuration: Arc::new(Configuration {
            at: LogId { term: 3, index: 9 },
            voters: [NodeId(1), NodeId(4)].into(),
            outgoing: [NodeId(1)].into(),
            learners: Default::default(),
        }),
        reason: if number.is_multiple_of(2) { Reason::Abandoned } else { Reason::Dissolved(ClusterId(77)) },
    };
    (1..=count).map(|number| Verified::by_signature(past_life(number))).collect()
}

pub(crate) fn sighting(number: u16, standing: Standing) -> Sighting {
    let mut key = [0; 32];
    key[..2].copy_from_slice(&number.to_be_bytes());
    Sighting { peer: Peer { key: NodeKey(key), boot: BootId(7) }, incarnation: Incarnation(u64::from(number)), standing }
}

pub(crate) fn hello(view: u16, lives: u64) -> Hello {
    Hello {
        sequence: 3,
        incarnation: Incarnation(8),
        hint: HardwareHint(9),
        traits: Traits { domain: Some(4), maintenance: true, ..Traits::default() },
        epoch: 2,
        standing: Standing::Member(membership()),
        raft: Some(RaftPosition { term: 4, last: 30, committed: 29 }),
        view: (0..view).map(|number| sighting(number, Standing::Member(membership()))).collect(),
        past_lives: past_lives(lives),
    }
}

pub(crate) fn admission() -> Admission {
    Admission { key: NodeKey([4; 32]), boot: BootId(5), hint: HardwareHint(6), medium: Medium::Memory }
}

pub(crate) fn removed() -> Removed {
    Removed { cluster: ClusterId(0x1234), node: NodeId(5), index: 40 }
}

pub(crate) fn messages() -> Vec<Message> {
    let cluster = ClusterId(0x1234);
    let blank = Hello { standing: Standing::Virgin, raft: None, traits: Traits::default(), ..hello(0, 0) };
    vec![
        Message::Hello(Arc::new(hello(3, 2))),
        Message::Solicit(Arc::new(blank.clone())),
        Message::Promise(Arc::new(blank)),
        Message::Decline(Arc::new(hello(1, 0))),
        Message::Release,
        Message::Join(cluster, admission()),
        Message::Admitted(cluster, NodeId(8)),
        Message::Refused(cluster, JoinRefusal::NotHere),
        Message::Refused(cluster, JoinRefusal::Rules(Refusal::Dissolved(ClusterId(9)))),
        Message::Ask(cluster, Wish::Admit(admission())),
        Message::Ask(cluster, Wish::Seal),
        Message::Ask(cluster, Wish::Remove(NodeId(8), Cause::Superseded)),
        Message::Removed(Verified::by_signature(removed())),
        Message::Challenge,
        Message::Present,
        Message::Copy,
        Message::Forgetful,
    ]
}

pub(crate) fn addresses() -> Vec<PeerAddresses> {
    let of = |number: u8, addresses: &[&str]| {
        PeerAddresses::new(NodeKey([number; 32]), addresses.iter().map(|address| address.parse().unwrap())).unwrap()
    };
    vec![of(1, &["10.0.0.1:6443", "[fd00::1]:6443"]), of(2, &["192.168.0.7:1"])]
}

pub(crate) fn leaving() -> Role {
    Role::Leaving(Leaving { removed_from: Some(ClusterId(3)), statement: past_lives(1).pop() })
}

pub(crate) fn floors() -> BTreeMap<NodeId, Floor> {
    let floor = |number| (NodeId(number), Floor { epoch: 2, boot: BootId(number), term: 3, committed: 9 });
    (1..4).map(floor).collect()
}
