//! What ends the box from outside its services: signals and the power button.
//!
//! They are heard while the box boots, and what nobody has taken yet waits in a channel that goes from the boot to the supervisor: none is
//! lost between. What follows is [`Cause::ending`]'s to say.
//!
//! | from | heard from |
//! |---|---|
//! | SIGINT (ctrl-alt-del), SIGTERM, SIGPWR | before the first step of the boot |
//! | power button | the step that loads its driver |

pub(crate) mod buttons;

use std::io;

use nix::sys::signal::SigSet;
use shoal_init_core::shutdown::Cause;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Causes that wait to be heard. The first decides, so more than a few are people hammering on a button; their senders wait when it is hit.
const CAUSES_WAITING: usize = 16;

/// Number of SIGPWR, which signal(7) gives as 30 on x86 and Arm.
const SIGPWR: i32 = 30;

/// Listens to signals from now on. Whatever else hears of a cause gives it to the sender.
///
/// Must be called on a tokio runtime.
///
/// # Errors
/// The kernel refuses a handler; nothing of this is heard then.
pub(crate) fn listen() -> io::Result<(mpsc::Sender<Cause>, mpsc::Receiver<Cause>)> {
    let (sender, receiver) = mpsc::channel(CAUSES_WAITING);
    for (kind, cause) in [
        (SignalKind::interrupt(), Cause::CtrlAltDel),
        (SignalKind::terminate(), Cause::Terminate),
        (SignalKind::from_raw(SIGPWR), Cause::PowerFailure),
    ] {
        tokio::spawn(pass(signal(kind)?, cause, sender.clone()));
    }
    // From now on ctrl-alt-del is a SIGINT to us instead of a reset. Not on a developer's machine, though.
    if rustix::process::getpid().is_init() {
        let _ = rustix::system::reboot(rustix::system::RebootCommand::CadOff);
    }
    Ok((sender, receiver))
}

async fn pass(mut signal: Signal, cause: Cause, causes: mpsc::Sender<Cause>) {
    while signal.recv().await.is_some() {
        if causes.send(cause).await.is_err() {
            return;
        }
    }
}

/// Keeps signals away from the calling thread and those that it starts; the loop's own thread takes them. A thread that waits in the
/// kernel for a device or a child would else be woken by them and take that for a failure.
pub(crate) fn leave_signals_to_the_loop() {
    // It fails only for an unknown way of changing the mask.
    let _ = SigSet::all().thread_block();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_that_comes_before_anybody_asks_is_not_lost() {
        let (_sender, mut causes) = listen().unwrap();
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGPWR).unwrap();
        assert_eq!(causes.recv().await, Some(Cause::PowerFailure));
    }
}
