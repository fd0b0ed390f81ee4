//! What must hold when all faults are over.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use shoal_etcd::wire::etcdserverpb::{
    HashKvRequest, HashKvResponse, LeaseLeasesRequest, RangeRequest, kv_client::KvClient, lease_client::LeaseClient,
    maintenance_client::MaintenanceClient,
};

use crate::{
    check::{Log, check as check_history},
    clients::{perform, versions},
    harness::DEADLINE,
    history::{Asked, Scope, State, Told},
    members::{Members, SIZE},
    watchers::read_between,
    world::World,
};

/// How often it is looked again at what takes time.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The number under which the test itself asks.
const OURSELVES: usize = usize::MAX;

/// Writes that must succeed for the cluster to be well again.
const PROGRESS: usize = 10;

/// What was checked, for people.
pub(crate) struct Checked {
    pub(crate) answered: usize,
    pub(crate) unacknowledged: usize,
    pub(crate) revision: i64,
}

/// Looks until there is something, but not for ever, nor if something is wrong already.
async fn until<T>(world: &World, members: &mut Members, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        members.assert_none_has_ended();
        world.assert_no_violation();
        assert!(start.elapsed() < DEADLINE, "no {what} within {DEADLINE:?}");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

impl World {
    /// A linearizable read through a member; its revision and what is there.
    async fn read(&self, member: usize) -> Option<(i64, State)> {
        match perform(self, OURSELVES, member, &self.channel(member), Asked::Read(Scope::Registers), 0).await? {
            Told::Read { revision, found } => Some((revision, found)),
            _ => None,
        }
    }

    /// Waits until every member answers, and writes are acknowledged.
    pub(crate) async fn until_healed(self: &Arc<Self>, members: &mut Members) {
        for member in 0..SIZE {
            until(self, members, &format!("answer of n{member}"), async || self.read(member).await).await;
        }
        let enough = self.history.recorded().acknowledged + PROGRESS;
        until(self, members, "progress", async || (self.history.recorded().acknowledged >= enough).then_some(())).await;
    }

    async fn leases(&self, member: usize) -> Option<usize> {
        let leases = LeaseClient::new(self.channel(member)).lease_leases(LeaseLeasesRequest {}).await.ok()?;
        Some(leases.into_inner().leases.len())
    }

    /// Everything a member has at a revision.
    async fn everything(&self, member: usize, revision: i64) -> Option<Result<State, String>> {
        let all = RangeRequest { key: "\0".into(), range_end: "\0".into(), revision, ..RangeRequest::default() };
        let response = KvClient::new(self.channel(member)).range(all).await.ok()?.into_inner();
        Some(versions(response.kvs))
    }

    async fn hash(&self, member: usize, revision: i64) -> Option<HashKvResponse> {
        let hash = MaintenanceClient::new(self.channel(member)).hash_kv(HashKvRequest { revision }).await;
        hash.ok().map(tonic::Response::into_inner)
    }

    /// What a watcher was told up to a revision.
    fn log(&self, member: usize, last: i64) -> Log {
        let log = self.logs[member].lock().expect("nobody panics while holding a log");
        log.range(..=last).map(|(&revision, events)| (revision, events.clone())).collect()
    }
}

/// Checks everything. Clients have ended, and all members run; a write that nobody waits for any more may still happen.
pub(crate) async fn check(world: &Arc<World>, members: &mut Members) -> Checked {
    until(world, members, "end of all leases", async || (world.leases(0).await? == 0).then_some(())).await;
    let (revision, _) = until(world, members, "answer", async || world.read(0).await).await;
    for member in 0..SIZE {
        let position = &world.positions[member];
        let told = async || (position.load(Ordering::SeqCst) >= revision).then_some(());
        until(world, members, &format!("watcher at n{member} that has heard of revision {revision}"), told).await;
    }
    let log = world.log(0, revision);
    let checked = check_history(&world.history.recorded(), &log).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(!checked.state.keys().any(|&key| !Scope::Registers.has(key)), "a key is there whose lease is over: {:?}", checked.state);

    for member in 0..SIZE {
        assert_same(&format!("the watchers at n0 and n{member} were told"), &log, &world.log(member, revision));
        let all = until(world, members, &format!("answer of n{member}"), async || world.everything(member, revision).await).await;
        assert_eq!(all.as_ref(), Ok(&checked.state), "what n{member} has at revision {revision}");
    }
    // What was compacted is not hashed, and each member forgets it in its own time.
    let hashes = async || {
        let mut hashes = Vec::new();
        for member in 0..SIZE {
            let hash = world.hash(member, revision).await?;
            hashes.push((hash.compact_revision, hash.hash));
        }
        hashes.iter().all(|hash| *hash == hashes[0]).then_some(hashes)
    };
    let (compacted, _) = until(world, members, "hash that all members have", hashes).await[0];
    for member in 0..SIZE {
        let channel = world.patient_channel(member);
        let history = read_between(&channel, compacted + 1, revision);
        let history = tokio::time::timeout(DEADLINE, history).await.expect("history is there already").expect("it can be told");
        assert_same(
            &format!("n{member} now tells, and told,"),
            &history,
            &log.range(compacted + 1..).map(|(k, v)| (*k, v.clone())).collect(),
        );
    }
    world.assert_no_violation();
    Checked { answered: checked.answered, unacknowledged: checked.unacknowledged, revision }
}

/// Of two logs, the first revision that differs is enough to read.
#[track_caller]
fn assert_same(who: &str, one: &Log, other: &Log) {
    if one != other {
        let differs = one.keys().chain(other.keys()).filter(|revision| one.get(revision) != other.get(revision)).min();
        let revision = differs.expect("they differ somewhere");
        panic!("{who} different things of revision {revision}: {:?} and {:?}", one.get(revision), other.get(revision));
    }
}
