//! How many boxes run at once, over all test processes of the machine.
//!
//! There are so many lock files; a running lab holds as many as it has boxes. The system gives a lock back when its holder dies. All
//! locks of one lab are taken behind one gate, so two labs that want two each cannot wait for each other.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Says how many, instead of the number of processors.
pub(crate) const VARIABLE: &str = "SHOAL_LAB_BOXES";

/// Slots on this machine: one emulated processor keeps one real one busy.
pub(crate) fn total() -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    std::env::var(VARIABLE).ok().and_then(|value| value.parse().ok()).filter(|total| *total > 0).unwrap_or_else(processors)
}

/// Waits for `wanted` of the `total` slots, or for all when there are fewer. They are free again when the files are closed.
pub(crate) async fn acquire(directory: &Path, total: usize, wanted: usize) -> io::Result<Vec<File>> {
    let (done, acquired) = tokio::sync::oneshot::channel();
    let directory = directory.to_owned();
    // A thread of our own: one of the runtime's pool would keep the runtime from ending while it waits.
    std::thread::spawn(move || {
        // When nobody waits any more, the files are closed here.
        let _ = done.send(acquire_now(&directory, total, wanted));
    });
    acquired.await.map_err(|_| io::ErrorKind::Interrupted)?
}

fn acquire_now(directory: &Path, total: usize, wanted: usize) -> io::Result<Vec<File>> {
    let wanted = wanted.clamp(1, total);
    let gate = open(directory, "gate")?;
    flock(&gate, FlockOperation::LockExclusive)?;
    let (mut held, mut taken) = (Vec::new(), Vec::new());
    for number in 0..total {
        let slot = open(directory, &format!("slot-{number}"))?;
        match flock(&slot, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if held.len() < wanted => held.push(slot),
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) => taken.push(slot),
            Err(error) => return Err(error.into()),
        }
    }
    let (send, freed) = mpsc::channel();
    if held.len() < wanted {
        // One thread waits for each. Those that come too late close their file, which frees the slot at once.
        for slot in taken {
            let send = send.clone();
            std::thread::spawn(move || {
                if flock(&slot, FlockOperation::LockExclusive).is_ok() {
                    let _ = send.send(slot);
                }
            });
        }
    }
    drop(send);
    while held.len() < wanted {
        held.push(freed.recv().map_err(|_| io::Error::other("the lock files cannot be waited for"))?);
    }
    Ok(held)
}

fn open(directory: &Path, name: &str) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(directory.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn no_more_than_all_slots_are_held_and_a_freed_one_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let first = acquire(directory.path(), 2, 1).await.unwrap();
        let _second = acquire(directory.path(), 2, 1).await.unwrap();
        let mut third = Box::pin(acquire(directory.path(), 2, 1));
        assert!(timeout(Duration::ZERO, third.as_mut()).await.is_err());
        drop(first);
        assert_eq!(timeout(LONG, third).await.unwrap().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn who_wants_more_than_there_are_gets_all() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(timeout(LONG, acquire(directory.path(), 2, 9)).await.unwrap().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn labs_that_want_several_take_turns() {
        let directory = tempfile::tempdir().unwrap();
        let labs = (0..8).map(|_| async { acquire(directory.path(), 3, 2).await.map(|slots| slots.len()) });
        let all = timeout(LONG, futures_util::future::join_all(labs)).await.unwrap();
        assert!(all.into_iter().all(|slots| slots.unwrap() == 2));
    }
}
