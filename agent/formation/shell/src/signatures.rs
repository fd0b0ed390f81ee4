//! Which statements this node has signed, with keys that it may not have any more.

use shoal_formation::statement::{PastLife, Removed};
use shoal_formation_wire::{Statements, record::SignedPastLife, statement};
use shoal_trust::{key::NodeSecret, statement as signed};

/// What was signed, and the key that signs now.
#[derive(Debug)]
pub(crate) struct Signatures {
    secret: NodeSecret,
    past_lives: Vec<SignedPastLife>,
}

impl Signatures {
    pub(crate) const fn new(secret: NodeSecret, past_lives: Vec<SignedPastLife>) -> Self {
        Self { secret, past_lives }
    }

    /// Signs what this node says of the life that ends, while its key is still there.
    pub(crate) fn sign(&mut self, past_life: &PastLife) {
        let statement = statement::to_be_signed(past_life);
        if self.past_lives.iter().all(|signed| *signed.claimed() != statement) {
            self.past_lives.push(self.secret.state(statement).signed().clone());
        }
    }

    /// From here on another key signs. Past lives stay as they were signed.
    pub(crate) fn renew(&mut self, secret: NodeSecret) {
        self.secret = secret;
    }

    /// Forgets what is not among these any more.
    pub(crate) fn keep<'a>(&mut self, past_lives: impl Iterator<Item = &'a PastLife>) {
        let kept: Vec<_> = past_lives.map(statement::to_be_signed).collect();
        self.past_lives.retain(|signed| kept.contains(signed.claimed()));
    }
}

impl Statements for Signatures {
    fn past_life(&self, past_life: &PastLife) -> Option<SignedPastLife> {
        let statement = statement::to_be_signed(past_life);
        self.past_lives.iter().find(|signed| *signed.claimed() == statement).cloned()
    }

    fn removed(&self, removed: &Removed) -> signed::Signed<signed::Removed> {
        statement::sign_removed(&self.secret, removed)
    }
}
