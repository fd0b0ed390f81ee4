//! Words to tell worlds in.

use shoal_formation::{ClusterId, NodeId, Settings, Standing, message::Membership};
use shoal_formation_sim::{World, invariants::liveness, raft::Time};

pub(crate) use shoal_formation_sim::world::{MINUTE, SECOND};

/// Seeds that each claim is tried with.
pub(crate) const SEEDS: u64 = 12;

/// Runs a claim for each seed, and says which one failed.
pub(crate) fn each_seed(claim: impl Fn(&mut World)) {
    for seed in 1..=SEEDS {
        let mut world = World::new(seed, true);
        claim(&mut world);
        holds(&world);
    }
}

/// Nothing is violated; otherwise says all that happened.
#[track_caller]
pub(crate) fn holds(world: &World) {
    if let Some(violation) = &world.checks.violation {
        fail(world, violation);
    }
}

/// Says all that happened.
#[track_caller]
pub(crate) fn fail(world: &World, what: &str) -> ! {
    let lines = world.trace.lines();
    let from = lines.len().saturating_sub(200);
    panic!("{}\n{what}{}", lines[from..].join("\n"), liveness::describe(world));
}

/// Something must be so now.
#[track_caller]
pub(crate) fn is(world: &World, so: bool, what: &str) {
    holds(world);
    if !so {
        fail(world, &format!("{} s: not so: {what}", world.now / SECOND));
    }
}

/// Something must become so within some time.
#[track_caller]
pub(crate) fn within(world: &mut World, time: Time, what: &str, so: impl FnMut(&World) -> bool) {
    let end = world.now + time;
    let became = world.run_until_so(end, so);
    is(world, became, what);
}

/// So many boxes that are alike, off.
pub(crate) fn fleet(world: &mut World, boxes: usize) {
    fleet_of(world, boxes, &Settings::default());
}

/// So many boxes that are like this, off.
pub(crate) fn fleet_of(world: &mut World, boxes: usize, settings: &Settings) {
    for _ in 0..boxes {
        world.add_box(settings.clone());
    }
}

/// All boxes are switched on at once.
pub(crate) fn all_on(world: &mut World) {
    (0..world.boxes.len()).for_each(|index| world.power_on(index));
}

/// A fleet that has become one cluster, people not yet in it.
pub(crate) fn formed(world: &mut World, boxes: usize) {
    formed_of(world, boxes, &Settings::default());
}

/// A fleet of such boxes that has become one cluster.
pub(crate) fn formed_of(world: &mut World, boxes: usize, settings: &Settings) {
    fleet_of(world, boxes, settings);
    all_on(world);
    within(world, 2 * MINUTE, "all are one cluster", liveness::is_one);
}

/// People use the cluster of this box, and it is sealed.
pub(crate) fn used(world: &mut World, index: usize) {
    world.use_cluster(index);
    within(world, 3 * MINUTE, "the cluster is sealed", |world| member(world, index).is_some_and(|member| member.sealed));
}

/// What a box says it is, if it is a member.
pub(crate) fn member(world: &World, index: usize) -> Option<Membership> {
    match world.standing(index) {
        Some(Standing::Member(member)) => Some(member),
        _ => None,
    }
}

/// The cluster that a box is in.
pub(crate) fn cluster(world: &World, index: usize) -> Option<ClusterId> {
    member(world, index).map(|member| member.cluster)
}

/// The box that leads a cluster.
pub(crate) fn leader(world: &World) -> Option<usize> {
    world.boxes.iter().position(|computer| {
        computer.process.as_ref().and_then(|process| process.raft.as_ref()).is_some_and(shoal_formation_sim::raft::Raft::leads)
    })
}

/// The voters of a cluster at rest.
pub(crate) fn voters(world: &World, cluster: ClusterId) -> Vec<NodeId> {
    world.checks.truths[&cluster].configuration.voters.iter().copied().collect()
}

/// Whether the member in this box votes, in a configuration that is at rest.
pub(crate) fn votes(world: &World, index: usize) -> bool {
    world.member_of(index).is_some_and(|(cluster, node)| {
        let configuration = &world.checks.truths[&cluster].configuration;
        configuration.is_uniform() && configuration.voters.contains(&node)
    })
}

/// Boxes that vote, or do not, and do not lead.
pub(crate) fn followers(world: &World, voting: bool) -> Vec<usize> {
    let leads = leader(world);
    (0..world.boxes.len()).filter(|index| Some(*index) != leads && votes(world, *index) == voting).collect()
}

/// The bits of these boxes.
pub(crate) fn set(boxes: &[usize]) -> u64 {
    boxes.iter().map(|index| 1 << index).sum()
}

/// Clusters that were founded.
pub(crate) fn founded(world: &World) -> u64 {
    world.checks.counts.founded
}
