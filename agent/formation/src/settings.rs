//! What a box is and what its image says.

use crate::{ids::HardwareHint, known_bugs::KnownBug};

/// Where a node keeps its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Medium {
    /// On its boot medium: it comes back as who it was.
    Disk,
    /// In memory: it is a new node after each boot, and votes only where nobody has a disk.
    Memory,
}

/// What the owner says about a node's vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum VoterLabel {
    /// It never votes.
    Never,
    /// It votes if it is needed.
    #[default]
    Allowed,
    /// It is preferred to others.
    Preferred,
}

/// What others must know of a node to decide whether it should vote. It says so in each hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// See [`Medium`].
    pub medium: Medium,
    /// Major version of this protocol.
    pub version: u32,
    /// See [`VoterLabel`].
    pub label: VoterLabel,
    /// Rack or switch, if labelled.
    pub domain: Option<u32>,
    /// Somebody works on it, and it may be switched off: it is not replaced.
    pub maintenance: bool,
}

impl Default for Traits {
    fn default() -> Self {
        Self { medium: Medium::Disk, version: 1, label: VoterLabel::Allowed, domain: None, maintenance: false }
    }
}

/// How many voters a large cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaxVoters {
    /// One may fail.
    #[default]
    Three,
    /// Two may fail.
    Five,
}

/// What the image and the box give. They do not change while the process lives.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// See [`Traits`].
    pub traits: Traits,
    /// See [`HardwareHint`].
    pub hint: HardwareHint,
    /// How many boxes the owner means to have. Then only more than half of them found. With 1 a box founds at once.
    pub expect: Option<u32>,
    /// See [`MaxVoters`].
    pub max_voters: MaxVoters,
    /// The image has workloads that start by themselves, which seals.
    pub workloads: bool,
    /// A rule to break.
    #[cfg(feature = "known-bugs")]
    pub known_bug: Option<KnownBug>,
}

impl Settings {
    /// Whether a rule is switched off; never outside tests.
    pub(crate) fn breaks(&self, bug: KnownBug) -> bool {
        #[cfg(feature = "known-bugs")]
        let broken = self.known_bug == Some(bug);
        #[cfg(not(feature = "known-bugs"))]
        let broken = {
            let _ = bug;
            false
        };
        broken
    }
}
