//! Work that may wait for a medium, kept off the threads that everything else shares.

use shoal_store_files::threads;
use tokio::task::JoinError;

/// Does the work on a thread for such; in a simulation, which has one thread only, in place.
///
/// # Errors
/// It panicked, or the runtime is going away.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    if threads::in_place() {
        // A thread would have let others go first.
        tokio::task::yield_now().await;
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}
