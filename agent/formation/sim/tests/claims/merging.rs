//! P: partitions are mended, and clusters become one or stay two.

use shoal_formation::{Alarm, State};
use shoal_formation_sim::invariants::liveness;

use crate::boxes::*;

/// Two halves that could not see each other at their first boot, each a cluster.
fn halves(world: &mut shoal_formation_sim::World, first: u64, boxes: usize) {
    fleet(world, boxes);
    world.split(first);
    all_on(world);
    world.run_until(MINUTE);
    is(world, founded(world) == 2, "two were founded");
}

#[test]
fn p1_one_that_was_alone_joins_the_three() {
    each_seed(|world| {
        halves(world, 0b0001, 4);
        world.split(0);
        within(world, 2 * MINUTE, "one cluster of four", liveness::is_one);
        is(world, world.checks.counts.dissolved == 1, "one has dissolved");
    });
}

#[test]
fn p2_of_two_pristine_halves_the_lower_id_stays() {
    each_seed(|world| {
        halves(world, 0b0011, 4);
        let (a, b) = (cluster(world, 0).expect("one"), cluster(world, 3).expect("another"));
        world.split(0);
        within(world, 2 * MINUTE, "one cluster", liveness::is_one);
        is(world, cluster(world, 0) == Some(a.min(b)), "the lower id stays");
    });
}

#[test]
fn p3_a_half_that_is_used_stays() {
    each_seed(|world| {
        halves(world, 0b0011, 4);
        // The one that would dissolve otherwise, among the seeds.
        used(world, 3);
        let kept = cluster(world, 3);
        world.split(0);
        within(world, 2 * MINUTE, "one cluster", liveness::is_one);
        is(world, cluster(world, 0) == kept, "what was used stays");
    });
}

#[test]
fn p4_two_halves_that_are_used_both_stay_with_an_alarm_and_a_blank_joins_neither() {
    each_seed(|world| {
        fleet(world, 5);
        world.split(0b00011);
        (0..4).for_each(|index| world.power_on(index));
        world.run_until(MINUTE);
        used(world, 0);
        used(world, 3);
        let (a, b) = (cluster(world, 0), cluster(world, 3));
        is(world, a != b, "they are two");
        world.split(0);
        let conflict = |alarm: &Alarm| matches!(alarm, Alarm::ClusterConflict(..));
        within(world, 30 * SECOND, "both raise an alarm", |world| {
            let raised = |index| world.checks.alarms.iter().any(|(_, at, alarm)| *at == index && conflict(alarm));
            (0..4).all(raised)
        });
        world.power_on(4);
        world.run_for(5 * MINUTE);
        is(world, (0..2).all(|index| cluster(world, index) == a) && (2..4).all(|index| cluster(world, index) == b), "both stay");
        is(world, (0..4).all(|index| member(world, index).is_some_and(|member| member.live)), "both serve");
        let state = world.boxes[4].process.as_ref().map(|process| process.core.state());
        is(world, state == Some(State::Conflict), "the blank box waits, and says why");
    });
}

#[test]
fn p5_halves_that_meet_in_the_middle_of_a_change_become_one() {
    each_seed(|world| {
        for at in [8, 10, 12, 14, 16, 18] {
            let mut world = shoal_formation_sim::World::new(world.trace.hash() ^ at, true);
            let world = &mut world;
            fleet(world, 6);
            world.split(0b000_111);
            all_on(world);
            world.run_until(at * SECOND);
            world.split(0);
            within(world, 8 * MINUTE, "one cluster", liveness::is_one);
        }
    });
}

#[test]
fn p6_a_seal_and_a_dissolution_that_race_never_both_commit() {
    each_seed(|world| {
        for step in 0..40 {
            let mut world = shoal_formation_sim::World::new(world.trace.hash() ^ step, true);
            let world = &mut world;
            halves(world, 0b0011, 4);
            world.split(0);
            // The leader proposes to dissolve with its first tick after the two have met.
            world.run_for(step * SECOND / 5);
            (0..4).for_each(|index| world.use_cluster(index));
            world.run_for(2 * MINUTE);
            for truth in world.checks.truths.values() {
                is(world, truth.sealed.is_some() != truth.dissolved.is_some(), "exactly one of the two was committed");
            }
        }
    });
}

#[test]
fn p7_a_seal_that_was_not_committed_does_not_hold_its_voter_back() {
    each_seed(|world| {
        formed(world, 3);
        let leads = leader(world).expect("a leader");
        let others: Vec<usize> = (0..3).filter(|index| *index != leads).collect();
        let old = cluster(world, leads);
        // Nothing that the leader sends arrives any more, and it wants to seal.
        others.iter().for_each(|other| world.network.set_cut(world.now, leads, *other, true));
        world.use_cluster(leads);
        world.run_for(2 * SECOND);
        let seal = world.boxes[leads].process.as_ref().and_then(|process| process.raft.as_ref()).and_then(|raft| raft.disk_seal());
        is(world, seal.is_some(), "the seal is in one log");
        world.crash(leads);
        // The others go, one after the other: neither has a quorum while the other is off.
        for (off, on) in [(others[0], others[1]), (others[1], others[0])] {
            world.crash(off);
            world.power_on(on);
            within(world, 7 * MINUTE, "it has left", |world| world.member_of(on).is_none_or(|(cluster, _)| Some(cluster) != old));
        }
        is(world, cluster(world, others[0]) != old && cluster(world, others[1]) != old, "both have left");
        world.heal();
        within(world, 2 * MINUTE, "the one with the seal has followed", liveness::is_one);
        is(world, world.checks.counts.closed == 1, "because it was told that a majority is gone");
    });
}

#[test]
fn p8_three_parts_become_one() {
    each_seed(|world| {
        fleet(world, 5);
        for a in 0..5_usize {
            for b in 0..5_usize {
                world.network.set_cut(0, a, b, a / 2 != b / 2);
            }
        }
        all_on(world);
        world.run_until(MINUTE);
        is(world, founded(world) == 3, "three were founded");
        world.split(0);
        within(world, 3 * MINUTE, "one cluster", liveness::is_one);
        is(world, world.checks.counts.dissolved == 2, "two have dissolved");
    });
}

#[test]
fn p9_a_network_that_flaps_for_ten_minutes_founds_few_and_comes_to_rest() {
    each_seed(|world| {
        fleet(world, 4);
        all_on(world);
        for round in 0..120 {
            world.split(if round % 2 == 0 { 0b0011 } else { 0 });
            world.run_for(5 * SECOND);
        }
        is(world, founded(world) <= 4, "few clusters were founded");
        world.split(0);
        within(world, 7 * MINUTE, "one cluster", liveness::is_one);
        let counts = world.checks.counts;
        is(world, counts.dissolved < counts.founded, "one is left");
    });
}

#[test]
fn p10_a_leader_that_is_heard_and_does_not_hear_steps_down() {
    each_seed(|world| {
        formed(world, 3);
        let leads = leader(world).expect("a leader");
        let first = cluster(world, leads);
        for other in (0..3).filter(|index| *index != leads) {
            world.network.set_cut(world.now, other, leads, true);
        }
        within(world, MINUTE, "another leads", |world| leader(world).is_some_and(|now| now != leads));
        world.heal();
        within(world, 2 * MINUTE, "one cluster", liveness::is_one);
        is(world, cluster(world, leads) == first, "the same as before");
    });
}

#[test]
fn a_cluster_that_is_sealed_serves_beside_a_switch_that_comes_and_goes() {
    each_seed(|world| {
        formed(world, 3);
        used(world, 0);
        let kept = cluster(world, 0);
        for _ in 0..4 {
            (0..3).for_each(|index| world.set_cable(index, false));
            world.run_for(7 * MINUTE);
            (0..3).for_each(|index| world.set_cable(index, true));
            within(world, 2 * MINUTE, "one cluster", liveness::is_one);
        }
        is(world, (0..3).all(|index| cluster(world, index) == kept), "the same as before");
    });
}

#[test]
fn a_pristine_cluster_survives_a_switch_that_is_off_for_an_hour() {
    each_seed(|world| {
        formed(world, 3);
        let first = cluster(world, 0);
        (0..3).for_each(|index| world.set_cable(index, false));
        world.run_for(60 * MINUTE);
        (0..3).for_each(|index| world.set_cable(index, true));
        within(world, 2 * MINUTE, "one cluster", liveness::is_one);
        is(world, cluster(world, 0) == first, "the same as before: without a link no time counts");
    });
}
