//! C: everything was off.

use shoal_formation::{Alarm, State};
use shoal_formation_sim::{World, invariants::liveness};

use crate::boxes::*;

/// A cluster of three that is in use, switched off.
fn asleep(world: &mut World) -> Option<shoal_formation::ClusterId> {
    formed(world, 3);
    used(world, 0);
    let kept = cluster(world, 0);
    (0..3).for_each(|index| world.crash(index));
    kept
}

fn state(world: &World, index: usize) -> Option<State> {
    world.boxes[index].process.as_ref().map(|process| process.core.state())
}

#[test]
fn c1_with_new_addresses_the_cluster_is_back_within_a_minute() {
    each_seed(|world| {
        let kept = asleep(world);
        (0..3).for_each(|index| world.readdress(index));
        all_on(world);
        within(world, MINUTE, "one cluster", liveness::is_one);
        is(world, (0..3).all(|index| cluster(world, index) == kept), "the same as before");
    });
}

#[test]
fn c2_boxes_that_come_back_ten_minutes_apart_are_the_same_cluster() {
    each_seed(|world| {
        let kept = asleep(world);
        for index in 0..3 {
            world.power_on(index);
            world.run_for(10 * MINUTE);
        }
        is(world, liveness::is_one(world), "one cluster");
        is(world, (0..3).all(|index| cluster(world, index) == kept), "the same as before");
    });
}

#[test]
fn c3_two_of_three_voters_serve() {
    each_seed(|world| {
        let kept = asleep(world);
        world.power_on(0);
        world.power_on(2);
        within(world, MINUTE, "both have a leader", |world| {
            [0, 2].iter().all(|index| member(world, *index).is_some_and(|member| member.live))
        });
        is(world, cluster(world, 0) == kept, "the same as before");
    });
}

#[test]
fn c4_one_of_three_waits_for_ever_and_says_so() {
    each_seed(|world| {
        let kept = asleep(world);
        world.power_on(1);
        world.run_for(60 * MINUTE);
        is(world, cluster(world, 1) == kept, "it is what it was");
        is(world, founded(world) == 1, "no new cluster");
        is(world, world.checks.alarms.iter().any(|(_, index, alarm)| (*index, *alarm) == (1, Alarm::NoQuorum)), "an alarm");
    });
}

#[test]
fn c5_blank_boxes_beside_a_sleeping_cluster_found_nothing() {
    each_seed(|world| {
        let kept = asleep(world);
        fleet(world, 2);
        for index in [1, 3, 4] {
            world.power_on(index);
        }
        world.run_for(60 * MINUTE);
        is(world, founded(world) == 1, "no new cluster");
        is(world, state(world, 3) == Some(State::Listening), "the blank boxes wait");
        // And take part as soon as it wakes up.
        world.power_on(0);
        within(world, 3 * MINUTE, "the blank boxes are in", |world| (3..5).all(|index| cluster(world, index) == kept));
    });
}

#[test]
fn c6_boxes_that_get_each_others_addresses_stay_who_they_are() {
    each_seed(|world| {
        let kept = asleep(world);
        world.swap_addresses(0, 1);
        all_on(world);
        within(world, MINUTE, "one cluster", liveness::is_one);
        is(world, (0..3).all(|index| cluster(world, index) == kept), "the same as before");
        is(world, world.checks.counts.admitted == 2, "and nobody was let in anew");
    });
}

#[test]
fn c7_without_multicast_the_last_addresses_are_enough() {
    each_seed(|world| {
        let kept = asleep(world);
        for (a, b) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
            world.network.set_deaf(world.now, a, b, true);
        }
        all_on(world);
        within(world, MINUTE, "one cluster", liveness::is_one);
        is(world, cluster(world, 0) == kept, "the same as before");
    });
}

#[test]
fn a_blank_box_that_founds_before_the_sleepers_wake_dissolves_into_them() {
    each_seed(|world| {
        let kept = asleep(world);
        fleet(world, 1);
        world.power_on(3);
        within(world, MINUTE, "it has founded", |world| cluster(world, 3).is_some());
        (0..3).for_each(|index| world.power_on(index));
        world.run_for(SECOND);
        within(world, 3 * MINUTE, "one cluster", liveness::is_one);
        is(world, cluster(world, 3) == kept, "the one that slept");
    });
}
