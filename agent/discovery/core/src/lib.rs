//! Where peers may be found: what to announce on which link, when to ask, which addresses to try, and what to forget. No socket, clock, file, thread or
//! randomness lives here; a seed comes in at construction.
//!
//! All that leaves this crate are *addresses to try*. Who is at an address is found out by the session that somebody else opens there, and told back
//! ([`Input::Connected`]). **Nothing that safety needs follows from a beacon.**
//!
//! ```text
//!  links ──────►┌───────────┐──► Announce   one service a link, random label
//!  beacons ────►│           │──► Query      at 0, 1, 2, 4 … 32, 60 s, then each minute
//!  exchange ───►│ Discovery │──► Connect    20 a second at most, 1 a second of one source
//!  outcomes ───►│           │──► Broadcast  ┐ after 60 s of need
//!  conflicts ──►└───────────┘──► AskDomain  ┘
//! ```
//!
//! # What a flood can do
//! Who has no join secret gets nothing into the table: a beacon without a MAC that fits ends in [`Discovery::handle`], and costs one HMAC. A beacon that is
//! sent again has the addresses that it had, and costs a failed connection a second. Who has the secret and lies is bounded: [`table`] says by what.
//!
//! # States of a link's label
//!
//! | state | conflict | announced | link changes |
//! |---|---|---|---|
//! | probing | another label, probing; the fifth within 60 s: not probing, and broadcast | announced | probing, same label |
//! | announced | as before | announced | probing, same label |
//! | not probing (rest of the boot) | not probing, same label | not probing | not probing, same label |
//!
//! A label that is not announced within [`Timings::announce_deadline`] has a conflict: who answers every probe with another one can be seen no other way.
//!
//! # What it does not do
//! It decides nothing about clusters, and does not know whether a peer is alive: peers are forgotten when others need their place, never because of a
//! goodbye or because a record ran out.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod announce;
mod attempt;
mod discovery;
mod input;
mod label;
mod link;
mod now;
mod schedule;
mod statistics;
pub mod table;
mod timings;

pub use discovery::{Discovery, Identity, KnownPeer};
pub use input::{Announcement, Effect, Input, Shout};
pub use label::Label;
pub use link::{Link, LinkIndex};
pub use now::Now;
pub use statistics::Statistics;
pub use timings::Timings;
