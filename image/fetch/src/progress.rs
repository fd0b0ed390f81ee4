//! What a caller can draw while downloads run.

/// Is told what happens to downloads, from several threads at once. The label tells downloads apart.
pub trait Progress: Send + Sync {
    /// A download begins. `total` is its size in bytes, when it is known.
    fn started(&self, label: &str, total: Option<u64>);

    /// So many bytes of a download are there. The number begins above 0 when an interrupted download goes on, and falls back to 0 when it
    /// has to begin anew.
    fn advanced(&self, label: &str, bytes: u64);

    /// A download has ended. It was started before.
    fn finished(&self, label: &str, outcome: Outcome);
}

/// How a download ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the cache, and is what was wanted.
    Fetched,
    /// It failed, or was given up because another one failed. What is there will be resumed.
    Failed,
}

/// Draws nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn started(&self, _: &str, _: Option<u64>) {}
    fn advanced(&self, _: &str, _: u64) {}
    fn finished(&self, _: &str, _: Outcome) {}
}
