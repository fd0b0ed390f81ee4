//! A model of raft: terms, votes, pre-votes, logs with entries that are never committed, joint changes, learners. It has everything that formation can be
//! wrong about; it has no snapshots, since the logs of formations are short, and no batching.
//!
//! What it writes is durable at once: how a log survives power cuts is the subject of `shoal-sim`. A crash loses what is in [`Raft`] and not in
//! [`RaftDisk`], and every message that is on its way.

mod elect;
mod replicate;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use shoal_formation::{
    ClusterId, Configuration, ControlEntry, NodeId, NodeKey, Now, RaftFacts,
    control::Control,
    facts::{Leading, LogId, Progress},
    settings::Settings,
};

/// Time of the simulation, in microseconds since it began.
pub type Time = u64;

/// How often a leader speaks. Slow, as models go: formation sees minutes.
pub const HEARTBEAT: Time = 1_000_000;

/// The shortest election timeout; the longest is twice that.
pub const ELECTION: Time = 3_000_000;

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a leader's first.
    Blank,
    /// A configuration.
    Configuration(Arc<Configuration>),
    /// For the core.
    Control(ControlEntry),
    /// Somebody's write.
    Write(u64),
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Of the leader that wrote it.
    pub term: u64,
    /// What it says.
    pub payload: Payload,
}

/// What survives.
#[derive(Debug, Clone)]
pub struct RaftDisk {
    /// Whose log this is.
    pub cluster: ClusterId,
    /// As whom.
    pub node: NodeId,
    /// The term.
    pub term: u64,
    /// Who got this node's vote in it.
    pub voted: Option<NodeId>,
    /// Entries from index 1 on.
    pub log: Vec<Entry>,
    /// Up to where entries were applied when the last checkpoint was made.
    pub checkpoint: u64,
}

/// A message between members. Its envelope says from whom to whom, and in which cluster.
#[derive(Debug, Clone)]
pub enum RaftMessage {
    /// Asks for a vote, or whether it would be given.
    Vote {
        /// Whether it would be given.
        pre: bool,
        /// The term that it is for.
        term: u64,
        /// The end of the log of who asks.
        last: LogId,
    },
    /// The answer.
    Voted {
        /// To which question.
        pre: bool,
        /// The term.
        term: u64,
        /// Yes or no.
        granted: bool,
    },
    /// Entries, or none.
    Append {
        /// Of the leader.
        term: u64,
        /// What comes before them.
        previous: LogId,
        /// The entries.
        entries: Arc<[Entry]>,
        /// What is known to be committed.
        commit: u64,
    },
    /// The answer: what matches, or where to go on from.
    Appended {
        /// Of who answers.
        term: u64,
        /// Whether what came before was there.
        matches: bool,
        /// Up to where it matches, or may.
        last: u64,
    },
}

/// What a member is in its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

#[derive(Debug, Clone, Copy)]
struct Follower {
    next: u64,
    matched: u64,
    heard: Option<Time>,
}

/// A running member.
#[derive(Debug)]
pub struct Raft {
    /// What survives.
    pub disk: RaftDisk,
    /// What is known to be committed.
    pub commit: u64,
    /// What was handed to the core.
    pub applied: u64,
    /// What it is.
    pub(crate) part: Part,
    /// Whom it follows.
    pub leader: Option<NodeId>,
    heard_leader: Time,
    votes: BTreeSet<NodeId>,
    followers: BTreeMap<NodeId, Follower>,
    /// When something is due.
    pub due: Time,
    configuration: Arc<Configuration>,
    seal: Option<u64>,
    /// What is to be sent, and to whom.
    pub outbox: Vec<(NodeId, RaftMessage)>,
}

impl RaftDisk {
    /// A member with an empty log.
    #[must_use]
    pub const fn blank(cluster: ClusterId, node: NodeId) -> Self {
        Self { cluster, node, term: 0, voted: None, log: Vec::new(), checkpoint: 0 }
    }

    /// The end of the log.
    #[must_use]
    pub fn last(&self) -> LogId {
        LogId { term: self.log.last().map_or(0, |entry| entry.term), index: self.log.len() as u64 }
    }

    /// The entry at an index.
    #[must_use]
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        self.log.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }

    fn term_at(&self, index: u64) -> Option<u64> {
        if index == 0 { Some(0) } else { self.entry(index).map(|entry| entry.term) }
    }

    /// The newest configuration, committed or not.
    #[must_use]
    pub fn configuration(&self) -> Arc<Configuration> {
        let newest = self.log.iter().rev().find_map(|entry| match &entry.payload {
            Payload::Configuration(configuration) => Some(configuration.clone()),
            _ => None,
        });
        newest.unwrap_or_default()
    }

    /// The first seal, committed or not.
    #[must_use]
    pub fn seal(&self) -> Option<u64> {
        self.log.iter().position(|entry| entry.payload == Payload::Control(ControlEntry::Seal)).map(|place| place as u64 + 1)
    }

    /// The key that a node was admitted with. In the product it stands in the configuration.
    #[must_use]
    pub fn key_of(&self, node: NodeId) -> Option<NodeKey> {
        if node == NodeId::FOUNDER {
            return self.log.iter().find_map(|entry| match entry.payload {
                Payload::Control(ControlEntry::Genesis(admission)) => Some(admission.key),
                _ => None,
            });
        }
        match self.entry(node.0)?.payload {
            Payload::Control(ControlEntry::Admit(admission)) => Some(admission.key),
            _ => None,
        }
    }

    /// What a process finds when it starts.
    #[must_use]
    pub fn facts(&self, settings: &Settings) -> (RaftFacts, Control) {
        let mut control = Control::default();
        for (place, entry) in self.log.iter().enumerate().take(self.checkpoint as usize) {
            if let Payload::Control(entry) = &entry.payload {
                let _ = control.apply(place as u64 + 1, entry, settings);
            }
        }
        let facts = RaftFacts {
            term: self.term,
            last: self.last(),
            committed: self.checkpoint,
            leader: None,
            leading: None,
            configuration: self.configuration(),
            seal: self.seal(),
        };
        (facts, control)
    }
}

impl Raft {
    /// Starts from what is on the disk.
    #[must_use]
    pub fn start(disk: RaftDisk, now: Time, random: &mut fastrand::Rng) -> Self {
        let (configuration, seal, checkpoint) = (disk.configuration(), disk.seal(), disk.checkpoint);
        let mut raft = Self {
            disk,
            commit: checkpoint,
            applied: checkpoint,
            part: Part::Follower,
            leader: None,
            heard_leader: 0,
            votes: BTreeSet::new(),
            followers: BTreeMap::new(),
            due: 0,
            configuration,
            seal,
            outbox: Vec::new(),
        };
        raft.wait(now, random);
        // Alone, nobody has to be waited for.
        if raft.configuration.voters.len() == 1 && raft.configuration.votes(raft.node()) {
            raft.due = now + 1000;
        }
        raft
    }

    /// A cluster of one.
    #[must_use]
    pub fn found(cluster: ClusterId, now: Time, random: &mut fastrand::Rng) -> Self {
        let mut disk = RaftDisk::blank(cluster, NodeId::FOUNDER);
        let at = LogId { term: 0, index: 1 };
        let configuration = Configuration { at, voters: [NodeId::FOUNDER].into(), ..Configuration::default() };
        disk.log.push(Entry { term: 0, payload: Payload::Configuration(Arc::new(configuration)) });
        Self::start(disk, now, random)
    }

    /// This member.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.disk.node
    }

    /// Whether it leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.part == Part::Leader
    }

    /// What it says of itself.
    #[must_use]
    pub fn facts(&self, clock: impl Fn(Time) -> Now) -> RaftFacts {
        let leading = self.leads().then(|| Leading {
            progress: self
                .followers
                .iter()
                .map(|(node, follower)| Progress { node: *node, matched: follower.matched, heard: follower.heard.map(&clock) })
                .collect(),
        });
        RaftFacts {
            term: self.disk.term,
            last: self.disk.last(),
            committed: self.commit,
            leader: self.leader,
            leading,
            configuration: self.configuration.clone(),
            seal: self.seal,
        }
    }

    /// The first seal in the log.
    #[must_use]
    pub const fn disk_seal(&self) -> Option<u64> {
        self.seal
    }

    /// Where the newest configuration is.
    #[must_use]
    pub fn configuration_at(&self) -> LogId {
        self.configuration.at
    }

    /// The newest configuration.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Something is due.
    pub fn wake(&mut self, now: Time, random: &mut fastrand::Rng) {
        if now < self.due {
            return;
        }
        match self.part {
            Part::Leader => self.beat(now, random),
            Part::Follower | Part::PreCandidate | Part::Candidate => self.campaign(now, random),
        }
    }

    /// A message, whose envelope was checked.
    pub fn hear(&mut self, now: Time, random: &mut fastrand::Rng, from: NodeId, message: RaftMessage) {
        match message {
            RaftMessage::Vote { pre, term, last } => self.asked_for_vote(now, random, from, pre, term, last),
            RaftMessage::Voted { pre, term, granted } => self.got_vote(now, random, from, pre, term, granted),
            RaftMessage::Append { term, previous, entries, commit } => self.append(now, random, from, term, previous, &entries, commit),
            RaftMessage::Appended { term, matches, last } => self.appended(now, random, from, term, matches, last),
        }
    }

    /// Nothing is due for an election timeout, a random one.
    fn wait(&mut self, now: Time, random: &mut fastrand::Rng) {
        self.due = now + random.u64(ELECTION..2 * ELECTION);
    }

    fn step_down(&mut self, now: Time, random: &mut fastrand::Rng, term: u64) {
        if term > self.disk.term {
            self.disk.term = term;
            self.disk.voted = None;
        }
        if self.part != Part::Follower {
            self.wait(now, random);
        }
        self.part = Part::Follower;
        self.leader = None;
        self.votes.clear();
        self.followers.clear();
    }

    fn others(&self) -> Vec<NodeId> {
        let configuration = &self.configuration;
        let all: BTreeSet<NodeId> =
            configuration.voters.iter().chain(&configuration.outgoing).chain(&configuration.learners).copied().collect();
        all.into_iter().filter(|node| *node != self.node()).collect()
    }

    /// Nothing above a round of this time.
    fn within(now: Time, at: Option<Time>) -> bool {
        at.is_some_and(|at| now - at < ELECTION)
    }
}

/// Simulated time as a duration.
#[must_use]
pub const fn duration(time: Time) -> Duration {
    Duration::from_micros(time)
}
