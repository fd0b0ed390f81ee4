//! A member leaves. Whatever the reason, raft stops first; then it is looked at once more, since raft may have acknowledged something meanwhile; then
//! the role says so, with what the node has to say of the life that ends; then the log goes; then the identity. A power cut at any point does the rest
//! again. Section 1.6.

use alloc::vec::Vec;

use crate::{
    disk::{Leaving, PAST_LIVES, Record, Role},
    effect::{Begin, Effect},
    facts::RaftFacts,
    ids::{ClusterId, Identity},
    known_bugs::KnownBug,
    machine::{Formation, Phase},
    member::Member,
    statement::{PastLife, Reason, Verified},
};

/// Why a member leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The dissolution is committed.
    Dissolved(ClusterId),
    /// No leader for too long, and no seal in the log.
    Abandoned,
    /// A majority has left without a seal.
    Closed,
    /// It was removed.
    Removed,
    /// The operator wants it.
    Retired,
}

/// A member that leaves, while raft stops.
#[derive(Debug)]
pub(crate) struct Stopping {
    pub(crate) member: Member,
    leave: Leave,
}

impl Formation {
    /// Whether this member may leave a cluster that has no leader.
    pub(crate) fn may_abandon(&self) -> bool {
        self.raft.leader.is_none() && (self.raft.seal.is_none() || self.bug(KnownBug::AbandonWithSeal))
    }

    /// Whether so many have left that no seal can have been committed, not even one that is in this node's log.
    ///
    /// A seal is only ever proposed in a configuration that is committed and not in the middle of a change, and the configuration is not changed
    /// before a seal in the log is committed and all new voters have it. So, with a majority of the newest configuration that anybody knows gone
    /// without a seal, a committed one would be in one of those logs.
    pub(crate) fn may_close(&self) -> bool {
        let Some(member) = self.member() else { return false };
        if member.statements.is_empty() || self.control.sealed().is_some() {
            return false;
        }
        if self.bug(KnownBug::CloseOnOneStatement) {
            return true;
        }
        let said = member.statements.values().map(|statement| &statement.get().configuration);
        let newest = said.chain([&self.raft.configuration]).max_by_key(|configuration| configuration.at);
        newest.is_some_and(|newest| !newest.voters.is_empty() && newest.has_quorum(|node| member.statements.contains_key(&node)))
    }

    pub(crate) fn leave(&mut self, leave: Leave) {
        match core::mem::replace(&mut self.phase, Phase::Minting(Role::Virgin)) {
            Phase::Member(member) => {
                self.phase = Phase::Stopping(Stopping { member, leave });
                self.effect(Effect::StopRaft);
            }
            other => self.phase = other,
        }
    }

    /// Raft has stopped, and these are its last words.
    pub(crate) fn raft_stopped(&mut self, facts: RaftFacts) {
        let Phase::Stopping(Stopping { member, leave }) = core::mem::replace(&mut self.phase, Phase::Minting(Role::Virgin)) else { return };
        self.raft = facts;
        let (cluster, node, now) = (member.cluster, member.node, self.now);
        self.phase = Phase::Member(member);
        let still = match leave {
            Leave::Abandoned => self.may_abandon() || self.bug(KnownBug::AbandonOnStaleFacts),
            Leave::Closed => self.may_close(),
            Leave::Dissolved(_) | Leave::Removed | Leave::Retired => true,
        };
        if !still {
            if let Some(member) = self.member_mut() {
                member.goes_on(now);
            }
            self.raft.leader = None;
            self.raft.leading = None;
            return self.effect(Effect::StartRaft(cluster, node, Begin::Resume));
        }
        let reason = match leave {
            Leave::Dissolved(into) => Some(Reason::Dissolved(into)),
            Leave::Abandoned => Some(Reason::Abandoned),
            Leave::Closed => Some(Reason::Closed),
            Leave::Removed | Leave::Retired => None,
        };
        let configuration = self.raft.configuration.clone();
        let statement = reason.map(|reason| Verified::by_signature(PastLife { cluster, node, configuration, reason }));
        let removed_from = (leave == Leave::Removed).then_some(cluster);
        let leaving = Leaving { removed_from, statement };
        if self.bug(KnownBug::StatementBeforeRole) {
            self.remember(&leaving);
        }
        self.role = Role::Leaving(leaving.clone());
        self.effect(Effect::Persist(Record::Role(self.role.clone())));
        self.go_on_leaving(leaving);
    }

    fn remember(&mut self, leaving: &Leaving) {
        let Some(statement) = &leaving.statement else { return };
        if self.past_lives.contains(statement) {
            return;
        }
        if self.past_lives.len() >= PAST_LIVES {
            self.past_lives.remove(0);
        }
        self.past_lives.push(statement.clone());
        let past_lives: Vec<Verified<PastLife>> = self.past_lives.clone();
        self.effect(Effect::Persist(Record::PastLives(past_lives)));
    }

    /// What follows once the role says that this node leaves; from the start again after a power cut.
    pub(crate) fn go_on_leaving(&mut self, leaving: Leaving) {
        self.remember(&leaving);
        self.effect(Effect::WipeRaft);
        self.floors.clear();
        self.effect(Effect::Persist(Record::Floors(Default::default())));
        self.raft = RaftFacts::default();
        self.control = Default::default();
        self.effect(Effect::Mint);
        self.phase = Phase::Minting(leaving.removed_from.map_or(Role::Virgin, Role::ExMember));
    }

    /// A blank node becomes another blank node: somebody else has its key, or its key is known as somebody else's.
    pub(crate) fn mint_anew(&mut self) {
        let then = self.role.clone();
        self.effect(Effect::Mint);
        self.phase = Phase::Minting(then);
    }

    /// The new identity is durable.
    pub(crate) fn minted(&mut self, identity: Identity, fresh_cluster: ClusterId) {
        let Phase::Minting(role) = &self.phase else { return };
        self.role = role.clone();
        self.identity = identity;
        self.fresh_cluster = fresh_cluster;
        self.be_new();
        self.effect(Effect::Persist(Record::Role(self.role.clone())));
        self.listen_again();
    }
}
