//! `org.shoal.Init1`: services, logs and the box, for the agent.

use shoal_contract::boot::Level;
use shoal_init_core::screen::Severity;
use shoal_init_core::shutdown::Ending;
use zbus::fdo;

use super::Facts;
use super::request::{Ask, Request, ServiceRow, Verb};

/// The interface, as one client sees it.
#[derive(Debug)]
pub(crate) struct Init1 {
    pub(crate) ask: Ask,
    pub(crate) facts: Facts,
}

impl Init1 {
    async fn change(&self, verb: Verb, service: String) -> fdo::Result<()> {
        self.ask.must_be_root()?;
        let answer = self.ask.ask(|reply| Request::Change { verb, service, reply }).await?;
        answer.map_err(|refusal| fdo::Error::Failed(refusal.to_string()))
    }

    async fn go_down(&self, ending: Ending) -> fdo::Result<()> {
        self.ask.must_be_root()?;
        let caller = self.ask.caller;
        self.ask.ask(|reply| Request::Shutdown { ending, caller, reply }).await
    }
}

#[zbus::interface(name = "org.shoal.Init1")]
impl Init1 {
    /// All services: name, state (`waiting`, `starting`, `running`, `done`, `stopping`, `backoff`, `failed` or `stopped`), process id
    /// (0: none), restarts so far, microseconds from boot to the change into this state, and why it is so (may be empty).
    async fn list_services(&self) -> fdo::Result<Vec<ServiceRow>> {
        self.ask.ask(|reply| Request::List { reply }).await
    }

    /// Makes a service run; one that was given up gets a new chance. Answers before the service is ready: see `ServiceChanged`.
    async fn start_service(&self, name: String) -> fdo::Result<()> {
        self.change(Verb::Start, name).await
    }

    /// Stops a service, and leaves it so until it is started by request.
    async fn stop_service(&self, name: String) -> fdo::Result<()> {
        self.change(Verb::Stop, name).await
    }

    /// Stops a service and starts it again.
    async fn restart_service(&self, name: String) -> fdo::Result<()> {
        self.change(Verb::Restart, name).await
    }

    /// The last `lines` lines of a service: microseconds from boot, level (`error`, `warning`, `info` or `debug`), text. Logs may hold
    /// secrets of what runs, so they are for root.
    async fn log(&self, name: String, lines: u32) -> fdo::Result<Vec<(u64, &'static str, String)>> {
        self.ask.must_be_root()?;
        let lines = usize::try_from(lines).unwrap_or(usize::MAX);
        let answer = self.ask.ask(|reply| Request::Log { service: name, lines, reply }).await?;
        let lines = answer.map_err(|refusal| fdo::Error::Failed(refusal.to_string()))?;
        let microseconds = |line: &shoal_init_core::ring::Line| u64::try_from(line.at.since_boot().as_micros()).unwrap_or(u64::MAX);
        Ok(lines.into_iter().map(|line| (microseconds(&line), level(line.level), line.text)).collect())
    }

    /// Stops all services and starts the box again.
    async fn reboot(&self) -> fdo::Result<()> {
        self.go_down(Ending::Reboot).await
    }

    /// Stops all services and switches the power off.
    async fn power_off(&self) -> fdo::Result<()> {
        self.go_down(Ending::PowerOff).await
    }

    /// Says on the console how well the box is: `ok`, `warning` or `error`, and a sentence.
    async fn set_health(&self, severity: &str, text: String) -> fdo::Result<()> {
        self.ask.must_be_root()?;
        let severity = Severity::from_word(severity)
            .ok_or_else(|| fdo::Error::InvalidArgs(format!("`{severity}` is not a severity; say ok, warning or error")))?;
        self.ask.ask(|reply| Request::Health { severity, text, reply }).await
    }

    /// Name and architecture of the image.
    #[zbus(property(emits_changed_signal = "const"))]
    fn image(&self) -> &str {
        &self.facts.image
    }

    /// Version of the image.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> &str {
        &self.facts.version
    }

    /// When the image was built, in seconds since 1970.
    #[zbus(property(emits_changed_signal = "const"))]
    fn build_time(&self) -> i64 {
        self.facts.build_time
    }

    /// `persistent`, or `ram: ` and why.
    #[zbus(property(emits_changed_signal = "const"))]
    fn state_medium(&self) -> &str {
        &self.facts.state_medium
    }

    /// A service has come into another state. (It is sent by the loop; this describes it to introspection.)
    #[zbus(signal)]
    async fn service_changed(emitter: &zbus::object_server::SignalEmitter<'_>, name: &str, state: &str) -> zbus::Result<()>;
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}
