//! A node founds: it writes that down, starts raft with itself alone, and is a member once the genesis is committed. Section 1.4, step 4.

use crate::{
    control::ControlEntry,
    disk::{Record, Role},
    effect::{Begin, Effect},
    ids::{ClusterId, NodeId},
    machine::{Formation, Phase},
    member::Member,
    now::Now,
    timers,
};

/// A node that founds.
#[derive(Debug)]
pub(crate) struct Founding {
    pub(crate) cluster: ClusterId,
    /// When the genesis was proposed.
    proposed: Option<Now>,
}

impl Formation {
    pub(crate) fn begin_founding(&mut self) {
        let cluster = self.fresh_cluster;
        self.role = Role::Founding(cluster);
        self.phase = Phase::Founding(Founding { cluster, proposed: None });
        self.effect(Effect::Persist(Record::Role(self.role.clone())));
        self.effect(Effect::StartRaft(cluster, NodeId::FOUNDER, Begin::Found));
    }

    /// After a power cut in the middle.
    pub(crate) fn resume_founding(&mut self, cluster: ClusterId) {
        if self.control.has_begun() {
            self.become_founder(cluster);
            self.effect(Effect::StartRaft(cluster, NodeId::FOUNDER, Begin::Resume));
        } else {
            // Nobody was ever told of it.
            self.role = Role::Virgin;
            self.raft = Default::default();
            self.effect(Effect::WipeRaft);
            self.effect(Effect::Persist(Record::Role(Role::Virgin)));
        }
    }

    /// Proposes the genesis as soon as raft leads, which alone it does at once.
    pub(crate) fn found(&mut self) {
        let now = self.now;
        let leads = self.raft.leading.is_some();
        let Phase::Founding(founding) = &mut self.phase else { return };
        let due = founding.proposed.is_none_or(|at| at.plus(timers::PROPOSE_AGAIN) <= now);
        if leads && due {
            founding.proposed = Some(now);
            self.effect(Effect::Propose(ControlEntry::Genesis(self.admission())));
        }
    }

    /// The genesis is committed.
    pub(crate) fn become_founder(&mut self, cluster: ClusterId) {
        self.role = Role::Member(cluster, NodeId::FOUNDER);
        self.effect(Effect::Persist(Record::Role(self.role.clone())));
        self.phase = Phase::Member(Member::new(cluster, NodeId::FOUNDER, None));
    }
}
