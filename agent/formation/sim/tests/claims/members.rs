//! M: who is out stays out, and comes back as somebody else.

use shoal_formation::{Alarm, State, control::Cause};
use shoal_formation_sim::{World, invariants::liveness};

use crate::boxes::*;

/// Takes a member that is off out, of a cluster of four that is in use. Returns its box.
fn removed(world: &mut World, cause: Cause) -> usize {
    formed(world, 4);
    used(world, 0);
    let out = followers(world, false)[0];
    let leads = leader(world).expect("a leader");
    world.crash(out);
    world.remove_because(out, leads, cause);
    world.run_for(10 * SECOND);
    out
}

fn state(world: &World, index: usize) -> Option<State> {
    world.boxes[index].process.as_ref().map(|process| process.core.state())
}

#[test]
fn m5_a_removed_node_returns_after_a_year_as_somebody_else() {
    each_seed(|world| {
        let out = removed(world, Cause::Operator);
        let (kept, before) = (cluster(world, leader(world).expect("a leader")), world.member_of(out));
        (0..4).for_each(|index| world.crash(index));
        world.run_for(365 * 24 * 60 * MINUTE);
        (0..4).filter(|index| *index != out).for_each(|index| world.power_on(index));
        within(world, MINUTE, "the others serve", |world| leader(world).is_some());
        let leads = leader(world);
        world.power_on(out);
        within(world, MINUTE, "it is settled", |world| {
            member(world, out).is_some_and(|member| member.live && Some(member.cluster) == kept)
        });
        is(world, world.member_of(out) != before, "with another number");
        is(world, leader(world) == leads, "and the leader was not disturbed");
    });
}

#[test]
fn m6_a_removed_node_that_is_alone_does_not_found() {
    each_seed(|world| {
        let out = removed(world, Cause::Operator);
        world.power_on(out);
        // It learns that it is out, and then everybody else is gone.
        let was = world.member_of(out);
        for _ in 0..500 * 60 {
            if world.member_of(out) != was {
                break;
            }
            world.run_for(SECOND / 500);
        }
        is(world, world.member_of(out).is_none(), "it was told that it is out");
        (0..4).filter(|index| *index != out).for_each(|index| world.crash(index));
        world.run_for(60 * MINUTE);
        is(world, founded(world) == 1, "it has not founded");
        is(world, state(world, out) == Some(State::ExMember), "and says what it is");
        world.heal();
        within(world, 3 * MINUTE, "it joins when there is somebody to join", liveness::is_one);
    });
}

#[test]
fn m7_revoked_hardware_is_refused() {
    each_seed(|world| {
        let out = removed(world, Cause::Revoked);
        world.power_on(out);
        world.run_for(10 * MINUTE);
        is(world, cluster(world, out).is_none(), "it is not in");
        is(world, world.checks.alarms.iter().any(|(_, index, alarm)| (*index, *alarm) == (out, Alarm::Revoked)), "and says why");
    });
}

#[test]
fn a_voter_that_is_removed_hands_over_first_even_if_it_leads() {
    each_seed(|world| {
        formed(world, 4);
        used(world, 0);
        let (out, kept) = (leader(world).expect("a leader"), cluster(world, 0));
        let through = followers(world, true)[0];
        world.remove(out, through);
        within(world, 2 * MINUTE, "it is somebody new", |world| world.checks.counts.removed == 1 && cluster(world, out) == kept);
        within(world, 2 * MINUTE, "one cluster", liveness::is_one);
        is(world, cluster(world, through) == kept, "the same");
    });
}

#[test]
fn the_only_voter_that_is_removed_hands_over_first() {
    each_seed(|world| {
        formed(world, 2);
        used(world, 0);
        let out = leader(world).expect("a leader");
        world.remove(out, 1 - out);
        within(world, 3 * MINUTE, "it is somebody new", |world| world.checks.counts.removed == 1 && liveness::is_one(world));
        is(world, votes(world, 1 - out), "the other votes now");
    });
}

#[test]
fn a_retired_cluster_joins_the_other() {
    each_seed(|world| {
        fleet(world, 4);
        world.split(0b0011);
        all_on(world);
        world.run_until(MINUTE);
        used(world, 0);
        used(world, 3);
        world.split(0);
        let (retired, kept) = (cluster(world, 0).expect("one"), cluster(world, 3).expect("another"));
        world.run_for(MINUTE);
        world.retire(retired, kept);
        within(world, 4 * MINUTE, "one cluster", |world| (0..4).all(|index| cluster(world, index) == Some(kept)));
    });
}
