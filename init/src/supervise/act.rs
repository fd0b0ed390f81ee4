//! Doing what the supervisor decided.

use shoal_contract::boot::Level;
use shoal_contract::service::Ready;
use shoal_init_core::order::ServiceId;
use shoal_init_core::ring::Line;
use shoal_init_core::screen::Activity;
use shoal_init_core::service::State;
use shoal_init_core::shutdown::Phase;
use shoal_init_core::supervisor::{Effect, Input};

use super::notify::Socket;
use super::output::{self, Writer};
use super::{Loop, now, processes};

impl Loop {
    /// Does one effect; what comes of it waits in `inputs`.
    pub(super) fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { id } => {
                let input = match self.spawn(id) {
                    Ok(pid) => Input::Spawned { id, pid },
                    Err(error) => Input::SpawnFailed { id, reason: format!("could not be started: {error:#}") },
                };
                self.inputs.push_back(input);
            }
            Effect::Probe { id } => {
                if let Ready::Socket(socket) = &self.supervisor.unit(id).spec().ready
                    && processes::accepts(socket)
                {
                    self.inputs.push_back(Input::Ready { id });
                }
            }
            Effect::Signal { id, pid, signal } => {
                if let Err(error) = self.processes.signal(pid, signal) {
                    self.log(id, Level::Error, &format!("cannot be signalled: {error}"));
                }
            }
            Effect::KillGroup { id } => {
                if let Err(error) = self.processes.kill_group(self.supervisor.unit(id).spec()) {
                    self.log(id, Level::Warning, &format!("may have left processes behind: {error:#}"));
                }
            }
            Effect::SignalAll(signal) => {
                self.processes.signal_all(signal);
                // Whoever has nothing to end gets no SIGCHLD that would make the loop look.
                self.reap();
            }
            Effect::Log { id, level, text } => self.log(id, level, &text),
            Effect::Changed { id } => self.changed(id),
            Effect::GiveUpBox { id } => {
                let name = &self.supervisor.unit(id).spec().name;
                self.console.say(&format!("the box cannot do without {name}, so it is rebooted"));
            }
            Effect::PrepareForShutdown => {
                if let Some(bus) = &self.bus {
                    bus.prepare_for_shutdown();
                }
            }
            Effect::Phase(phase) => self.say_phase(phase),
            Effect::Act(ending) => self.last = Some(ending),
        }
    }

    fn spawn(&mut self, id: ServiceId) -> anyhow::Result<u32> {
        let spec = self.supervisor.unit(id).spec();
        let socket = matches!(spec.ready, Ready::Notify).then(|| Socket::bind(&self.notify, &spec.name)).transpose()?;
        let made = self.processes.spawn(spec, socket.as_ref().map(Socket::path))?;
        let writer = Writer::new(&spec.name, spec.log_level, self.logs.clone(), self.console.clone(), now());
        // A pipe that cannot be read any more has ended; its lines are kept.
        tokio::spawn(async move { drop(output::read(made.output, writer).await) });
        if let Some(socket) = socket {
            let task = tokio::spawn(socket.listen(id, made.pid, self.events.clone()));
            self.listening.insert(id, task.abort_handle());
        }
        Ok(made.pid)
    }

    fn changed(&mut self, id: ServiceId) {
        let unit = self.supervisor.unit(id);
        let (name, state) = (unit.spec().name.as_str(), unit.state());
        if unit.pid().is_none()
            && state != State::Starting
            && let Some(task) = self.listening.remove(&id)
        {
            task.abort();
        }
        if matches!(state, State::Running | State::Done | State::Failed | State::Stopped) {
            self.console.say(&format!("service {name} is {}", state.word()));
        }
        if let Some(bus) = &self.bus {
            bus.service_changed(name, state.word());
        }
    }

    /// Files a line about a service in its log, and shows it.
    fn log(&self, id: ServiceId, level: Level, text: &str) {
        let name = &self.supervisor.unit(id).spec().name;
        if self.console.shows(level) {
            self.console.say(&format!("service {name} {text}"));
        }
        self.logs.push(name, Line { at: now(), level, text: format!("(init) {text}") });
    }

    fn say_phase(&self, phase: Phase) {
        self.console.say(match phase {
            Phase::Inhibited => "going down; those who asked for it are told first",
            Phase::Stopping => "services are being stopped",
            Phase::Ending => "all services have ended; what is left is asked to end",
            Phase::Killing => "what is left is killed",
            Phase::Over => "nothing is left",
        });
    }

    /// Brings the console's status up to date.
    pub(super) fn show(&mut self) {
        let units = self.supervisor.units();
        self.status.activity = match self.supervisor.shutdown() {
            Some(shutdown) => Activity::GoingDown(shutdown.ending()),
            None if self.up => Activity::Running,
            None => {
                let ready = units.iter().filter(|unit| matches!(unit.state(), State::Running | State::Done)).count();
                Activity::Starting { ready, of: units.iter().filter(|unit| !unit.is_unasked()).count() }
            }
        };
        let unwell = self.supervisor.unwell();
        self.status.unwell = unwell.map(|unit| (unit.spec().name.clone(), unit.state().word(), unit.detail().to_owned())).collect();
        self.console.status(self.status.lines());
    }
}
