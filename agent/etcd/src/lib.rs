//! The etcd v3 API, served from a Shoal store: gRPC as etcd 3.7 declares it, and the HTTP paths that it answers on the same port.
//!
//! | module | serves |
//! |---|---|
//! | `kv`: `range`, `range_stream`, `put`, `delete`, `txn`, `compact` | the service KV |
//! | `watch` | the service Watch |
//! | `lease` | the service Lease |
//! | `cluster` | the service Cluster |
//! | `maintenance`: `alarm`, `hash`, `snapshot`, `status` | the service Maintenance |
//! | `auth` | the service Auth, which is not enabled |
//! | `http` | `/health`, `/version`, `/metrics` |
//!
//! [`wire`] is what the client sees and `shoal_kv` what the store knows; `request` and `response` translate. [`status`] alone knows etcd's texts.

mod alarm;
mod auth;
mod cluster;
mod compact;
mod delete;
mod downgrade;
mod hash;
mod health;
mod http;
mod kv;
mod lease;
mod maintenance;
mod metrics;
mod observe;
mod put;
mod range;
mod range_stream;
mod request;
mod response;
mod router;
mod serve;
mod shared;
mod snapshot;
pub mod status;
pub mod tls;
mod txn;
pub mod version;
mod watch;
pub mod wire;

pub use router::router;
pub use serve::serve;
pub use shared::{DEFAULT_WATCH_PROGRESS_NOTIFY_INTERVAL, MIN_WATCH_PROGRESS_NOTIFY_INTERVAL, Options};
