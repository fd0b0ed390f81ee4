//! Who belongs to a fleet and who may say what, as bytes: the configuration of an image, the operator's fleet file, the keys that follow from them,
//! beacons, proofs, signed statements, and what a node is called. No socket, clock, file, thread or randomness lives here: random bytes come in.
//!
//! | part | is | secret |
//! |---|---|---|
//! | [`config`] | the 4 KiB sector of an image: fleet, operator's key, policy, join secret; or *unclaimed* | yes, once claimed |
//! | [`fleet_file`] | `site1.fleet`, which the operator keeps: the operator's key, the join secret, clusters seen before | yes |
//! | [`schedule`] | the keys that follow from a join secret | yes |
//! | [`beacon`] | what a node shouts on its links, with a MAC | no |
//! | [`session`], [`join_proof`], [`operator_proof`] | who is at the other end of a TLS session | no |
//! | [`operator_certificate`] | what the operator signs for people who are to reach the fleet's clusters | no |
//! | [`voucher`] | by what an operator's machine knows a cluster that it has never seen | no |
//! | [`words`] | four words by which people compare two clusters | no |
//! | [`statement`] | what members and clusters sign | no |
//! | [`identity`] | all that follows from a node's seed: keys, name, machine id, DHCP client id | the seed |
//! | [`hardware`] | a hint of which box a node runs on | no |
//!
//! # Rules of this crate
//!
//! **One byte string for one meaning.** Each format has one encoding, and what is not exactly that is refused: no reserved byte is ignored, no
//! number has leading zeros, no list an order of its own. So two that read the same bytes read the same thing, and a signature is over one of them.
//! Integers are big-endian.
//!
//! **No two uses of a key, and no two meanings of a MAC.** Every key comes out of HKDF with a label of its own ([`schedule`], [`identity`]); every MAC,
//! signature and hash begins with the name of what it is for. What was made for one purpose verifies for no other.
//!
//! **What was not verified has another type.** [`beacon::Beacon`], [`statement::Verified`], [`join_proof::Joined`] and
//! [`operator_proof::Operated`] are made by verification alone; what came from outside is an [`beacon::UnverifiedBeacon`], a [`statement::Signed`] or
//! bare bytes.
//!
//! **Secrets are wiped and never shown.** Types that hold one wipe it when they are dropped, have no `Clone`, and their `Debug` shows nothing of it.
//! A move leaves a copy on the stack that nobody wipes, and so does a TOML parser: this makes core dumps and freed memory poorer, no more.
//!
//! **No clock.** Nothing here has a date that it is compared with: all of it works in 1970.
//!
//! # What it does not do
//! It does not decide who is admitted (that is for formation and the log), does not wrap the key-encryption key, and knows of a
//! certificate only that it is one (`shoal-access` makes them).

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod beacon;
mod codec;
pub mod config;
pub mod fleet;
pub mod fleet_file;
pub mod hardware;
pub mod identity;
pub mod join_proof;
pub mod key;
pub mod operator_certificate;
pub mod operator_proof;
pub mod schedule;
pub mod secret;
pub mod session;
pub mod statement;
mod text;
pub mod voucher;
pub mod words;
