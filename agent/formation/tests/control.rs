//! What committed entries change, and what they can not.

use shoal_formation::{
    BootId, ClusterId, Control, ControlEntry, HardwareHint, NodeId, NodeKey, Settings,
    control::{Admission, Cause, Outcome, Refusal},
    settings::Medium,
};

const INTO: ClusterId = ClusterId(7);

fn admission(key: u8, boot: u64) -> Admission {
    Admission { key: NodeKey([key; 32]), boot: BootId(boot), hint: HardwareHint(u64::from(key)), medium: Medium::Disk }
}

/// Applies entries from index 3 on, and returns what became of each.
fn apply(entries: &[ControlEntry]) -> (Control, Vec<Outcome>) {
    let mut control = Control::default();
    let outcomes = entries.iter().zip(3..).map(|(entry, index)| control.apply(index, entry, &Settings::default())).collect();
    (control, outcomes)
}

#[test]
fn a_cluster_that_has_dissolved_is_not_sealed_nor_written_nor_joined() {
    let entries = [
        ControlEntry::Genesis(admission(1, 1)),
        ControlEntry::Born,
        ControlEntry::Dissolve(INTO),
        ControlEntry::Seal,
        ControlEntry::Admit(admission(2, 2)),
        ControlEntry::Remove(NodeId::FOUNDER, Cause::Operator),
    ];
    let (control, outcomes) = apply(&entries);
    assert_eq!(outcomes[..3], [Outcome::Done; 3]);
    assert_eq!(outcomes[3..], [Outcome::Refused(Refusal::Dissolved(INTO)); 3]);
    assert_eq!((control.sealed(), control.dissolved(), control.may_write()), (None, Some(INTO), Err(Refusal::Dissolved(INTO))));
}

#[test]
fn a_sealed_cluster_does_not_dissolve() {
    let entries =
        [ControlEntry::Genesis(admission(1, 1)), ControlEntry::Born, ControlEntry::Seal, ControlEntry::Dissolve(INTO), ControlEntry::Seal];
    let (control, outcomes) = apply(&entries);
    assert_eq!(outcomes[3], Outcome::Refused(Refusal::Sealed));
    assert_eq!((control.sealed(), control.dissolved(), control.may_write()), (Some(5), None, Ok(())));
}

#[test]
fn nothing_is_sealed_before_the_barrier_is_lifted() {
    let (control, outcomes) = apply(&[ControlEntry::Genesis(admission(1, 1)), ControlEntry::Seal]);
    assert_eq!((control.sealed(), outcomes[1]), (None, Outcome::Refused(Refusal::Unborn)));
}

#[test]
fn a_node_is_the_index_of_its_entry_and_a_key_is_let_in_once() {
    let entries = [
        ControlEntry::Genesis(admission(1, 1)),
        ControlEntry::Admit(admission(2, 5)),
        ControlEntry::Admit(admission(2, 5)),
        ControlEntry::Admit(admission(2, 6)),
        ControlEntry::Remove(NodeId(4), Cause::Operator),
        ControlEntry::Admit(admission(2, 5)),
    ];
    let (control, outcomes) = apply(&entries);
    let refused = Outcome::Refused;
    assert_eq!(
        outcomes[1..],
        [Outcome::Done, Outcome::Already(NodeId(4)), refused(Refusal::KeyTaken), Outcome::Done, refused(Refusal::KeyRemoved)]
    );
    assert!(control.member(NodeId(4)).is_none() && control.tombstone(NodeId(4)).is_some_and(|tombstone| tombstone.index == 7));
}

#[test]
fn revoked_hardware_is_not_let_in_with_another_key() {
    let mut again = admission(3, 9);
    again.hint = admission(2, 5).hint;
    let entries = [
        ControlEntry::Genesis(admission(1, 1)),
        ControlEntry::Admit(admission(2, 5)),
        ControlEntry::Remove(NodeId(4), Cause::Revoked),
        ControlEntry::Admit(again),
    ];
    assert_eq!(apply(&entries).1[3], Outcome::Refused(Refusal::Revoked));
}
