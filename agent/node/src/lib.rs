//! One node of a fleet, put together from the parts that know nothing of each other.
//!
//! ```text
//!  links ──► discovery ──► addresses ──► node plane ──► sessions ──► formation ──► the store's raft
//!    └──────────── usable? ────────────────────────────────────────────► │             │
//!                                                    lanes ◄─────────────┴─── asked for by key
//! ```
//!
//! | part | is |
//! |---|---|
//! | [`start`](start()) | a node on a box: from a configuration and a directory |
//! | [`assemble`](assemble()) | the same from its parts, for those who find peers otherwise |
//! | [`store`] | the store's member behind formation's seam to raft |
//! | [`lanes`] | streams of the node plane as the store's connections |
//! | [`finding`] | `shoal-discovery` behind formation's seam to whoever finds peers |
//! | [`usable`] | whether the network can be waited for no longer: a decision without I/O |
//! | [`hand_over`](hand_over()) | the leadership handed over, before a node is switched off in order |
//! | [`hardware`] | what the box says of its hardware, from sysfs |
//!
//! # What is in the directory
//! `node/` holds who the node is ([`shoal_formation_shell::state`]), `store/` what its cluster stores ([`shoal_cluster::storage`]). Nothing else is
//! needed to come back as who it was, and a directory without them is a blank node.
//!
//! # What it does not do
//! It serves no clients: [`Running::store`] gives the member of the cluster, while there is one, to whoever does (in a box, the agent).

pub mod assemble;
pub mod finding;
pub mod hand_over;
pub mod hardware;
pub mod lanes;
pub mod start;
pub mod store;
pub mod usable;

pub use assemble::{Running, StartError, assemble};
pub use hand_over::hand_over;
pub use start::{NODE_PORT, Settings, start};
