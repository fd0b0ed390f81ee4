//! `org.freedesktop.login1.Manager`: as much of systemd-logind (org.freedesktop.login1(5)) as a box has a use for.
//!
//! It is what the kubelet's graceful node shutdown calls (kubernetes 1.37, `pkg/kubelet/nodeshutdown/systemd`): it reads
//! `InhibitDelayMaxUSec`, takes a delay lock, and waits for `PrepareForShutdown`. If the property is below what the kubelet wants it
//! writes a file for logind and signals it through systemd; neither exists here, so the limit is high enough from the start.

use std::sync::atomic::Ordering;

use shoal_init_core::inhibit::{DELAY_MAX, Holder};
use shoal_init_core::shutdown::Ending;
use zbus::fdo;

use super::request::{Ask, Request};
use super::{Facts, may_change};

/// The interface, as one client sees it.
#[derive(Debug)]
pub(crate) struct Manager {
    pub(crate) ask: Ask,
    pub(crate) facts: Facts,
}

impl Manager {
    async fn go_down(&self, ending: Ending) -> fdo::Result<()> {
        self.ask.must_be_root()?;
        let caller = self.ask.caller;
        self.ask.ask(|reply| Request::Shutdown { ending, caller, reply }).await
    }

    fn may(&self) -> &'static str {
        if may_change(self.ask.caller) { "yes" } else { "no" }
    }
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    /// Takes a lock: closing the file descriptor lets go of it. Only `shutdown` with mode `delay` is supported.
    async fn inhibit(&self, what: String, who: String, why: String, mode: String) -> fdo::Result<zbus::OwnedFd> {
        self.ask.must_be_root()?;
        let holder = Holder { what, who, why, mode, uid: self.ask.caller.uid, pid: self.ask.caller.pid };
        let answer = self.ask.ask(|reply| Request::Inhibit { holder, reply }).await?;
        answer.map(zbus::OwnedFd::from).map_err(|refusal| fdo::Error::NotSupported(refusal.to_string()))
    }

    /// The locks held: what, who, why, mode, user id, process id.
    async fn list_inhibitors(&self) -> fdo::Result<Vec<(String, String, String, String, u32, u32)>> {
        let holders = self.ask.ask(|reply| Request::Inhibitors { reply }).await?;
        Ok(holders.into_iter().map(|holder| (holder.what, holder.who, holder.why, holder.mode, holder.uid, holder.pid)).collect())
    }

    /// Stops all services and switches the power off.
    async fn power_off(&self, _interactive: bool) -> fdo::Result<()> {
        self.go_down(Ending::PowerOff).await
    }

    /// Stops all services and starts the box again.
    async fn reboot(&self, _interactive: bool) -> fdo::Result<()> {
        self.go_down(Ending::Reboot).await
    }

    /// Stops all services and the processor.
    async fn halt(&self, _interactive: bool) -> fdo::Result<()> {
        self.go_down(Ending::Halt).await
    }

    /// `yes` or `no`.
    fn can_power_off(&self) -> &str {
        self.may()
    }

    /// `yes` or `no`.
    fn can_reboot(&self) -> &str {
        self.may()
    }

    /// `yes` or `no`.
    fn can_halt(&self) -> &str {
        self.may()
    }

    /// The longest time that a lock delays a shutdown, in microseconds.
    #[zbus(property(emits_changed_signal = "const"), name = "InhibitDelayMaxUSec")]
    fn inhibit_delay_max(&self) -> u64 {
        u64::try_from(DELAY_MAX.as_micros()).unwrap_or(u64::MAX)
    }

    /// Whether the box is going down.
    #[zbus(property(emits_changed_signal = "false"))]
    fn preparing_for_shutdown(&self) -> bool {
        self.facts.going_down.load(Ordering::Relaxed)
    }

    /// Sent once, with true, when the box begins to go down. (It is sent by the loop; this describes it to introspection.)
    #[zbus(signal)]
    async fn prepare_for_shutdown(emitter: &zbus::object_server::SignalEmitter<'_>, start: bool) -> zbus::Result<()>;
}
