//! A member whose log was replaced by a snapshot goes on from the state that came with it.

use core::time::Duration;
use std::sync::Arc;

use shoal_formation::{
    BootId, ClusterId, Configuration, Control, ControlEntry, Disk, Effect, Formation, HardwareHint, Identity, Incarnation, Input, Message,
    NodeId, NodeKey, Now, Peer, RaftFacts, Role, Settings, State,
    control::{Admission, Cause, Parts},
    message::{Hello, Standing},
    settings::{Medium, Traits},
};

const CLUSTER: ClusterId = ClusterId(7);
const LEADER: NodeId = NodeId(4);

fn key(number: u8) -> NodeKey {
    NodeKey([number; 32])
}

fn admission(number: u8) -> Admission {
    Admission { key: key(number), boot: BootId(u64::from(number)), hint: HardwareHint(u64::from(number)), medium: Medium::Disk }
}

fn control(entries: &[(u64, ControlEntry)]) -> Control {
    let mut control = Control::default();
    for (index, entry) in entries {
        let _ = control.apply(*index, entry, &Settings::default());
    }
    control
}

/// The founder after a restart, following another leader, with a virgin in sight that wants in.
fn member() -> (Formation, Peer) {
    let identity = Identity { key: key(1), incarnation: Incarnation(1) };
    let known = control(&[(3, ControlEntry::Genesis(admission(1)))]);
    let configuration = Configuration { voters: [NodeId::FOUNDER, LEADER].into(), ..Configuration::default() };
    let facts = RaftFacts { configuration: Arc::new(configuration), ..RaftFacts::default() };
    let disk = Disk { role: Role::Member(CLUSTER, NodeId::FOUNDER), raft: Some((facts.clone(), known)), ..Disk::blank(identity) };
    let (mut formation, _) = Formation::start(Now::default(), Settings::default(), disk, BootId(99), ClusterId(8));
    let now = Now::at(Duration::from_secs(1));
    let _ = formation.handle(now, Input::Link(true));
    let _ = formation.handle(now, Input::Raft(RaftFacts { leader: Some(LEADER), ..facts }));
    let joiner = Peer { key: key(9), boot: BootId(9) };
    let hello = Hello {
        sequence: 1,
        incarnation: Incarnation(9),
        hint: HardwareHint(9),
        traits: Traits::default(),
        epoch: 1,
        standing: Standing::Joining,
        raft: None,
        view: Vec::new(),
        past_lives: Vec::new(),
    };
    let _ = formation.handle(now, Input::Met(joiner));
    let _ = formation.handle(now, Input::Heard(joiner, Message::Hello(Arc::new(hello))));
    let _ = formation.handle(now, Input::Heard(joiner, Message::Join(CLUSTER, admission(9))));
    (formation, joiner)
}

#[test]
fn who_was_let_in_by_an_entry_that_came_in_a_snapshot_is_told_so() {
    let (mut formation, joiner) = member();
    let restored = control(&[(3, ControlEntry::Genesis(admission(1))), (12, ControlEntry::Admit(admission(9)))]);
    let effects = formation.handle(Now::at(Duration::from_secs(2)), Input::Restored(Box::new(restored.clone())));
    assert!(effects.contains(&Effect::Send(joiner, Message::Admitted(CLUSTER, NodeId(12)))), "{effects:?}");
    assert_eq!(formation.control(), &restored);
}

#[test]
fn a_dissolution_that_came_in_a_snapshot_is_heeded() {
    let (mut formation, _) = member();
    let restored = control(&[(3, ControlEntry::Genesis(admission(1))), (12, ControlEntry::Dissolve(ClusterId(3)))]);
    let effects = formation.handle(Now::at(Duration::from_secs(2)), Input::Restored(Box::new(restored)));
    assert!(effects.contains(&Effect::StopRaft), "{effects:?}");
    assert_eq!(formation.state(), State::Leaving);
}

#[test]
fn a_state_taken_apart_and_put_together_is_the_same() {
    let whole = control(&[
        (3, ControlEntry::Genesis(admission(1))),
        (4, ControlEntry::Admit(admission(2))),
        (5, ControlEntry::Admit(admission(3))),
        (6, ControlEntry::Remove(NodeId(4), Cause::Revoked)),
        (7, ControlEntry::Remove(NodeId(5), Cause::Replaced)),
        (8, ControlEntry::Born),
        (9, ControlEntry::Seal),
    ]);
    assert_eq!(Control::from(Parts::from(whole.clone())), whole);
}
