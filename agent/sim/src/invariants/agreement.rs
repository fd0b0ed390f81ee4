//! Members that have applied the same entries have the same keys, leases and membership.

use std::time::Duration;

use shoal_cluster::Replica;

use crate::world::World;

/// How long members may take to apply what the others have.
const WITHIN: Duration = Duration::from_secs(30);

/// Compares all members once they have applied the same.
///
/// # Errors
/// What differs.
pub(crate) async fn check(world: &World) -> Result<(), String> {
    let end = tokio::time::Instant::now() + WITHIN;
    loop {
        let mut seen = Vec::new();
        for number in world.running() {
            let Some((node, _)) = world.node(number) else { continue };
            let status = node.status();
            let Ok(hash) = node.hash_kv(0).await else { return Err(format!("n{number} has no hash")) };
            let leases: Vec<_> = node.store().leases().collect();
            seen.push((number, status.raft_applied_index, hash, leases, node.members()));
        }
        let Some(first) = seen.first() else { return Err("nobody runs".into()) };
        if seen.iter().all(|one| one.1 == first.1) {
            let differs = seen
                .iter()
                .find(|one| (one.2.hash, one.2.revision, &one.3, &one.4) != (first.2.hash, first.2.revision, &first.3, &first.4));
            return differs.map_or(Ok(()), |other| Err(format!("after the same entries, members differ:\n{first:?}\n{other:?}")));
        }
        if tokio::time::Instant::now() > end {
            let applied: Vec<_> = seen.iter().map(|one| (one.0, one.1)).collect();
            return Err(format!("members do not come to the same entry: {applied:?}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
