//! How identical boxes become one cluster: who founds, who joins, what may be wiped, and who votes. No socket, clock, file, thread or randomness lives
//! here, and no address: nodes are known by their keys, so that new addresses change nothing.
//!
//! No rule with a timeout can keep two clusters from being founded where boxes cannot see each other. So that is made harmless: a cluster is born
//! *pristine*, and dissolves into another when the two meet; once a [`Seal`](ControlEntry::Seal) is committed, before anybody is given a credential, it
//! is never wiped and never merged.
//!
//! | state | is | leaves it when |
//! |---|---|---|
//! | [`Virgin`](State::Virgin) | blank, without a usable link; no time counts | the link is usable |
//! | [`Listening`](State::Listening) | blank, looking around | a cluster with a leader is in sight: it joins. Members without one are: it waits. Nobody is: the lowest incarnation founds, with the promises of the others |
//! | [`Founding`](State::Founding) | writing down a cluster of its own | the genesis is committed |
//! | [`Joining`](State::Joining) | asking to be let in | it is told its number, or the cluster is gone |
//! | [`Member`](State::Member) | a member, with or without a vote | the cluster has dissolved; there was no leader for five minutes and no seal is in its log; a majority has left; it was removed |
//! | [`Conflict`](State::Conflict) | blank, with two sealed clusters in sight | one of them is gone |
//! | [`ExMember`](State::ExMember) | blank, and was removed | it joins; it never founds |
//! | [`Leaving`](State::Leaving) | between two lives | it has a new identity |
//!
//! | file | has |
//! |---|---|
//! | [`input`], [`effect`] | what happens, and what is to be done: [`Formation::handle`] turns the one into the other |
//! | [`message`], [`statement`] | what nodes say to each other, and what they sign |
//! | [`disk`] | what survives a power cut |
//! | [`control`] | what committed entries change: a pure function, which the store applies as well |
//! | [`facts`] | what raft says of itself; it stays outside |
//! | `listening`, `founding`, `joining`, `member`, `leading`, `leaving` | one state each |
//! | `survey`, `peers` | whom a node sees, and which of two sessions with one key counts |
//! | [`voters`] | who should vote: a pure plan |
//! | [`timers`] | every time, and why |
//! | [`why`] | why a box is not highly available yet |
//!
//! # What its shell owes it
//! - **Effects in order.** One is begun when the one before is done; what is persisted is durable before the next begins; the next input is handed in
//!   after the last. That is all there is to "persist, then send". Two effects are answered by an input, since something else goes on meanwhile: raft,
//!   which may acknowledge entries until it has stopped, and the making of a new identity.
//! - **Authenticated input.** The sender of a message is who the session has proven, with its process; a [`statement::Verified`] was checked. The core
//!   knows no cryptography.
//! - **Raft hears whom [`Formation::hears`] lets it hear**, and nobody else.
//! - **Random values** come in at the start and with each new identity: keys, incarnations, cluster ids, boots.
//!
//! It is run by `shoal-formation-sim`, which switches its rules off one at a time to show that this is noticed. Where it differs from the page it was
//! built from, `docs/design/0012-formation.md` says why.
#![no_std]

extern crate alloc;

pub mod alarm;
pub mod control;
pub mod disk;
pub mod effect;
pub mod facts;
mod founding;
pub mod ids;
pub mod input;
mod joining;
#[doc(hidden)]
pub mod known_bugs;
mod leading;
mod leaving;
mod listening;
mod machine;
mod member;
pub mod message;
pub mod now;
mod peers;
pub mod settings;
pub mod statement;
mod survey;
pub mod timers;
pub mod voters;
pub mod why;

pub use alarm::Alarm;
pub use control::{Control, ControlEntry};
pub use disk::{Disk, Record, Role};
pub use effect::Effect;
pub use facts::{Configuration, RaftFacts};
pub use ids::{BootId, ClusterId, HardwareHint, Identity, Incarnation, NodeId, NodeKey, Peer};
pub use input::Input;
pub use machine::{Formation, State};
pub use message::{Message, Standing};
pub use now::Now;
pub use settings::Settings;
