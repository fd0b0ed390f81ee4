//! The event loop of PID 1 once the box has booted.
//!
//! One loop takes one [`Event`] at a time, gives it to [`Supervisor`] (which decides), and does what comes out, in order. It never
//! waits for a child, a client, a medium or a terminal. Tasks beside it do the reading and writing, and reach it only through
//! bounded channels:
//!
//! | task | for each | gives |
//! |---|---|---|
//! | `output::read` | process of a service | lines to its log and the console |
//! | `notify::Socket::listen` | process that says READY=1 itself | [`Event::Ready`] |
//! | `power`'s, from the boot on | signal, box, and input device | [`Event::Asked`] |
//! | `answer::watch_holder` | inhibitor lock | [`Event::Released`] |
//! | the bus's | client | [`Event::Request`] |
//! | the console's | terminal | nothing |
//!
//! The loop also keeps the hardware watchdog quiet, so a loop that hangs ends in a reset.

mod act;
mod answer;
mod groups;
pub(crate) mod launch;
mod notify;
mod output;
mod processes;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use shoal_init_core::inhibit::LockId;
use shoal_init_core::now::Now;
use shoal_init_core::order::ServiceId;
use shoal_init_core::screen::{self, Activity, Status};
use shoal_init_core::shutdown::{Cause, Ending};
use shoal_init_core::supervisor::{Input, Supervisor};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};

use self::groups::Groups;
use self::output::Logs;
use self::processes::{Processes, Reaped};
use crate::bus::{self, Bus, Request};
use crate::console::Console;
use crate::fault::Fault;
use crate::handoff::{Handoff, StateMedium};
use crate::network::NetworkEvent;
use crate::watchdog::Watchdog;

/// Events and requests that wait for the loop. Their senders wait when it is hit.
const EVENTS_WAITING: usize = 64;

/// Time for the last words to reach the terminals before the box goes down.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Troubles shown at once; older ones give way.
const TROUBLES_SHOWN: usize = 8;

/// PID 1's own binary: the kernel keeps it, wherever the root file system has gone.
const OWN_BINARY: &str = "/proc/self/exe";

/// Everything that can happen to the loop.
#[derive(Debug)]
pub(crate) enum Event {
    /// A child has ended (SIGCHLD); which, waitpid(2) will say.
    Child,
    /// Somebody ends the box from outside.
    Asked(Cause),
    /// A process said READY=1.
    Ready {
        /// Whose process it is.
        id: ServiceId,
        /// Which process.
        pid: u32,
    },
    /// A lock's holder has closed it, or is gone.
    Released(LockId),
    /// A client of the bus wants something.
    Request(Request),
    /// The network has news; none: its task has ended.
    Network(Option<NetworkEvent>),
    /// The supervisor's deadline has come.
    Deadline,
    /// The watchdog wants to hear from us.
    KeepAlive,
}

/// Where things lie; tests have their own.
struct Places {
    bus: PathBuf,
    notify: PathBuf,
    slice: Option<PathBuf>,
    launcher: Option<PathBuf>,
}

/// The state of the loop.
struct Loop {
    supervisor: Supervisor,
    processes: Processes,
    logs: Logs,
    console: Console,
    bus: Option<Bus>,
    status: Status,
    events: mpsc::Sender<Event>,
    notify: PathBuf,
    /// Tasks that listen to the notify sockets of running processes.
    listening: BTreeMap<ServiceId, AbortHandle>,
    inputs: VecDeque<Input>,
    up: bool,
    fault: Option<Fault>,
    last: Option<Ending>,
}

/// Time since the boot.
pub(crate) fn now() -> Now {
    Now::at(crate::say::uptime())
}

/// Runs the services of a booted box until it goes down; every service has ended when it returns.
///
/// Must run on a current-thread tokio runtime, whose other tasks share its thread.
pub(crate) async fn run(handoff: Handoff) -> Ending {
    let places = Places {
        bus: bus::SOCKET.into(),
        notify: notify::DIRECTORY.into(),
        slice: Some(groups::SLICE.into()),
        launcher: Some(OWN_BINARY.into()),
    };
    let console = Console::open(&handoff.boot.console.devices, handoff.boot.console.level);
    run_at(handoff, places, console).await
}

async fn run_at(handoff: Handoff, places: Places, console: Console) -> Ending {
    let (events, inbox) = mpsc::channel(EVENTS_WAITING);
    let (requests, requested) = mpsc::channel(EVENTS_WAITING);
    let Handoff { boot, services, state, watchdog, causes, network, notes, fault } = handoff;
    let mut troubles = notes;

    let image = format!("{} ({})", boot.image.name, boot.image.arch);
    let (state_medium, state_words) = match state {
        StateMedium::Persistent { device } => ("persistent".to_owned(), format!("on {device}")),
        StateMedium::Ram { reason } => (format!("ram: {reason}"), format!("in RAM, lost with the power: {reason}")),
    };
    let going_down = Arc::new(AtomicBool::new(false));
    let facts = bus::Facts { image, version: boot.image.version.clone(), build_time: boot.image.epoch, state_medium, going_down };
    let bus = Bus::listen(&places.bus, facts, requests).map_err(|error| troubles.push(format!("no bus, so no agent: {error}"))).ok();
    let groups = places.slice.as_deref().and_then(|slice| {
        let groups = Groups::new(slice);
        groups.map_err(|error| troubles.push(format!("services run without limits: {error}"))).ok()
    });
    let status = Status {
        image: format!("{} {} ({})", boot.image.name, boot.image.version, boot.image.arch),
        activity: Activity::Starting { ready: 0, of: services.services.len() },
        state: state_words,
        network: screen::Network::default(),
        unwell: Vec::new(),
        troubles: Vec::new(),
        health: None,
    };
    let mut state = Loop {
        supervisor: Supervisor::new(services, now()),
        processes: Processes::new(groups, places.launcher),
        logs: Logs::default(),
        console,
        bus,
        status,
        events,
        notify: places.notify,
        listening: BTreeMap::new(),
        inputs: VecDeque::new(),
        up: false,
        fault,
        last: None,
    };
    troubles.into_iter().for_each(|trouble| state.trouble(trouble));
    let mut sources = match Sources::new(inbox, requested, causes, network, watchdog.as_ref()) {
        Ok(sources) => sources,
        // Without signals no child could be reaped. A reboot may help, and boot counting sees it.
        Err(error) => panic!("cannot listen to signals: {error}"),
    };
    state.turn(watchdog, &mut sources).await
}

impl Loop {
    async fn turn(mut self, mut watchdog: Option<Watchdog>, sources: &mut Sources) -> Ending {
        self.feed(Input::Timer);
        loop {
            self.show();
            if let Some(last) = self.last {
                self.console.say("everything has ended");
                self.console.flush(LAST_WORDS).await;
                return last;
            }
            let deadline = self.supervisor.deadline().map(|deadline| Instant::now() + deadline.since(now()));
            match sources.next(deadline).await {
                Event::Child => self.reap(),
                Event::Asked(cause) => {
                    self.console.say(cause.words());
                    self.feed(Input::Shutdown(cause.ending()));
                }
                Event::Ready { id, pid } if self.supervisor.unit(id).pid() == Some(pid) => self.feed(Input::Ready { id }),
                Event::Ready { .. } => {}
                Event::Released(lock) => self.feed(Input::Released(lock)),
                Event::Request(request) => self.answer(request),
                Event::Network(event) => self.network(event),
                Event::Deadline => self.feed(Input::Timer),
                Event::KeepAlive => {
                    if let Some(watchdog) = &mut watchdog {
                        watchdog.keep_alive();
                    }
                }
            }
        }
    }

    /// Gives one input to the supervisor, does what it wants, and gives it what came of that, until all is done.
    fn feed(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            for effect in self.supervisor.handle(now(), input) {
                self.act(effect);
            }
        }
        if !self.up && self.supervisor.all_ready() {
            self.up = true;
            self.console.say("all services are ready");
            self.act_out_fault();
        }
    }

    /// Reaps children one by one: each is dealt with before the next is taken, so that no signal goes to a reaped process.
    fn reap(&mut self) {
        loop {
            match self.processes.reap() {
                Reaped::One { pid, exit } => self.feed(Input::Exited { pid, exit }),
                Reaped::NoneEnded => return,
                Reaped::NoChildren => return self.feed(Input::NoChildren),
            }
        }
    }

    fn network(&mut self, event: Option<NetworkEvent>) {
        match event {
            Some(NetworkEvent::Found { link }) => self.status.network.found(link),
            Some(NetworkEvent::Listed) => self.status.network.listed(),
            Some(NetworkEvent::Carrier { link, carrier }) => self.status.network.carrier(link, carrier),
            Some(NetworkEvent::Gone { link }) => self.status.network.gone(&link),
            Some(NetworkEvent::Address { link, address, gateway }) => {
                let words = match gateway {
                    Some(gateway) => format!("{address} by {gateway}"),
                    None => address.to_string(),
                };
                self.status.network.address(link, words);
            }
            Some(NetworkEvent::Trouble(trouble)) => self.trouble(trouble),
            None => {
                self.status.network.listed();
                self.trouble("nobody looks after the network any more; a reboot will help".to_owned());
            }
        }
    }

    fn trouble(&mut self, trouble: String) {
        if !self.status.troubles.contains(&trouble) {
            self.status.troubles.push(trouble);
            let surplus = self.status.troubles.len().saturating_sub(TROUBLES_SHOWN);
            self.status.troubles.drain(..surplus);
        }
    }

    /// Acts out what a test asked for, now that services run.
    fn act_out_fault(&self) {
        match self.fault {
            Some(Fault::HangInit) => {
                // The terminals' tasks share this thread and would not come to it.
                crate::say::line("hanging, as shoal.fault= asks");
                loop {
                    std::thread::park();
                }
            }
            Some(Fault::PanicInit) => panic!("panicking, as shoal.fault= asks"),
            _ => {}
        }
    }
}

/// All that the loop waits for.
struct Sources {
    child: Signal,
    inbox: mpsc::Receiver<Event>,
    requested: mpsc::Receiver<Request>,
    causes: mpsc::Receiver<Cause>,
    network: Option<mpsc::Receiver<NetworkEvent>>,
    keep_alive: Option<tokio::time::Interval>,
}

impl Sources {
    fn new(
        inbox: mpsc::Receiver<Event>,
        requested: mpsc::Receiver<Request>,
        causes: mpsc::Receiver<Cause>,
        network: mpsc::Receiver<NetworkEvent>,
        watchdog: Option<&Watchdog>,
    ) -> std::io::Result<Self> {
        let keep_alive = watchdog.map(|watchdog| {
            let mut interval = tokio::time::interval(watchdog.interval());
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Ok(Self { child: signal(SignalKind::child())?, inbox, requested, causes, network: Some(network), keep_alive })
    }

    /// Waits for whatever comes first.
    async fn next(&mut self, deadline: Option<Instant>) -> Event {
        tokio::select! {
            _ = self.child.recv() => Event::Child,
            Some(cause) = self.causes.recv() => Event::Asked(cause),
            Some(event) = self.inbox.recv() => event,
            Some(request) = self.requested.recv() => Event::Request(request),
            event = received(&mut self.network) => {
                if event.is_none() {
                    self.network = None;
                }
                Event::Network(event)
            }
            () = until(deadline) => Event::Deadline,
            () = tick(&mut self.keep_alive) => Event::KeepAlive,
        }
    }
}

async fn received<T>(receiver: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

/// Comes at `deadline`; never, without one.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn tick(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
