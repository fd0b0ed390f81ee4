//! After everything is mended, all come together: one cluster with everybody in it and as many voters as there should be, or whatever else the page
//! allows. (L1 to L9)

use std::collections::BTreeSet;

use shoal_formation::{ClusterId, Role, Standing, settings::Medium, voters::target};

use crate::world::World;

/// What there is to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// One cluster, with everybody.
    One,
    /// Several sealed ones: each serves, with all its members, and blank boxes wait.
    Several,
    /// A sealed one has lost its quorum for good: those that hold it wait, and nobody founds beside them.
    Lost,
}

/// What this world can come to.
#[must_use]
pub fn goal(world: &World) -> Goal {
    let mut kept = 0;
    for truth in world.checks.truths.values().filter(|truth| truth.sealed.is_some() && !truth.retired) {
        let gone = |node| truth.destroyed.contains(&node) || truth.left.contains(&node);
        if !truth.configuration.has_quorum(|node| !gone(node)) {
            return Goal::Lost;
        }
        kept += 1;
    }
    if kept > 1 { Goal::Several } else { Goal::One }
}

/// Whether everybody who is on is in one cluster that has a leader, its barrier lifted, and all the voters it should have.
#[must_use]
pub fn is_one(world: &World) -> bool {
    let mut cluster: Option<ClusterId> = None;
    let (mut disks, mut members) = (0, 0);
    for computer in &world.boxes {
        let Some(process) = &computer.process else { continue };
        let Some(Standing::Member(member)) = process.core.standing() else { return false };
        if !member.live || *cluster.get_or_insert(member.cluster) != member.cluster || !process.core.control().is_born() {
            return false;
        }
        members += 1;
        disks += usize::from(computer.settings.traits.medium == Medium::Disk);
    }
    let Some(truth) = cluster.and_then(|cluster| world.checks.truths.get(&cluster)) else { return false };
    let max = world.boxes.first().map_or_else(Default::default, |computer| computer.settings.max_voters);
    let wanted = target(if disks > 0 { disks } else { members }, max);
    let voters = &truth.configuration.voters;
    // As many as can be have disks.
    let keep_their_log = voters.iter().filter(|voter| truth.with_disk.contains(voter)).count() >= disks.min(voters.len());
    truth.configuration.is_uniform() && voters.len() >= wanted && keep_their_log
}

/// Whether every sealed cluster serves with all its members that are on, and nobody else is in any.
#[must_use]
pub fn are_several(world: &World) -> bool {
    let sealed: BTreeSet<ClusterId> =
        world.checks.truths.iter().filter(|(_, truth)| truth.sealed.is_some()).map(|(cluster, _)| *cluster).collect();
    world.boxes.iter().filter_map(|computer| computer.process.as_ref().map(|process| (computer, process))).all(|(computer, process)| {
        match process.core.standing() {
            Some(Standing::Member(member)) => member.live && sealed.contains(&member.cluster),
            Some(Standing::Virgin) => matches!(computer.stick.role, Role::Virgin),
            Some(Standing::ExMember) => true,
            _ => false,
        }
    })
}

/// Whether this world has come to what it can come to.
#[must_use]
pub fn is_reached(world: &World) -> bool {
    match goal(world) {
        Goal::One => is_one(world),
        Goal::Several => are_several(world),
        Goal::Lost => true,
    }
}

/// Where everybody is, for a complaint.
#[must_use]
pub fn describe(world: &World) -> String {
    let mut text = String::new();
    for (index, computer) in world.boxes.iter().enumerate() {
        let standing = computer.process.as_ref().map(|process| (process.core.state(), process.core.standing(), process.core.hold()));
        text.push_str(&format!("\n  box {index}: {standing:?}, stick: {:?}", computer.stick.role));
        if let Some(raft) = computer.process.as_ref().and_then(|process| process.raft.as_ref()) {
            let configuration = raft.configuration();
            text.push_str(&format!(
                ", raft: term {}, last {}, committed {}, leader {:?}, voters {:?} {:?}, learners {:?}",
                raft.disk.term,
                raft.disk.log.len(),
                raft.commit,
                raft.leader,
                configuration.voters,
                configuration.outgoing,
                configuration.learners
            ));
        }
    }
    text
}
