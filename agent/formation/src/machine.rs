//! The state machine: what comes in, who handles it, and what every state does alike.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use crate::{
    alarm::Alarm,
    control::{Admission, Control},
    disk::{Disk, Floor, Record, Role},
    effect::{Begin, Effect},
    facts::RaftFacts,
    founding::Founding,
    ids::{BootId, ClusterId, Identity, NodeId, NodeKey, Peer},
    input::Input,
    joining::Joining,
    known_bugs::KnownBug,
    leaving::Stopping,
    listening::Listening,
    member::Member,
    message::{Hello, Membership, Message, RaftPosition, Sighting, Standing},
    now::Now,
    peers::{Heard, Peers},
    settings::Settings,
    statement::{PastLife, Verified},
    timers,
};

/// Where a node is. The table stands in the documentation of the crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Blank, and the link is not usable: no time counts.
    Virgin,
    /// Blank, and looking around.
    Listening,
    /// It writes down a cluster of its own.
    Founding,
    /// It asks to be let in.
    Joining,
    /// A member.
    Member,
    /// Blank, and two sealed clusters are in sight: somebody has to decide.
    Conflict,
    /// Removed; like listening, but it never founds.
    ExMember,
    /// It leaves a cluster, or makes itself a new identity.
    Leaving,
}

/// What is only in memory of each state.
#[derive(Debug)]
pub(crate) enum Phase {
    Listening(Listening),
    Founding(Founding),
    Joining(Joining),
    Member(Member),
    Stopping(Stopping),
    /// Waiting for a new identity, as what it will be.
    Minting(Role),
}

/// One node's part in the formation of clusters.
#[derive(Debug)]
pub struct Formation {
    pub(crate) settings: Settings,
    pub(crate) identity: Identity,
    pub(crate) boot: BootId,
    pub(crate) now: Now,
    /// For the next cluster that this node founds; used at most once.
    pub(crate) fresh_cluster: ClusterId,
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    /// Since when the link is usable.
    pub(crate) link: Option<Now>,
    pub(crate) peers: Peers,
    /// When somebody new was heard.
    pub(crate) newest_peer: Now,
    pub(crate) past_lives: Vec<Verified<PastLife>>,
    pub(crate) floors: BTreeMap<NodeId, Floor>,
    pub(crate) control: Control,
    pub(crate) raft: RaftFacts,
    epoch: u64,
    hello_sequence: u64,
    hello_at: Now,
    announced: Option<Standing>,
    raised: Vec<Alarm>,
    effects: Vec<Effect>,
}

impl Formation {
    /// A process that has just started, with what is on its disk, and what it has to do first.
    ///
    /// `boot` and `fresh_cluster` are random, drawn for this start alone.
    #[must_use]
    pub fn start(now: Now, settings: Settings, disk: Disk, boot: BootId, fresh_cluster: ClusterId) -> (Self, Vec<Effect>) {
        let (raft, control) = disk.raft.unwrap_or_default();
        let mut formation = Self {
            settings,
            identity: disk.identity,
            boot,
            now,
            fresh_cluster,
            role: disk.role,
            phase: Phase::Listening(Listening::new(now)),
            link: None,
            peers: Peers::default(),
            newest_peer: now,
            past_lives: disk.past_lives,
            floors: disk.floors,
            // Nobody leads yet, whatever was the case before.
            raft: RaftFacts { leader: None, leading: None, ..raft },
            control,
            epoch: disk.epoch + 1,
            hello_sequence: 0,
            hello_at: now,
            announced: None,
            raised: Vec::new(),
            effects: Vec::new(),
        };
        // Before anything is said.
        formation.effect(Effect::Persist(Record::Epoch(formation.epoch)));
        match formation.role.clone() {
            Role::Virgin | Role::ExMember(_) => {}
            Role::Founding(cluster) => formation.resume_founding(cluster),
            Role::Member(cluster, node) => {
                formation.effect(Effect::StartRaft(cluster, node, Begin::Resume));
                formation.phase = Phase::Member(Member::new(cluster, node, Some(now)));
            }
            Role::Leaving(leaving) => formation.go_on_leaving(leaving),
        }
        formation.act();
        let effects = core::mem::take(&mut formation.effects);
        (formation, effects)
    }

    /// Something has happened. The effects are to be done in order, before the next input is handed in.
    #[must_use]
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.now = self.now.max(now);
        match input {
            Input::Link(usable) => self.link_changed(usable),
            Input::Met(peer) => {
                if !matches!(self.phase, Phase::Minting(_)) && peer.key != self.identity.key {
                    let hello = self.hello();
                    self.send(peer, Message::Hello(hello));
                }
            }
            Input::Heard(from, message) => self.heard(from, message),
            Input::Minted(identity, fresh_cluster) => self.minted(identity, fresh_cluster),
            Input::Raft(facts) => {
                // What raft said before it was stopped is no news.
                if matches!(self.phase, Phase::Founding(_) | Phase::Member(_)) {
                    self.raft = facts;
                }
            }
            Input::RaftStopped(facts) => self.raft_stopped(facts),
            Input::Committed(index, entry) => self.committed(index, &entry),
            Input::Restored(control) => self.restored(*control),
            Input::SealWanted => self.wanted(crate::message::Wish::Seal),
            Input::RemoveWanted(node, cause) => self.wanted(crate::message::Wish::Remove(node, cause)),
            Input::Retired(into) => self.retired(into),
            Input::Wake => {}
        }
        self.act();
        core::mem::take(&mut self.effects)
    }

    /// When [`Input::Wake`] is to be handed in, if nothing else comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        let phase = match &self.phase {
            Phase::Listening(listening) => self.listening_deadline(listening),
            Phase::Joining(joining) => Some(joining.deadline()),
            Phase::Member(member) => Some(self.member_deadline(member)),
            Phase::Founding(_) | Phase::Stopping(_) | Phase::Minting(_) => None,
        };
        [Some(self.hello_at), self.peers.deadline(), phase].into_iter().flatten().min()
    }

    /// Whether raft may hear, or ask, this peer as this member of this cluster. The shell asks before raft sees anything.
    ///
    /// A vote that is asked for by somebody who is not in this node's configuration is heard: this node may be behind, and its vote the one that is
    /// missing. What keeps those out who do not belong is their tombstone.
    #[must_use]
    pub fn hears(&self, cluster: ClusterId, node: NodeId, peer: Peer) -> bool {
        if self.cluster() != Some(cluster) {
            return false;
        }
        let Some(known) = self.peers.get(peer.key) else { return false };
        known.boot == peer.boot
            && (!known.forgetful || self.settings.breaks(KnownBug::BelieveTheForgetful))
            && !self.is_out(node)
            && self.control.member(node).is_none_or(|record| record.admission.key == peer.key)
            && (!self.settings.breaks(KnownBug::VotesWithinConfiguration)
                || self.raft.configuration.contains(node)
                || self.raft.last.index == 0)
    }

    /// Where this node is.
    #[must_use]
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Listening(_) if matches!(self.role, Role::ExMember(_)) => State::ExMember,
            Phase::Listening(_) if self.link.is_none() => State::Virgin,
            Phase::Listening(listening) if listening.is_conflict() => State::Conflict,
            Phase::Listening(_) => State::Listening,
            Phase::Founding(_) => State::Founding,
            Phase::Joining(_) => State::Joining,
            Phase::Member(_) => State::Member,
            Phase::Stopping(_) | Phase::Minting(_) => State::Leaving,
        }
    }

    /// What this node is to others; nothing while it is nobody.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        Some(match &self.phase {
            Phase::Listening(_) if matches!(self.role, Role::ExMember(_)) => Standing::ExMember,
            Phase::Listening(_) => Standing::Virgin,
            Phase::Founding(_) => Standing::Founding,
            Phase::Joining(_) => Standing::Joining,
            Phase::Member(member) => Standing::Member(Membership {
                cluster: member.cluster,
                node: member.node,
                sealed: self.control.sealed().is_some(),
                live: self.raft.leader.is_some(),
            }),
            Phase::Stopping(_) | Phase::Minting(_) => return None,
        })
    }

    /// The cluster that this node is a member of.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        match &self.phase {
            Phase::Member(member) => Some(member.cluster),
            Phase::Founding(founding) => Some(founding.cluster),
            Phase::Stopping(stopping) => Some(stopping.member.cluster),
            Phase::Listening(_) | Phase::Joining(_) | Phase::Minting(_) => None,
        }
    }

    /// Who this node is.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// This process of it.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        Peer { key: self.identity.key, boot: self.boot }
    }

    /// The replicated part, as far as this node has applied it.
    #[must_use]
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// The voters of the newest configuration that raft has told of, committed or not; none if it does not run.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.raft.configuration.voters.iter().copied()
    }

    /// Whether this session is heard, and is the one that counts for its key. The shell connects again to whom it is not.
    #[must_use]
    pub fn knows(&self, peer: Peer) -> bool {
        self.peers.accepts(peer)
    }

    /// Why the voters stay as they are, if this node leads and they do.
    #[must_use]
    pub fn hold(&self) -> Option<crate::voters::Hold> {
        self.member()?.lead.as_ref()?.hold
    }

    /// The session that counts for a key, if one is heard.
    #[must_use]
    pub fn session(&self, key: NodeKey) -> Option<Peer> {
        self.peers.get(key).map(|known| Peer { key, boot: known.boot })
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn send(&mut self, to: Peer, message: Message) {
        self.effects.push(Effect::Send(to, message));
    }

    /// Raises an alarm that was not raised before in this process.
    pub(crate) fn raise(&mut self, alarm: Alarm) {
        if !self.raised.contains(&alarm) {
            self.raised.push(alarm);
            self.effect(Effect::Raise(alarm));
        }
    }

    /// As another identity, which has booted once and said nothing.
    pub(crate) fn be_new(&mut self) {
        self.epoch = 1;
        self.announced = None;
        self.effect(Effect::Persist(Record::Epoch(1)));
    }

    /// Who asks to be let in.
    pub(crate) fn admission(&self) -> Admission {
        Admission { key: self.identity.key, boot: self.boot, hint: self.settings.hint, medium: self.settings.traits.medium }
    }

    /// Turns into somebody blank who looks around.
    pub(crate) fn listen_again(&mut self) {
        self.phase = Phase::Listening(Listening::new(self.now));
    }

    /// What this node says of itself now.
    pub(crate) fn hello(&mut self) -> Arc<Hello> {
        self.hello_sequence += 1;
        let view =
            self.peers.iter().map(|(peer, known)| Sighting { peer, incarnation: known.hello.incarnation, standing: known.hello.standing });
        let member = matches!(self.phase, Phase::Member(_));
        let raft = member.then_some(RaftPosition { term: self.raft.term, last: self.raft.last.index, committed: self.raft.committed });
        Arc::new(Hello {
            sequence: self.hello_sequence,
            incarnation: self.identity.incarnation,
            hint: self.settings.hint,
            traits: self.settings.traits,
            epoch: self.epoch,
            // Nobody is greeted while this node is nobody.
            standing: self.standing().unwrap_or(Standing::Virgin),
            raft,
            view: view.collect(),
            past_lives: self.past_lives.clone(),
        })
    }

    fn link_changed(&mut self, usable: bool) {
        if usable != self.link.is_some() {
            self.link = usable.then_some(self.now);
            if let Phase::Listening(listening) = &mut self.phase {
                *listening = Listening::new(self.now);
            }
        }
    }

    fn heard(&mut self, from: Peer, message: Message) {
        if matches!(self.phase, Phase::Stopping(_) | Phase::Minting(_)) {
            return;
        }
        if let Some(rival) = self.peers.touch(self.now, from) {
            self.send(rival, Message::Copy);
            self.raise(Alarm::CloneDetected(from.key));
        }
        let counts = match &message {
            Message::Hello(hello) | Message::Solicit(hello) | Message::Promise(hello) | Message::Decline(hello) => {
                self.hear_hello(from, hello.clone())
            }
            Message::Challenge => {
                self.send(from, Message::Present);
                false
            }
            Message::Copy => {
                self.is_a_copy();
                false
            }
            Message::Forgetful => {
                self.raise(Alarm::ForgetfulSelf);
                false
            }
            _ => self.peers.accepts(from),
        };
        if !counts {
            return;
        }
        match message {
            Message::Solicit(hello) => self.solicited(from, &hello),
            Message::Promise(_) => self.answered(from, true),
            Message::Decline(_) => self.answered(from, false),
            Message::Release => self.released(from),
            Message::Join(cluster, admission) => self.join_asked(from, cluster, admission),
            Message::Admitted(cluster, node) => self.admitted(cluster, node),
            Message::Refused(cluster, refusal) => self.refused(cluster, refusal),
            Message::Ask(cluster, wish) => self.asked(cluster, wish),
            Message::Removed(removed) => self.told_removed(&removed),
            Message::Hello(_) | Message::Challenge | Message::Present | Message::Copy | Message::Forgetful => {}
        }
    }

    /// Whether the sender counts from here on.
    fn hear_hello(&mut self, from: Peer, hello: Arc<Hello>) -> bool {
        if from.key == self.identity.key {
            if from.boot != self.boot {
                self.meets_itself(from);
            }
            return false;
        }
        let newest_wins = self.settings.breaks(KnownBug::NewestSessionWins);
        match self.peers.hello(self.now, from, hello, newest_wins) {
            Heard::Known => {}
            Heard::New => self.is_new(from),
            Heard::Challenge(first) => {
                self.send(first, Message::Challenge);
                return false;
            }
            Heard::Refused => {
                self.send(from, Message::Copy);
                return false;
            }
            Heard::Pending | Heard::Full => return false,
        }
        self.examine(from)
    }

    fn is_new(&mut self, peer: Peer) {
        self.newest_peer = self.now;
        let hello = self.hello();
        self.send(peer, Message::Hello(hello));
    }

    /// Another process with this node's own key.
    fn meets_itself(&mut self, other: Peer) {
        self.raise(Alarm::CloneDetected(self.identity.key));
        if matches!(self.phase, Phase::Listening(_) | Phase::Joining(_)) {
            // Nobody knows either of the two as anything yet.
            self.mint_anew();
        } else {
            self.send(other, Message::Copy);
        }
    }

    /// The others have heard somebody else with this key for longer.
    fn is_a_copy(&mut self) {
        self.raise(Alarm::CloneDetected(self.identity.key));
        if matches!(self.phase, Phase::Listening(_) | Phase::Joining(_)) {
            self.mint_anew();
        }
    }

    /// What every state does with time.
    fn act(&mut self) {
        for peer in self.peers.expire(self.now) {
            self.is_new(peer);
            self.examine(peer);
        }
        match self.phase {
            Phase::Listening(_) => self.look_around(),
            Phase::Founding(_) => self.found(),
            Phase::Joining(_) => self.go_on_joining(),
            Phase::Member(_) => self.be_member(),
            Phase::Stopping(_) | Phase::Minting(_) => {}
        }
        self.say_hello();
    }

    fn say_hello(&mut self) {
        let standing = self.standing();
        let changed = standing.is_some() && standing != self.announced;
        if !changed && self.now < self.hello_at {
            return;
        }
        self.hello_at = self.now.plus(timers::HELLO);
        let Some(standing) = standing else { return };
        if changed {
            self.announced = Some(standing);
            self.effect(Effect::Announce(standing));
        }
        if self.peers.iter().next().is_none() {
            return;
        }
        let hello = self.hello();
        let Self { peers, effects, .. } = self;
        effects.extend(peers.iter().map(|(peer, _)| Effect::Send(peer, Message::Hello(hello.clone()))));
    }
}
