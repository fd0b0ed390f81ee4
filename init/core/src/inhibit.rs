//! Delay inhibitors, as systemd-logind has them: who asked to be heard before the box goes down.
//!
//! A holder takes a lock while it wants to be told of a shutdown, hears `PrepareForShutdown(true)`, does what it must, and lets go
//! by closing its file descriptor. It is waited for at most [`DELAY_MAX`]. The kubelet uses this for its graceful node shutdown.
//! Only `delay` exists here: nothing on a box may `block` its owner's power button.

use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time that holders of a lock can delay a shutdown (`InhibitDelayMaxSec` of logind.conf(5), property
/// `InhibitDelayMaxUSec`). logind's own default is 5 s, and the kubelet raises it by writing a file for logind and signalling
/// systemd; there is neither here, so the limit is what a kubelet could reasonably ask for. When it is hit the shutdown goes on.
pub const DELAY_MAX: Duration = Duration::from_secs(180);

/// Locks held at once. A kubelet holds one; a hundred times that is a client that leaks them. Hitting it is an error to the client.
pub const LOCKS_MAX: usize = 128;

/// A lock, by number; numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockId(u64);

/// Who holds a lock, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What is delayed: a list of words separated by `:`; must contain `shutdown`.
    pub what: String,
    /// Name of the holder, for people.
    pub who: String,
    /// Its reason, for people.
    pub why: String,
    /// `delay`.
    pub mode: String,
    /// User id of the holder.
    pub uid: u32,
    /// Process id of the holder; 0 if not known.
    pub pid: u32,
}

/// Why a lock is refused. Nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InhibitError {
    /// Some `what` or `mode` that does not exist here.
    #[error("only `shutdown` can be inhibited, and only with mode `delay`; `{what}` with mode `{mode}` is not supported")]
    NotSupported {
        /// What was asked for.
        what: String,
        /// In which mode.
        mode: String,
    },
    /// The box is already going down; the lock would come too late.
    #[error("the box is already shutting down; nothing can delay it any more")]
    TooLate,
    /// [`LOCKS_MAX`] locks are held.
    #[error("{LOCKS_MAX} inhibitor locks are held already; close the file descriptors of those no longer needed")]
    TooMany,
}

/// The locks held now.
#[derive(Debug, Default)]
pub struct Inhibitors {
    next: u64,
    held: BTreeMap<LockId, Holder>,
}

impl Inhibitors {
    /// Takes a lock. Whether the box is going down already is for the caller to know.
    pub(crate) fn take(&mut self, holder: Holder) -> Result<LockId, InhibitError> {
        if holder.what.split(':').any(|what| what != "shutdown") || holder.mode != "delay" {
            return Err(InhibitError::NotSupported { what: holder.what, mode: holder.mode });
        }
        if self.held.len() >= LOCKS_MAX {
            return Err(InhibitError::TooMany);
        }
        let id = LockId(self.next);
        self.next += 1;
        self.held.insert(id, holder);
        Ok(id)
    }

    /// Lets go of a lock; one that is not held is nothing to worry about.
    pub(crate) fn release(&mut self, id: LockId) {
        self.held.remove(&id);
    }

    /// The holders, oldest first.
    pub fn holders(&self) -> impl ExactSizeIterator<Item = &Holder> {
        self.held.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(what: &str, mode: &str) -> Holder {
        Holder { what: what.into(), who: "kubelet".into(), why: "pods".into(), mode: mode.into(), uid: 0, pid: 7 }
    }

    #[test]
    fn only_a_delay_of_shutdown_is_granted() {
        let mut inhibitors = Inhibitors::default();
        assert!(inhibitors.take(holder("shutdown", "delay")).is_ok());
        for (what, mode) in [("shutdown", "block"), ("sleep", "delay"), ("shutdown:sleep", "delay"), ("", "delay")] {
            assert!(matches!(inhibitors.take(holder(what, mode)), Err(InhibitError::NotSupported { .. })), "{what} {mode}");
        }
    }

    #[test]
    fn a_client_that_leaks_locks_is_stopped_and_can_go_on_after_letting_go() {
        let mut inhibitors = Inhibitors::default();
        let locks: Vec<_> = (0..LOCKS_MAX).map(|_| inhibitors.take(holder("shutdown", "delay")).unwrap()).collect();
        assert_eq!(inhibitors.take(holder("shutdown", "delay")), Err(InhibitError::TooMany));
        inhibitors.release(locks[0]);
        assert!(inhibitors.take(holder("shutdown", "delay")).is_ok());
    }
}
