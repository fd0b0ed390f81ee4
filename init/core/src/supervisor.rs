//! All services and the shutdown: inputs in, effects out.
//!
//! [`Supervisor::handle`] takes one input and gives what has to be done for it, in order. The shell does each effect and hands back
//! what came of it ([`Input::Spawned`], [`Input::Exited`], …) as the next input. [`Supervisor::deadline`] says when it wants
//! [`Input::Timer`] at the latest.
//!
//! What always holds, whatever comes in (`tests/supervision.rs` checks it with random histories):
//! - a service never has two processes;
//! - a service starts only when everything it starts after is ready;
//! - at shutdown a service is asked to stop only when nothing that starts after it is left;
//! - a shutdown is over within [`SHUTDOWN_MAX`](crate::shutdown::SHUTDOWN_MAX).

use shoal_contract::Services;
use shoal_contract::boot::Level;

use crate::inhibit::{Holder, InhibitError, Inhibitors, LockId};
use crate::now::Now;
use crate::order::{Order, ServiceId};
use crate::service::{Exit, Out, Signal, State, Unit};
use crate::shutdown::{Ending, Left, Phase, Shutdown};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A [`Effect::Spawn`] made this process.
    Spawned {
        /// Whose.
        id: ServiceId,
        /// The process.
        pid: u32,
    },
    /// A [`Effect::Spawn`] made no process.
    SpawnFailed {
        /// Whose.
        id: ServiceId,
        /// Why, in words.
        reason: String,
    },
    /// A probe was answered, or READY=1 came.
    Ready {
        /// Whose.
        id: ServiceId,
    },
    /// A child was reaped; it may be an orphan that belongs to no service.
    Exited {
        /// The process.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
    /// PID 1 has no child at all.
    NoChildren,
    /// The [`Supervisor::deadline`] has come.
    Timer,
    /// Somebody wants it to run; a service that was given up gets a new chance.
    Start(ServiceId),
    /// Somebody wants it to rest until it is started by request.
    Stop(ServiceId),
    /// Somebody wants it stopped and started.
    Restart(ServiceId),
    /// The box shall go down.
    Shutdown(Ending),
    /// A lock's file descriptor was closed.
    Released(LockId),
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make a process; answer with [`Input::Spawned`] or [`Input::SpawnFailed`].
    Spawn {
        /// Whose.
        id: ServiceId,
    },
    /// Try once, without waiting, whether its socket accepts a connection; if so answer with [`Input::Ready`].
    Probe {
        /// Whose.
        id: ServiceId,
    },
    /// Send a signal to its main process, which has not been reaped yet.
    Signal {
        /// Whose.
        id: ServiceId,
        /// The process.
        pid: u32,
        /// The signal.
        signal: Signal,
    },
    /// Kill everything in its control group.
    KillGroup {
        /// Whose.
        id: ServiceId,
    },
    /// Send a signal to every process of the box but PID 1.
    SignalAll(Signal),
    /// File a line about it.
    Log {
        /// About which.
        id: ServiceId,
        /// How bad.
        level: Level,
        /// The line.
        text: String,
    },
    /// Its state has changed.
    Changed {
        /// Whose.
        id: ServiceId,
    },
    /// It failed too often and its recipe wants the box rebooted; the supervisor has begun the shutdown.
    GiveUpBox {
        /// Which.
        id: ServiceId,
    },
    /// Tell lock holders that the box goes down.
    PrepareForShutdown,
    /// The shutdown came into this phase.
    Phase(Phase),
    /// Everything has ended: leave the loop.
    Act(Ending),
}

/// The services of a box.
#[derive(Debug)]
pub struct Supervisor {
    units: Vec<Unit>,
    order: Order,
    inhibitors: Inhibitors,
    shutdown: Option<Shutdown>,
    childless: bool,
}

impl Supervisor {
    /// Takes charge of `services`, all of which shall run. Nothing happens before the first [`Self::handle`].
    ///
    /// `services` must be checked ([`Services::check`]); with a circular order those in the circle would never start.
    #[must_use]
    pub fn new(services: Services, now: Now) -> Self {
        let order = Order::new(&services);
        let units = services.services.into_iter().enumerate().map(|(number, spec)| Unit::new(ServiceId(number), spec, now)).collect();
        Self { units, order, inhibitors: Inhibitors::default(), shutdown: None, childless: false }
    }

    /// The service of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ServiceId> {
        self.units.iter().find(|unit| unit.spec().name == name).map(Unit::id)
    }

    /// A service.
    #[must_use]
    pub fn unit(&self, id: ServiceId) -> &Unit {
        &self.units[id.0]
    }

    /// All services, in the order of `services.toml`.
    #[must_use]
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Whether every service runs or is done; those that nobody has asked for yet do not count.
    #[must_use]
    pub fn all_ready(&self) -> bool {
        self.units.iter().all(|unit| unit.is_ready() || unit.is_unasked())
    }

    /// The shutdown under way.
    #[must_use]
    pub fn shutdown(&self) -> Option<&Shutdown> {
        self.shutdown.as_ref()
    }

    /// The delay locks held.
    #[must_use]
    pub fn inhibitors(&self) -> &Inhibitors {
        &self.inhibitors
    }

    /// Takes a delay lock; let go of it with [`Input::Released`].
    ///
    /// # Errors
    /// [`InhibitError`]; nothing was taken then.
    pub fn inhibit(&mut self, holder: Holder) -> Result<LockId, InhibitError> {
        if self.shutdown.is_some() {
            return Err(InhibitError::TooLate);
        }
        self.inhibitors.take(holder)
    }

    /// When [`Input::Timer`] is wanted at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        let units = self.units.iter().filter_map(Unit::deadline);
        units.chain(self.shutdown.as_ref().and_then(Shutdown::deadline)).min()
    }

    /// Takes one input at `now` and gives what has to be done for it, in order.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let out = &mut Out { now, effects: &mut effects };
        match input {
            Input::Spawned { id, pid } => {
                self.childless = false;
                self.units[id.0].spawned(out, pid);
            }
            Input::SpawnFailed { id, reason } => self.units[id.0].spawn_failed(out, reason),
            Input::Ready { id } => self.units[id.0].ready(out),
            Input::Exited { pid, exit } => {
                if let Some(unit) = self.units.iter_mut().find(|unit| unit.pid() == Some(pid)) {
                    unit.exited(out, exit);
                }
            }
            Input::NoChildren => self.childless = true,
            Input::Timer => {}
            Input::Start(id) if self.shutdown.is_none() => self.units[id.0].request_start(out),
            Input::Restart(id) if self.shutdown.is_none() => self.units[id.0].request_restart(out),
            Input::Stop(id) if self.shutdown.is_none() => self.units[id.0].request_stop(out),
            // A box that goes down stops everything anyway, in its own order.
            Input::Start(_) | Input::Stop(_) | Input::Restart(_) => {}
            Input::Shutdown(ending) => self.begin_shutdown(out, ending),
            Input::Released(lock) => self.inhibitors.release(lock),
        }
        self.settle(out);
        effects
    }

    fn begin_shutdown(&mut self, out: &mut Out<'_>, ending: Ending) {
        if self.shutdown.is_none() {
            self.shutdown = Some(Shutdown::begin(out.now, ending));
            out.effects.push(Effect::PrepareForShutdown);
            out.effects.push(Effect::Phase(Phase::Inhibited));
        }
    }

    /// Does what has become due or possible.
    fn settle(&mut self, out: &mut Out<'_>) {
        for unit in &mut self.units {
            unit.tick(out);
        }
        if out.effects.iter().any(|effect| matches!(effect, Effect::GiveUpBox { .. })) {
            self.begin_shutdown(out, Ending::Reboot);
        }
        loop {
            if matches!(self.shutdown.as_ref().map(Shutdown::phase), None | Some(Phase::Inhibited)) {
                self.start_what_can_start(out);
            } else {
                self.stop_what_can_stop(out);
            }
            let left = Left {
                locks: self.inhibitors.holders().len(),
                services: self.units.iter().filter(|unit| unit.holds_up_shutdown()).count(),
                children: !self.childless,
            };
            let Some(phase) = self.shutdown.as_mut().and_then(|shutdown| shutdown.step(out.now, left)) else { break };
            self.enter(out, phase);
        }
    }

    fn enter(&mut self, out: &mut Out<'_>, phase: Phase) {
        out.effects.push(Effect::Phase(phase));
        match phase {
            Phase::Inhibited | Phase::Stopping => {}
            Phase::Ending => out.effects.push(Effect::SignalAll(Signal::Term)),
            Phase::Killing => out.effects.push(Effect::SignalAll(Signal::Kill)),
            Phase::Over => {
                if let Some(shutdown) = &self.shutdown {
                    out.effects.push(Effect::Act(shutdown.ending()));
                }
            }
        }
    }

    fn start_what_can_start(&mut self, out: &mut Out<'_>) {
        for number in 0..self.units.len() {
            let predecessors = self.order.predecessors(ServiceId(number));
            if self.units[number].is_waiting() && predecessors.iter().all(|before| self.units[before.0].is_ready()) {
                self.units[number].spawn(out);
            }
        }
    }

    /// At shutdown: dependants first.
    fn stop_what_can_stop(&mut self, out: &mut Out<'_>) {
        for number in (0..self.units.len()).rev() {
            let dependants = self.order.dependants(ServiceId(number));
            let may_stop = dependants.iter().all(|dependant| !self.units[dependant.0].holds_up_shutdown());
            self.units[number].go_down(out, may_stop);
        }
    }

    /// The services that are not as they should be.
    pub fn unwell(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|unit| matches!(unit.state(), State::Backoff | State::Failed) || !unit.detail().is_empty())
    }
}
