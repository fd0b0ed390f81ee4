//! A blank node asks a cluster to let it in.

use crate::{
    alarm::Alarm,
    control::Refusal,
    disk::{Record, Role},
    effect::{Begin, Effect},
    ids::{ClusterId, NodeId, NodeKey, Peer},
    machine::{Formation, Phase},
    member::Member,
    message::{JoinRefusal, Message, Standing},
    now::Now,
    timers,
};

/// A node that asks to be let in.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) cluster: ClusterId,
    since: Now,
    next: Now,
    /// Who was asked last.
    asked: Option<NodeKey>,
}

impl Joining {
    pub(crate) fn deadline(&self) -> Now {
        self.next.min(self.since.plus(timers::JOIN))
    }
}

impl Formation {
    fn contacts(&self, cluster: ClusterId) -> impl Iterator<Item = Peer> {
        self.peers
            .iter()
            .filter(move |(_, known)| matches!(known.hello.standing, Standing::Member(member) if member.cluster == cluster && member.live))
            .map(|(peer, _)| peer)
    }

    /// Whether some member of a cluster with a leader is heard, and not only heard of.
    pub(crate) fn can_ask(&self, cluster: ClusterId) -> bool {
        self.contacts(cluster).next().is_some()
    }

    pub(crate) fn join(&mut self, cluster: ClusterId) {
        self.phase = Phase::Joining(Joining { cluster, since: self.now, next: self.now, asked: None });
        self.go_on_joining();
    }

    /// Asks one member after the other, until one answers, or the cluster is gone, or a second sealed one is seen.
    pub(crate) fn go_on_joining(&mut self) {
        let now = self.now;
        let survey = self.survey();
        let Phase::Joining(Joining { cluster, since, next, asked }) = &self.phase else { return };
        let (cluster, asked) = (*cluster, *asked);
        let another = survey.sealed.is_some_and(|sealed| sealed != cluster) || survey.second_sealed.is_some();
        if another || since.plus(timers::JOIN) <= now || !self.can_ask(cluster) {
            return self.listen_again();
        }
        if *next > now {
            return;
        }
        let contact = self.contacts(cluster).find(|peer| Some(peer.key) > asked).or_else(|| self.contacts(cluster).next());
        let admission = self.admission();
        if let (Some(contact), Phase::Joining(joining)) = (contact, &mut self.phase) {
            joining.asked = Some(contact.key);
            joining.next = now.plus(timers::ASK_AGAIN);
            self.send(contact, Message::Join(cluster, admission));
        }
    }

    /// A member says that this node was let in. Its role is durable before raft hears anything.
    pub(crate) fn admitted(&mut self, cluster: ClusterId, node: NodeId) {
        if !matches!(&self.phase, Phase::Joining(joining) if joining.cluster == cluster) {
            return;
        }
        self.role = Role::Member(cluster, node);
        self.raft = Default::default();
        self.control = Default::default();
        self.floors.clear();
        self.phase = Phase::Member(Member::new(cluster, node, None));
        self.effect(Effect::Persist(Record::Role(self.role.clone())));
        self.effect(Effect::StartRaft(cluster, node, Begin::Resume));
    }

    /// A member says no.
    pub(crate) fn refused(&mut self, cluster: ClusterId, refusal: JoinRefusal) {
        if !matches!(&self.phase, Phase::Joining(joining) if joining.cluster == cluster) {
            return;
        }
        match refusal {
            // It was let in, and has forgotten it; or it is a copy.
            JoinRefusal::Rules(Refusal::KeyTaken | Refusal::KeyRemoved) => self.mint_anew(),
            JoinRefusal::Rules(Refusal::Revoked) => self.raise(Alarm::Revoked),
            JoinRefusal::Rules(_) => self.listen_again(),
            // The next member may know better.
            JoinRefusal::NotHere => {}
        }
    }
}
