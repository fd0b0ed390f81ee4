//! What a request may ask for at most.

/// The largest write, in bytes as it is encoded for the log: etcd's `--max-request-bytes`. A larger one is refused with "request is too large".
pub const DEFAULT_REQUEST_BYTES: usize = 3 * 512 * 1024;

/// The most comparisons, or requests of one branch, along any path of nested transactions: etcd's `--max-txn-ops`. More are refused with "too many
/// operations in txn request".
pub const DEFAULT_TXN_OPERATIONS: usize = 128;

/// The longest time to live of a lease, in seconds (etcd's `MaxLeaseTTL`, 285 years). More is refused with "too large lease TTL".
pub const LEASE_TTL_SECONDS: i64 = 9_000_000_000;

/// The limits of requests that write. All members need not agree: only the member that proposes a request looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an encoded write.
    pub request_bytes: usize,
    /// Operations of a transaction.
    pub txn_operations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { request_bytes: DEFAULT_REQUEST_BYTES, txn_operations: DEFAULT_TXN_OPERATIONS }
    }
}
