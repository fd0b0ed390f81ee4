//! The replicated store as one member of a cluster.
//!
//! [`Replica`] is what a server of the etcd API is written against: propose, read, watch, lease, membership, status. [`Local`] is one without
//! raft and without a disk, for tests of such a server. [`formation`] is what the core of `shoal-formation` is driven against: on it clusters form
//! themselves, and nobody adds members.

pub mod backup;
mod blocking;
pub mod bootstrap;
mod checkpoint;
pub mod codec;
pub mod error;
pub mod formation;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
#[cfg(feature = "known-bugs")]
pub mod known_bugs;
pub mod local;
pub mod membership;
pub mod node;
pub mod peer;
mod prepare;
mod proposals;
mod raft;
pub mod replica;
pub mod restore;
pub mod snapshot;
mod state;
pub mod status;
pub mod storage;
pub mod watches;

pub use error::{LeaseError, MembershipError, MoveLeaderError, ProposeError, ReadError, StorageError};
pub use local::Local;
pub use membership::{Member, MemberChange};
pub use node::{Begin, Ended, Node, NodeConfig, StartError};
pub use peer::transport;
pub use raft::runtime::seed_elections;
pub use replica::{Identity, LeaseTimeToLive, Replica, StoreGuard};
pub use snapshot::{SNAPSHOT_ALIGNMENT_BYTES, SnapshotStream, record::SnapshotDamage};
pub use status::{Leadership, Metrics, Status};
pub use watches::{WatchStream, Watches};
