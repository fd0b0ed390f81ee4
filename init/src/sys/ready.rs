//! Readiness of a file descriptor, for devices that tokio has no type for.

use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets tokio say when `descriptor` can be read or written. It must be non-blocking. Only to be called on a tokio runtime.
///
/// # Errors
/// epoll(7) cannot watch it: it is a plain file, or there is no memory.
pub(crate) fn watch(descriptor: OwnedFd, interest: Interest) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor must stay open and the same for as long as the `AsyncFd` lives. It is an `OwnedFd`, which the `AsyncFd`
    // owns from here on and gives out only by shared reference or when it is taken apart; nobody else can close or replace it.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    Ok(watched?)
}
