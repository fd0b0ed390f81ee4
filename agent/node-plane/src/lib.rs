//! Sessions between nodes: one TCP port, TLS 1.3 with raw public keys on both sides (RFC 7250), and the proof that the other end is of the fleet before
//! anything else of it is read. No date is looked at: it works in 1970.
//!
//! ```text
//!  TCP ─► TLS 1.3, Ed25519 keys both ways ─► ALPN ─► join proofs both ways ─► introductions ─┬─► formation: frames
//!         └──────────────── a slot, and 2 s for all of it ───────────────────────────────┘ └─► raft: a stream, handed on
//! ```
//!
//! | ALPN | the session is for |
//! |---|---|
//! | `shoal-formation/1` | frames of [`shoal_formation_wire`], each with its length in two bytes before it; one session for each process of a peer |
//! | `shoal-raft/1` | whatever the two ends make of it: a [`Lane`] |
//!
//! | task | does |
//! |---|---|
//! | one a listener | accepts, and gives each connection a slot |
//! | one a handshake | all up to the introductions; it ends with its slot |
//! | one a session | reads and writes frames |
//! | the dialler | tries addresses, with a pause that grows |
//!
//! What they share is behind one lock that nobody holds while waiting. [`Events`] are bounded: when nobody takes them, sessions are not read any further,
//! each with one frame in hand. Nothing that a [`Handle`] does waits.
//!
//! # Who can take what
//! **Strangers** have the slots, and no more: [`limits::SLOTS_MAX`] handshakes, of which the oldest goes when another one comes, so that who only holds them
//! keeps nobody out whose handshake takes milliseconds; [`limits::SLOTS_PER_SOURCE_MAX`] for each address. **Who has the join secret** can take
//! [`limits::STRANGERS_MAX`] sessions. **Members** have the rest to themselves.
//!
//! # What it does not do
//! It does not say who is a member, nor whom raft hears: it is told [`Handle::set_members`], and [`shoal_formation::Formation::hears`] is asked for each
//! message of raft by whoever takes lanes. It finds nobody: addresses come from discovery and from peers.

mod book;
mod dialler;
mod frames;
mod greeting;
mod lane;
pub mod limits;
mod listen;
mod plane;
mod sessions;
mod slots;
mod tls;

pub use greeting::GreetingError;
pub use lane::{Duplex, Lane, LaneError};
pub use limits::Limits;
pub use plane::{Event, Events, Handle, Plane, Settings, StartError, Statistics, start};
pub use tls::{ALPN_FORMATION, ALPN_RAFT, TlsError};

#[cfg(test)]
mod tests;
