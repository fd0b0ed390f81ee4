//! Which etcd this is, to those who ask. Clients choose by it what they may use.

/// The version of etcd whose API is served: with `RangeStream` and all fields of 3.7. Kubernetes asks for progress notifications and consistent
/// reads from its cache only above 3.5.13.
pub const SERVER_VERSION: &str = "3.7.3";

/// What all members of the cluster agree on: its major and minor.
pub const CLUSTER_VERSION: &str = "3.7.0";

/// The version of etcd's storage that has what ours has. The format itself is our own.
pub const STORAGE_VERSION: &str = "3.7.0";
