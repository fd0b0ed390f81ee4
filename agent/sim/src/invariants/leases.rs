//! A key with a lease is there until the lease can be over, counted from the last renewal that was answered, and is gone some time after the last
//! one that was asked for.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use shoal_cluster::Replica;
use shoal_kv::{Command, LeaseGrantRequest, Outcome, PutRequest, RangeRequest};
use tokio::time::Instant;

use crate::world::World;

/// Seconds granted.
const TTL: i64 = 3;

/// Grants leases, renews them for a while and looks at their keys, until the world heals. Gives the keys that must be gone in the end.
pub(crate) async fn run(world: Rc<World>) -> Vec<Bytes> {
    let mut keys = Vec::new();
    for number in 1.. {
        if world.healed.get() {
            break;
        }
        tokio::time::sleep(world.between(10, 300)).await;
        let key = Bytes::from(format!("leased-{number}"));
        if hold(&world, number, &key).await.is_some() {
            keys.push(key);
        }
    }
    keys
}

async fn hold(world: &World, id: i64, key: &Bytes) -> Option<()> {
    let through = |world: &World| {
        let running = world.running();
        (!running.is_empty()).then(|| world.node(running[world.below(running.len())])).flatten()
    };
    let mut begun = Instant::now();
    let grant = Command::LeaseGrant(LeaseGrantRequest { id, ttl: TTL });
    let Ok(Outcome::LeaseGrant(Ok(granted))) = through(world)?.0.propose(grant).await else { return None };
    let ttl = Duration::from_secs(granted.ttl.unsigned_abs());
    let put = PutRequest { key: key.clone(), value: "leased".into(), lease: id, ..PutRequest::default() };
    let Ok(Outcome::Put(Ok(_))) = through(world)?.0.propose(Command::Put(put)).await else { return None };
    for _ in 0..world.below(8) {
        tokio::time::sleep(world.between(300, 1400)).await;
        let Some((node, _)) = through(world) else { break };
        let asked = Instant::now();
        if node.lease_renew(id).await.is_ok() {
            begun = asked;
        }
        let Some((node, _)) = through(world) else { break };
        if node.read_barrier().await.is_err() {
            continue;
        }
        let range = RangeRequest { key: key.clone(), count_only: true, ..RangeRequest::default() };
        let is_there = node.store().range(&range).is_ok_and(|response| response.count == 1);
        if !is_there && Instant::now() < begun + ttl {
            world.violate(format!("lease {id} is over {:?} after it was renewed for {ttl:?}", begun.elapsed()));
        }
    }
    Some(())
}

/// The longest that a lease may take to end once the cluster is well: its time, again after an election, and some for the revocation.
pub(crate) const GONE_AFTER: Duration = Duration::from_secs(30);

/// Leases that were not renewed any more are over.
///
/// # Errors
/// One that is not.
pub(crate) fn check_gone(node: &impl Replica, keys: &[Bytes]) -> Result<(), String> {
    for key in keys {
        let range = RangeRequest { key: key.clone(), count_only: true, ..RangeRequest::default() };
        if node.store().range(&range).is_ok_and(|response| response.count > 0) {
            return Err(format!("{key:?} is still there {GONE_AFTER:?} after its lease was renewed last"));
        }
    }
    Ok(())
}
