//! Three real processes under load, while they are killed, stopped and started again: whatever happens to them,
//!
//! - no acknowledged write is lost, and none happens that was refused or nobody has asked for;
//! - no linearizable read is stale, whoever is asked;
//! - no lease is over before its time, and every one is in the end;
//! - watchers hear of everything, once and in order, at each member the same;
//! - in the end all members have the same, and go on.
//!
//! `SHOAL_KILLS=300` kills more often, `SHOAL_SEED=7` replays a schedule (what it meets differs: the processes are real). A run that fails says its
//! seed, and where it has left the data directories, the logs and what clients were told.

#[path = "../harness/mod.rs"]
mod harness;

mod check;
mod clients;
mod end;
mod history;
mod leases;
mod members;
mod schedule;
mod watchers;
mod world;

use std::{fmt::Write, sync::Arc};

use fastrand::Rng;
use tempfile::TempDir;
use tokio::task::JoinSet;

use members::{Members, SIZE};
use world::World;

/// Enough for some faults of each kind, in a minute or two.
const DEFAULT_KILLS: usize = 20;

/// Clients of registers.
const CLIENTS: usize = 8;

/// Holders of leases, one of which never lets go.
const HOLDERS: usize = 3;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_stale_is_read_whoever_is_killed() {
    let seed = number("SHOAL_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    let kills = number("SHOAL_KILLS").map_or(DEFAULT_KILLS, |kills| usize::try_from(kills).expect("it fits"));
    println!("SHOAL_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut evidence = Evidence { folder: harness::folder(), seed, world: None };
    let mut members = Members::start(evidence.folder.path());
    let world = Arc::new(World::new(members.client_urls()));
    evidence.world = Some(world.clone());

    let mut watchers = JoinSet::new();
    (0..SIZE).for_each(|member| drop(watchers.spawn(watchers::follow(world.clone(), member))));
    let mut tasks = JoinSet::new();
    (0..CLIENTS).for_each(|client| drop(tasks.spawn(clients::run(world.clone(), client, rng.fork()))));
    (0..HOLDERS).for_each(|holder| drop(tasks.spawn(leases::run(world.clone(), CLIENTS + holder, rng.fork(), holder == 0))));
    tasks.spawn(clients::compact(world.clone(), rng.fork()));

    schedule::run(&world, &mut members, rng, kills).await;
    world.end();
    while let Some(ended) = tasks.join_next().await {
        ended.expect("clients do not panic");
    }
    let checked = end::check(&world, &mut members).await;
    watchers.shutdown().await;
    println!(
        "SHOAL_SEED={seed}: {} kills and {} pauses; {} answers and {} revisions, {} of which nobody was told",
        members.kills, members.pauses, checked.answered, checked.revision, checked.unacknowledged
    );
}

/// What is left of a run that has failed.
struct Evidence {
    folder: TempDir,
    seed: u64,
    world: Option<Arc<World>>,
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.folder.disable_cleanup(true);
        let mut text = String::new();
        if let Some(world) = &self.world {
            let recorded = world.history.recorded();
            recorded.calls.iter().for_each(|call| writeln!(text, "{call:?}").expect("a text takes all"));
            for (member, log) in world.logs.iter().enumerate() {
                let log = log.lock().expect("nobody panics while holding a log");
                log.iter().for_each(|(revision, events)| writeln!(text, "n{member} {revision} {events:?}").expect("a text takes all"));
            }
        }
        let path = self.folder.path();
        let written = std::fs::write(path.join("history"), text);
        eprintln!("SHOAL_SEED={}: the data directories, the logs and the history are in {} ({written:?})", self.seed, path.display());
    }
}
