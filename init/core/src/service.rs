//! One service: its states, and what each event does to it.
//!
//! | state | means | process | leaves to |
//! |---|---|---|---|
//! | Waiting | shall run; something it starts after is not ready | none | Starting |
//! | Starting | spawned, not ready yet; a oneshot is here while it works | one, or being made | Running, Done, Stopping, Backoff, Failed, Stopped |
//! | Running | ready | one | Stopping, Backoff, Failed, Stopped |
//! | Done | a oneshot that exited with 0 | none | Waiting (request) |
//! | Stopping | asked to stop, then killed | one, or being made | Stopped, Waiting (restart), Backoff or Failed (never became ready) |
//! | Backoff | failed; waits for the restart | none | Waiting |
//! | Failed | failed, and is left so | none | Waiting (request) |
//! | Stopped | was stopped, or ended and is not restarted, or was never asked for (`start = "asked"`) | none | Waiting (request) |
//!
//! What it starts after is asked about only on the way from Waiting to Starting: a service that runs goes on running when
//! something it needs is restarted below it, as clients of containerd and of the bus do.

use std::time::Duration;

use shoal_contract::Service;
use shoal_contract::boot::Level;
use shoal_contract::service::{GiveUpAction, Kind, Ready, Restart, Start, StopSignal};

use crate::now::Now;
use crate::order::ServiceId;
use crate::restart::{History, Verdict};
use crate::supervisor::Effect;

/// Time between two tries to connect to the socket of a service that is starting. A try costs two system calls.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// How long after SIGKILL a process is waited for, and as long one that is still being made. When it is hit, the process hangs in the
/// kernel: others no longer wait for it, but its service is not started again, for it must never run twice.
pub const STUCK_AFTER: Duration = Duration::from_secs(5);

/// State of a service, as shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table of this module says what each means")]
pub enum State {
    Waiting,
    Starting,
    Running,
    Done,
    Stopping,
    Backoff,
    Failed,
    Stopped,
}

impl State {
    /// The word for it on the bus and on the console.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// exit(3) with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exited with {code}"),
            Self::Signal(signal) => write!(formatter, "was ended by signal {signal}"),
        }
    }
}

/// A signal that PID 1 sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "signal(7) says what each means")]
pub enum Signal {
    Term,
    Int,
    Kill,
}

/// What follows a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Rest,
    Start,
    /// The stop was made because the service never became ready.
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Killed,
    Stuck,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Waiting,
    Starting { pid: Option<u32>, late_at: Now, probe_at: Option<Now> },
    Running { pid: u32 },
    Done,
    Stopping { pid: Option<u32>, stage: Stage, until: Now, then: Then },
    Backoff { until: Now },
    Failed,
    Stopped,
}

/// One service.
#[derive(Debug)]
pub struct Unit {
    id: ServiceId,
    spec: Service,
    phase: Phase,
    since: Now,
    started: Now,
    spawns: u32,
    history: History,
    detail: String,
}

/// Where a unit says what it wants done.
pub(crate) struct Out<'a> {
    pub(crate) now: Now,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl Unit {
    pub(crate) fn new(id: ServiceId, spec: Service, now: Now) -> Self {
        let phase = if spec.start == Start::Boot { Phase::Waiting } else { Phase::Stopped };
        Self { id, spec, phase, since: now, started: now, spawns: 0, history: History::default(), detail: String::new() }
    }

    /// The number by which effects name it.
    #[must_use]
    pub fn id(&self) -> ServiceId {
        self.id
    }

    /// What `services.toml` says about it.
    #[must_use]
    pub fn spec(&self) -> &Service {
        &self.spec
    }

    /// Its state now.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Waiting => State::Waiting,
            Phase::Starting { .. } => State::Starting,
            Phase::Running { .. } => State::Running,
            Phase::Done => State::Done,
            Phase::Stopping { .. } => State::Stopping,
            Phase::Backoff { .. } => State::Backoff,
            Phase::Failed => State::Failed,
            Phase::Stopped => State::Stopped,
        }
    }

    /// Its process, if it has one.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self.phase {
            Phase::Starting { pid, .. } | Phase::Stopping { pid, .. } => pid,
            Phase::Running { pid } => Some(pid),
            _ => None,
        }
    }

    /// When it came into this state.
    #[must_use]
    pub fn since(&self) -> Now {
        self.since
    }

    /// How often it was started again.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.spawns.saturating_sub(1)
    }

    /// Why it is as it is, in words; empty if there is nothing to say.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether those that start after it may start.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Running { .. } | Phase::Done)
    }

    /// Whether those stopped after it must wait.
    pub(crate) fn holds_up_shutdown(&self) -> bool {
        match self.phase {
            Phase::Starting { .. } | Phase::Running { .. } => true,
            Phase::Stopping { .. } => !self.hangs(),
            _ => false,
        }
    }

    /// Whether it waits for somebody to ask for it: a boot is complete without it.
    #[must_use]
    pub fn is_unasked(&self) -> bool {
        self.spec.start == Start::Asked && self.spawns == 0 && matches!(self.phase, Phase::Stopped)
    }

    /// Whether its process hangs in the kernel: see [`STUCK_AFTER`].
    #[must_use]
    pub fn hangs(&self) -> bool {
        matches!(self.phase, Phase::Stopping { stage: Stage::Stuck, .. })
    }

    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting)
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        match self.phase {
            Phase::Starting { late_at, probe_at, .. } => Some(probe_at.map_or(late_at, |probe| probe.min(late_at))),
            Phase::Stopping { stage: Stage::Asked | Stage::Killed, until, .. } | Phase::Backoff { until } => Some(until),
            _ => None,
        }
    }

    fn enter(&mut self, out: &mut Out<'_>, phase: Phase) {
        self.phase = phase;
        self.since = out.now;
        out.effects.push(Effect::Changed { id: self.id });
    }

    fn log(&self, out: &mut Out<'_>, level: Level, text: String) {
        out.effects.push(Effect::Log { id: self.id, level, text });
    }

    /// From Waiting: makes a process. The caller has checked the order.
    pub(crate) fn spawn(&mut self, out: &mut Out<'_>) {
        self.started = out.now;
        self.spawns = self.spawns.saturating_add(1);
        let late_at = out.now.plus(Duration::from_millis(self.spec.ready_timeout_ms));
        self.enter(out, Phase::Starting { pid: None, late_at, probe_at: None });
        out.effects.push(Effect::Spawn { id: self.id });
    }

    pub(crate) fn spawned(&mut self, out: &mut Out<'_>, new: u32) {
        match &mut self.phase {
            Phase::Starting { pid: pid @ None, probe_at, .. } => {
                *pid = Some(new);
                match (self.spec.kind, &self.spec.ready) {
                    (Kind::Daemon, Ready::Started) => self.become_ready(out),
                    (Kind::Daemon, Ready::Socket(_)) => *probe_at = Some(out.now.plus(PROBE_INTERVAL)),
                    (Kind::Daemon, Ready::Notify) | (Kind::Oneshot, _) => {}
                }
            }
            // It was asked to stop while its process was being made.
            Phase::Stopping { pid: pid @ None, stage, until, .. } => {
                *pid = Some(new);
                let kill = *stage != Stage::Asked;
                if kill {
                    // Only now is there something to kill, and so something to wait for.
                    *stage = Stage::Killed;
                    *until = out.now.plus(STUCK_AFTER);
                }
                self.send(out, new, kill);
            }
            _ => {}
        }
    }

    pub(crate) fn spawn_failed(&mut self, out: &mut Out<'_>, reason: String) {
        match self.phase {
            Phase::Starting { pid: None, .. } => self.fail(out, reason),
            Phase::Stopping { pid: None, then, .. } => {
                self.detail = reason;
                self.stopped(out, then);
            }
            _ => {}
        }
    }

    pub(crate) fn ready(&mut self, out: &mut Out<'_>) {
        if self.spec.kind == Kind::Daemon && matches!(self.phase, Phase::Starting { pid: Some(_), .. }) {
            self.become_ready(out);
        }
    }

    fn become_ready(&mut self, out: &mut Out<'_>) {
        if let Some(pid) = self.pid() {
            self.detail.clear();
            self.enter(out, Phase::Running { pid });
        }
    }

    /// Its process has ended and was reaped.
    pub(crate) fn exited(&mut self, out: &mut Out<'_>, exit: Exit) {
        if !self.spec.delegate {
            // What the process left behind must not meet its successor.
            out.effects.push(Effect::KillGroup { id: self.id });
        }
        let success = exit == Exit::Code(0);
        match self.phase {
            Phase::Stopping { then, .. } => self.stopped(out, then),
            Phase::Starting { .. } if success && self.spec.kind == Kind::Oneshot => {
                self.detail.clear();
                self.enter(out, Phase::Done);
            }
            Phase::Starting { .. } | Phase::Running { .. } if success && self.spec.restart != Restart::Always => {
                self.detail = exit.to_string();
                self.log(out, Level::Info, exit.to_string());
                self.enter(out, Phase::Stopped);
            }
            Phase::Starting { .. } | Phase::Running { .. } => self.fail(out, exit.to_string()),
            _ => {}
        }
    }

    fn fail(&mut self, out: &mut Out<'_>, reason: String) {
        let verdict = self.history.failed(out.now, out.now.since(self.started), self.spec.give_up.as_ref());
        match verdict {
            Verdict::GiveUp(action) => {
                self.log(out, Level::Error, format!("{reason}; it failed too often and is given up"));
                self.detail = format!("{reason}; given up");
                self.enter(out, Phase::Failed);
                if action == GiveUpAction::Reboot {
                    out.effects.push(Effect::GiveUpBox { id: self.id });
                }
            }
            Verdict::Retry(_) if self.spec.restart == Restart::Never => {
                self.log(out, Level::Error, reason.clone());
                self.detail = reason;
                self.enter(out, Phase::Failed);
            }
            Verdict::Retry(delay) => {
                self.log(out, Level::Warning, format!("{reason}; starting it again in {} s", delay.as_secs_f32()));
                self.detail = reason;
                self.enter(out, Phase::Backoff { until: out.now.plus(delay) });
            }
        }
    }

    /// Asks its process to stop; without one it is stopped at once.
    fn stop(&mut self, out: &mut Out<'_>, then: Then) {
        match &mut self.phase {
            Phase::Stopping { then: old, .. } => *old = then,
            Phase::Starting { .. } | Phase::Running { .. } => {
                let pid = self.pid();
                let until = out.now.plus(Duration::from_millis(self.spec.stop_timeout_ms));
                self.enter(out, Phase::Stopping { pid, stage: Stage::Asked, until, then });
                if let Some(pid) = pid {
                    self.send(out, pid, false);
                }
            }
            _ => self.stopped(out, then),
        }
    }

    fn send(&self, out: &mut Out<'_>, pid: u32, kill: bool) {
        let signal = match (kill, self.spec.stop_signal) {
            (true, _) => Signal::Kill,
            (false, StopSignal::Term) => Signal::Term,
            (false, StopSignal::Int) => Signal::Int,
        };
        out.effects.push(Effect::Signal { id: self.id, pid, signal });
        if kill && !self.spec.delegate {
            out.effects.push(Effect::KillGroup { id: self.id });
        }
    }

    /// There is no process now, and there should be none.
    fn stopped(&mut self, out: &mut Out<'_>, then: Then) {
        match then {
            Then::Rest => self.enter(out, Phase::Stopped),
            Then::Start => self.enter(out, Phase::Waiting),
            Then::Fail => {
                let reason = self.detail.clone();
                self.fail(out, reason);
            }
        }
    }

    pub(crate) fn request_start(&mut self, out: &mut Out<'_>) {
        match self.phase {
            Phase::Waiting | Phase::Starting { .. } | Phase::Running { .. } => {}
            Phase::Stopping { .. } => self.stop(out, Then::Start),
            Phase::Done | Phase::Backoff { .. } | Phase::Failed | Phase::Stopped => {
                self.history.forget();
                self.enter(out, Phase::Waiting);
            }
        }
    }

    pub(crate) fn request_stop(&mut self, out: &mut Out<'_>) {
        // What hangs goes on hanging, and says so.
        if !self.hangs() {
            self.detail.clear();
        }
        if !matches!(self.phase, Phase::Stopped) {
            self.stop(out, Then::Rest);
        }
    }

    pub(crate) fn request_restart(&mut self, out: &mut Out<'_>) {
        self.history.forget();
        if !matches!(self.phase, Phase::Waiting) {
            self.stop(out, Then::Start);
        }
    }

    /// The box goes down. `may_stop`: nothing that depends on it is left.
    pub(crate) fn go_down(&mut self, out: &mut Out<'_>, may_stop: bool) {
        match &mut self.phase {
            Phase::Stopping { then, .. } => *then = Then::Rest,
            Phase::Starting { .. } | Phase::Running { .. } if may_stop => self.stop(out, Then::Rest),
            Phase::Waiting | Phase::Backoff { .. } => self.enter(out, Phase::Stopped),
            _ => {}
        }
    }

    /// Does what has become due.
    pub(crate) fn tick(&mut self, out: &mut Out<'_>) {
        let now = out.now;
        match &mut self.phase {
            Phase::Starting { late_at, .. } if now >= *late_at => {
                let limit = Duration::from_millis(self.spec.ready_timeout_ms).as_secs_f32();
                self.detail = format!("was not ready within {limit} s");
                self.log(out, Level::Error, format!("{}; stopping it", self.detail));
                self.stop(out, Then::Fail);
            }
            Phase::Starting { probe_at: Some(probe_at), .. } if now >= *probe_at => {
                *probe_at = now.plus(PROBE_INTERVAL);
                out.effects.push(Effect::Probe { id: self.id });
            }
            Phase::Stopping { pid, stage: stage @ Stage::Asked, until, .. } if now >= *until => {
                *stage = Stage::Killed;
                *until = now.plus(STUCK_AFTER);
                let pid = *pid;
                self.log(out, Level::Warning, "did not stop in time; killing it".to_owned());
                if let Some(pid) = pid {
                    self.send(out, pid, true);
                }
            }
            Phase::Stopping { pid, stage: stage @ Stage::Killed, until, .. } if now >= *until => {
                *stage = Stage::Stuck;
                let what = if pid.is_some() { "not even SIGKILL ends it" } else { "its process is still being made" };
                self.detail = format!("hangs in the kernel: {what}");
                self.log(out, Level::Error, self.detail.clone());
                out.effects.push(Effect::Changed { id: self.id });
            }
            Phase::Backoff { until } if now >= *until => self.enter(out, Phase::Waiting),
            _ => {}
        }
    }
}
