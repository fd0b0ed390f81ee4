//! Four words by which people compare two clusters: on a node's console, and on the operator's screen at first contact.
//!
//! They are words of BIP-39's English list: 2048, none of which begins with the same four letters as another. Four are 44 bits. With the join secret,
//! and only with it, somebody can run a cluster of their own and let an operator find that one; to show the same words they would have to make
//! genesis entries until one fits, 2^43 of them on average. At 10^10 SHA-256 a second, as one graphics card does, that were a quarter of an hour.
//! So the words are not of a plain hash but of Argon2id (RFC 9106) with 19 MiB and two passes: a try takes some ten thousand times as much
//! work, and memory of its own, which makes it centuries of such a card. A node computes it once a boot, in some 50 ms.

use core::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use bip39::Language;
use sha2::{Digest, Sha256};

/// Words that are shown.
pub const WORDS: usize = 4;

/// Bits in each.
pub const BITS_PER_WORD: u32 = 11;

/// Memory that computing them takes, in KiB: OWASP's smallest recommendation for Argon2id, since a node with 512 MiB must do it too.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over that memory: as many as go with it.
const PASSES: u32 = 2;

/// The salt may be the same for all: there is no table to be made beforehand of what is random in every genesis entry.
const SALT: &[u8] = b"shoal four words v1";

/// Four words, shown with spaces between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words([&'static str; WORDS]);

impl Words {
    /// Those of a cluster, from the bytes of the first entry of its log. Takes [`MEMORY_KIB`] of memory for the time that it takes.
    #[must_use]
    pub fn of_genesis(genesis: &[u8]) -> Self {
        let hash = Sha256::new_with_prefix(b"shoal genesis v1").chain_update(genesis).finalize();
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(8)).expect("these are within what RFC 9106 allows");
        let mut memory = alloc::vec![Block::new(); params.block_count()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut output = [0; 8];
        argon2.hash_password_into_with_memory(&hash, SALT, &mut output, &mut memory).expect("lengths and memory are as it wants them");
        let bits = u64::from_be_bytes(output) >> (u64::BITS - BITS_PER_WORD * WORDS as u32);
        let list = Language::English.word_list();
        // The first word is of the highest bits.
        let word = |place| list[(bits >> (BITS_PER_WORD * (WORDS as u32 - 1 - place)) & 0x7ff) as usize];
        Self([word(0), word(1), word(2), word(3)])
    }

    /// The words.
    #[must_use]
    pub const fn words(&self) -> &[&'static str; WORDS] {
        &self.0
    }
}

impl fmt::Display for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(formatter, "{a} {b} {c} {d}")
    }
}
