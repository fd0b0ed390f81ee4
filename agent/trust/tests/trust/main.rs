//! The crate as its users see it.

mod beacons;
mod config;
mod fleet_files;
mod identity;
mod proofs;
mod sample;
mod statements;
mod vectors;
