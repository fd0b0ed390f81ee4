//! One simulation from its seed to its verdict.

use std::{fmt, rc::Rc, time::Duration};

use shoal_cluster::Replica;
use shoal_kv::{AlarmAction, AlarmRequest, Command};

use crate::{
    KnownBug, clients, faults,
    invariants::{agreement, events, leaders, leases, linearizability, liveness},
    medium, rot,
    world::{World, spawn},
};

/// Clients that read and write registers.
const CLIENTS: u64 = 4;

/// How often it is tried to disarm alarms, each half a second after the other.
const DISARM_ATTEMPTS: usize = 60;

/// What to simulate.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides everything else.
    pub seed: u64,
    /// Members that the cluster begins with.
    pub nodes: usize,
    /// How long things go wrong, in simulated time.
    pub duration: Duration,
    /// A bug to put back.
    pub bug: Option<KnownBug>,
}

impl Plan {
    /// As tests run it.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, nodes: if seed.is_multiple_of(3) { 5 } else { 3 }, duration: Duration::from_secs(20), bug: None }
    }
}

/// What happened in one that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Operations of clients that were answered.
    pub answered: usize,
    /// Operations of clients.
    pub asked: usize,
    /// Everything that happened, in order.
    pub trace: Vec<String>,
}

/// Something did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What.
    pub what: String,
    /// Everything that happened, in order.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(formatter, "{line}")?;
        }
        write!(formatter, "{}", self.what)
    }
}

/// Runs one simulation.
///
/// # Errors
/// The first invariant that did not hold.
///
/// # Panics
/// The simulator itself is wrong, or there are no descriptors left for a runtime.
pub fn run(plan: Plan) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime can be made");
    shoal_cluster::seed_elections(plan.seed);
    let local = tokio::task::LocalSet::new();
    let verdict = local.block_on(&runtime, async {
        medium::simulate(plan.seed);
        let world = Rc::new(World::new(plan.seed, plan.nodes, plan.bug));
        let held = simulate(&world, plan.duration).await;
        let held = world.violation().map_or(held, Err);
        for number in world.running() {
            world.crash(number, false).await;
        }
        let trace = world.trace();
        let calls = world.history.calls();
        let answered = calls.iter().filter(|call| call.answered.is_some()).count();
        match held {
            Ok(()) => Ok(Report { answered, asked: calls.len(), trace }),
            Err(what) => Err(Failure { what, trace }),
        }
    });
    drop(local);
    drop(runtime);
    medium::restore();
    verdict
}

/// What an operator does after a disk was full: the alarm stays until somebody takes it back.
async fn disarm(world: &World) -> Result<(), String> {
    let mut failure = String::new();
    for _ in 0..DISARM_ATTEMPTS {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let Some((node, _)) = world.running().first().and_then(|&number| world.node(number)) else { continue };
        if let Err(error) = node.read_barrier().await {
            failure = error.to_string();
            continue;
        }
        let alarms: Vec<_> = node.store().alarms().collect();
        if alarms.is_empty() {
            return Ok(());
        }
        for alarm in alarms {
            let disarm = AlarmRequest { action: AlarmAction::Deactivate, member: alarm.member, alarm: alarm.alarm };
            let _ = node.propose(Command::Alarm(disarm)).await;
        }
    }
    Err(format!("alarms are not disarmed: {failure}"))
}

async fn simulate(world: &Rc<World>, duration: Duration) -> Result<(), String> {
    for number in 0..world.founders {
        world.start(number).await;
    }
    let all_events = Rc::new(events::Events::default());
    for number in 0..world.founders {
        spawn(world, events::watch(world.clone(), all_events.clone(), number));
    }
    spawn(world, leaders::watch(world.clone()));
    spawn(world, faults::restarts(world.clone()));
    spawn(world, rot::replace(world.clone()));
    let faults = spawn(world, faults::run(world.clone()));
    let leased = spawn(world, leases::run(world.clone()));
    let clients: Vec<_> = (1..=CLIENTS).map(|client| spawn(world, clients::run(world.clone(), client))).collect();

    let end = tokio::time::Instant::now() + duration;
    while tokio::time::Instant::now() < end && world.violation().is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.note("everything heals");
    world.healed.set(true);
    if world.violation().is_some() {
        return Ok(());
    }
    let _ = faults.await;
    world.network.heal();
    for slot in world.slots.borrow_mut().iter_mut() {
        slot.disk.set_fault(None);
        slot.disk.set_capacity(None);
        // One that is not a member yet does not come before it is.
        slot.held = slot.identity.member == 0;
    }
    let leased = leased.await.map_err(|error| error.to_string())?;
    disarm(world).await?;
    liveness::demand(world).await?;
    let well_since = tokio::time::Instant::now();
    tokio::time::sleep_until(well_since + leases::GONE_AFTER).await;
    world.over.set(true);
    for client in clients {
        let _ = client.await;
    }
    agreement::check(world).await?;
    for number in world.running() {
        let Some((node, _)) = world.node(number) else { continue };
        leases::check_gone(&*node, &leased)?;
    }
    events::check(world, &all_events)?;
    linearizability::check(&world.history.calls())
}
