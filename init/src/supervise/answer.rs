//! Answering clients of the bus.

use std::os::fd::OwnedFd;

use shoal_init_core::inhibit::{Holder, LockId};
use shoal_init_core::order::ServiceId;
use shoal_init_core::ring::printable;
use shoal_init_core::service::Unit;
use shoal_init_core::supervisor::Input;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::{Event, Loop};
use crate::bus::{Refusal, Request, ServiceRow, Verb};

/// The longest sentence about health that is shown, in characters: a few rows of a screen.
const HEALTH_CHARACTERS: usize = 240;

impl Loop {
    /// Does what a client asks, and answers. A client that has gone meanwhile is not missed.
    pub(super) fn answer(&mut self, request: Request) {
        match request {
            Request::List { reply } => drop(reply.send(self.supervisor.units().iter().map(row).collect())),
            Request::Change { verb, service, reply } => drop(reply.send(self.change(verb, &service))),
            Request::Log { service, lines, reply } => {
                let answer = self.find(&service).map(|_| self.logs.last(&service, lines));
                drop(reply.send(answer));
            }
            Request::Shutdown { ending, caller, reply } => {
                self.console.say(&format!("process {} asks the box to go down", caller.pid));
                // The answer first: the caller may be among those that are stopped.
                let _ = reply.send(());
                self.feed(Input::Shutdown(ending));
            }
            Request::Health { severity, text, reply } => {
                let text = printable(&text.replace('\n', " ")).chars().take(HEALTH_CHARACTERS).collect();
                self.status.health = Some((severity, text));
                let _ = reply.send(());
            }
            Request::Inhibit { holder, reply } => drop(reply.send(self.inhibit(holder))),
            Request::Inhibitors { reply } => drop(reply.send(self.supervisor.inhibitors().holders().cloned().collect())),
        }
    }

    fn find(&self, service: &str) -> Result<ServiceId, Refusal> {
        self.supervisor.find(service).ok_or_else(|| {
            let names: Vec<&str> = self.supervisor.units().iter().map(|unit| unit.spec().name.as_str()).collect();
            Refusal(format!("there is no service `{}`; there are: {}", printable(service), names.join(", ")))
        })
    }

    fn change(&mut self, verb: Verb, service: &str) -> Result<(), Refusal> {
        let id = self.find(service)?;
        if self.supervisor.shutdown().is_some() {
            return Err(Refusal("the box is going down; its services are stopped anyway".to_owned()));
        }
        self.feed(match verb {
            Verb::Start => Input::Start(id),
            Verb::Stop => Input::Stop(id),
            Verb::Restart => Input::Restart(id),
        });
        Ok(())
    }

    /// A lock is a pipe: the client gets one end, and when the last copy of that is closed, by will or by death, ours says so.
    fn inhibit(&mut self, holder: Holder) -> Result<OwnedFd, Refusal> {
        let refuse = |error: std::io::Error| Refusal(format!("there is no file descriptor left for a lock: {error}"));
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)
            .map_err(|error| refuse(error.into()))?;
        let ours = pipe::Receiver::from_owned_fd(ours).map_err(refuse)?;
        let lock = self.supervisor.inhibit(holder).map_err(|error| Refusal(error.to_string()))?;
        tokio::spawn(watch_holder(ours, lock, self.events.clone()));
        Ok(theirs)
    }
}

async fn watch_holder(mut ours: pipe::Receiver, lock: LockId, events: mpsc::Sender<Event>) {
    // What a holder writes means nothing; the end, or an error, means that it let go.
    let mut ignored = [0; 64];
    while matches!(ours.read(&mut ignored).await, Ok(count) if count > 0) {}
    drop(events.send(Event::Released(lock)).await);
}

fn row(unit: &Unit) -> ServiceRow {
    let since = u64::try_from(unit.since().since_boot().as_micros()).unwrap_or(u64::MAX);
    let (name, state) = (unit.spec().name.clone(), unit.state().word().to_owned());
    (name, state, unit.pid().unwrap_or(0), unit.restarts(), since, unit.detail().to_owned())
}
