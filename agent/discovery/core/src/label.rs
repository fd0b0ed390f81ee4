//! Random labels.

use core::fmt;

use sha2::{Digest, Sha256};

/// Sixty-four random bits as 16 hexadecimal digits: the name of a service and of its host on one link. So nothing has the same by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(pub u64);

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// Makes labels, and whatever else has to be random, from a seed. Who has seen some does not know the next one.
#[derive(Debug)]
pub(crate) struct Labels {
    seed: [u8; 32],
    made: u64,
}

impl Labels {
    pub(crate) const fn new(seed: [u8; 32]) -> Self {
        Self { seed, made: 0 }
    }

    pub(crate) fn next(&mut self) -> Label {
        self.made += 1;
        let hash: [u8; 32] =
            Sha256::new_with_prefix(b"shoal label v1").chain_update(self.seed).chain_update(self.made.to_be_bytes()).finalize().into();
        let (bits, _) = hash.split_first_chunk().expect("a hash is longer than a label");
        Label(u64::from_be_bytes(*bits))
    }
}
