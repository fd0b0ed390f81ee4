//! What clients want of the loop of PID 1.

use std::os::fd::OwnedFd;

use shoal_init_core::inhibit::Holder;
use shoal_init_core::ring::Line;
use shoal_init_core::screen::Severity;
use shoal_init_core::shutdown::Ending;
use tokio::sync::{mpsc, oneshot};
use zbus::fdo;

/// Who calls, as the kernel says (SO_PEERCRED).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) uid: u32,
    pub(crate) pid: u32,
}

/// Where the answer goes; a client that is gone needs none.
pub(crate) type Reply<T> = oneshot::Sender<T>;

/// A request that is not granted, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(pub(crate) String);

/// One service, as `ListServices` gives it: name, state, process id (0: none), restarts, microseconds from boot to the change into
/// this state, and why it is so.
pub(crate) type ServiceRow = (String, String, u32, u32, u64, String);

/// What is asked of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
}

/// A request to the loop.
#[derive(Debug)]
pub(crate) enum Request {
    List { reply: Reply<Vec<ServiceRow>> },
    Change { verb: Verb, service: String, reply: Reply<Result<(), Refusal>> },
    Log { service: String, lines: usize, reply: Reply<Result<Vec<Line>, Refusal>> },
    Shutdown { ending: Ending, caller: Caller, reply: Reply<()> },
    Health { severity: Severity, text: String, reply: Reply<()> },
    Inhibit { holder: Holder, reply: Reply<Result<OwnedFd, Refusal>> },
    Inhibitors { reply: Reply<Vec<Holder>> },
}

/// The way from an interface to the loop.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) caller: Caller,
}

impl Ask {
    /// Refuses callers that may only look.
    pub(crate) fn must_be_root(&self) -> fdo::Result<()> {
        if super::may_change(self.caller) {
            return Ok(());
        }
        Err(fdo::Error::AccessDenied(format!("user {} may look but not change anything; ask as root", self.caller.uid)))
    }

    /// Puts a request to the loop and waits for its answer.
    pub(crate) async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> fdo::Result<T> {
        let over = || fdo::Error::Failed("PID 1 has ended its work; the box is about to go down".to_owned());
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| over())?;
        answer.await.map_err(|_| over())
    }
}
