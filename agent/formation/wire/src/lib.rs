//! What nodes say to each other and what they keep of their formation, as bytes.
//!
//! | part | is |
//! |---|---|
//! | [`introduction`] | the first thing in a session after the join proofs: which process this is, and where it listens |
//! | [`Frame`] | all that follows: a [`shoal_formation::Message`], or addresses of peers |
//! | [`record`] | the files of a node's formation |
//! | [`statement`] | what the core calls a statement, and what [`shoal_trust`] signs: one made of the other |
//!
//! # Rules of this crate
//! They are those of `shoal-trust`. **One byte string for one meaning**: what is read is what would be written, bit for bit, and everything else is
//! refused: flags nobody knows, lists out of order, a byte too many. **What was not verified has another type**: [`UnverifiedMessage`] gives a message
//! only to who checks the statements in it. **Every size has a bound**, and none of them is read before it was compared with it. Integers are big-endian.
//!
//! Lengths of frames are not here: they belong to the session, which compares them with [`FRAME_BYTES_MAX`] before it reads one.
#![no_std]

extern crate alloc;

mod codec;
mod frame;
mod hello;
pub mod introduction;
mod message;
pub mod record;
pub mod statement;
mod value;

pub use frame::{Frame, PeerAddresses, is_told};
pub use message::{Statements, UnverifiedMessage, encode_message};

use shoal_formation::disk::PAST_LIVES;
use shoal_trust::statement::STATEMENT_BYTES_MAX;

/// Sightings in a view at most: as many peers as the core keeps in its table.
pub const VIEW_MAX: usize = 256;

/// Nodes in one exchange of addresses at most: as many as in a view.
pub const EXCHANGE_MAX: usize = VIEW_MAX;

/// Addresses of one node at most: as many as discovery keeps.
pub const ADDRESSES_MAX: usize = 8;

/// Bytes of a hello but for its view and past lives, rounded up: 8 each for sequence, incarnation, hint and epoch, 27 of standing, 25 of raft, 12 of
/// traits, three counts.
const HELLO_BYTES: usize = 128;

/// Bytes of a sighting at most: key, boot, incarnation, standing.
const SIGHTING_BYTES: usize = 32 + 8 + 8 + 27;

/// Bytes of one node's addresses at most: key, count, and 19 for each address.
const NODE_BYTES: usize = 32 + 1 + ADDRESSES_MAX * 19;

/// Bytes of a frame at most: the longer of a hello with everything in it (36 KiB) and a full exchange of addresses (46 KiB). Whoever announces a longer one
/// is no node of ours, and the session ends.
pub const FRAME_BYTES_MAX: usize = {
    let hello = HELLO_BYTES + VIEW_MAX * SIGHTING_BYTES + PAST_LIVES * (2 + STATEMENT_BYTES_MAX);
    let exchange = 16 + EXCHANGE_MAX * NODE_BYTES;
    if hello > exchange { hello } else { exchange }
};

/// Bytes that are not what they should be. Who has sent them does not keep to the protocol, and nothing more of what he says can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no {0}")]
pub struct Malformed(pub &'static str);
