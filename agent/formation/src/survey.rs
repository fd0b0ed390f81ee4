//! What a node can see: whom it hears itself, and whom those say that they hear.

use crate::{
    ids::{ClusterId, Incarnation, NodeKey},
    machine::Formation,
    message::{Sighting, Standing},
};

/// The union of the views, in short. The node itself and its own cluster are not in it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// The lowest virgin.
    pub(crate) lowest: Option<(Incarnation, NodeKey)>,
    /// Somebody is founding.
    pub(crate) founding: bool,
    /// Somebody is blank: a virgin, or asking to be let in somewhere.
    pub(crate) blank: bool,
    /// A sealed cluster with a leader.
    pub(crate) sealed: Option<ClusterId>,
    /// Another one.
    pub(crate) second_sealed: Option<ClusterId>,
    /// The pristine cluster with a leader that has the lowest id.
    pub(crate) pristine: Option<ClusterId>,
    /// A cluster some member of which has no leader.
    pub(crate) dark: Option<ClusterId>,
}

impl Survey {
    /// Whether another cluster is in sight, with a leader or without.
    pub(crate) fn sees_cluster(&self) -> bool {
        self.sealed.or(self.pristine).or(self.dark).is_some()
    }

    fn add(&mut self, sighting: &Sighting, own: Option<ClusterId>) {
        match sighting.standing {
            Standing::Virgin => {
                self.blank = true;
                let this = (sighting.incarnation, sighting.peer.key);
                self.lowest = Some(self.lowest.map_or(this, |lowest| lowest.min(this)));
            }
            Standing::Founding => self.founding = true,
            Standing::Joining => self.blank = true,
            Standing::ExMember => {}
            Standing::Member(member) if Some(member.cluster) == own => {}
            Standing::Member(member) if !member.live => self.dark = Some(member.cluster),
            Standing::Member(member) if member.sealed => match self.sealed {
                None => self.sealed = Some(member.cluster),
                Some(first) if first != member.cluster => self.second_sealed = Some(member.cluster),
                Some(_) => {}
            },
            Standing::Member(member) => self.pristine = Some(self.pristine.map_or(member.cluster, |lowest| lowest.min(member.cluster))),
        }
    }
}

impl Formation {
    /// Everybody in the union of the views but this node itself. What is known first-hand is not asked of others.
    pub(crate) fn sightings(&self) -> impl Iterator<Item = Sighting> {
        let direct =
            self.peers.iter().map(|(peer, known)| Sighting { peer, incarnation: known.hello.incarnation, standing: known.hello.standing });
        let indirect = self
            .peers
            .iter()
            .flat_map(|(_, known)| known.hello.view.iter().copied())
            .filter(|sighting| sighting.peer.key != self.identity.key && self.peers.get(sighting.peer.key).is_none());
        direct.chain(indirect)
    }

    /// What this node sees.
    pub(crate) fn survey(&self) -> Survey {
        let own = self.cluster();
        let mut survey = Survey::default();
        self.sightings().for_each(|sighting| survey.add(&sighting, own));
        survey
    }
}
