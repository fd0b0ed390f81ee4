//! F: boxes become one cluster.

use shoal_formation::{Settings, State, disk::Role};
use shoal_formation_sim::invariants::liveness;

use crate::boxes::*;

#[test]
fn f1_boxes_that_start_together_are_one_cluster_within_20_s_of_the_last_link() {
    for (boxes, voters_wanted) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 3), (7, 3)] {
        each_seed(|world| {
            fleet(world, boxes);
            all_on(world);
            // Alone, a box waits 20 s for others.
            let limit = if boxes == 1 { 30 } else { 20 };
            let together =
                |world: &shoal_formation_sim::World| (0..boxes).all(|index| member(world, index).is_some_and(|member| member.live));
            world.run_until(6 * SECOND);
            let end = world.checks.last_link + limit * SECOND;
            let so = world.run_until_so(end, together);
            is(world, so, "all are members in time");
            within(world, 30 * SECOND, "it has its voters, and its barrier is lifted", liveness::is_one);
            let cluster = cluster(world, 0).expect("a member");
            is(world, voters(world, cluster).len() == voters_wanted, "the number of voters");
            is(world, founded(world) == 1, "one has founded");
        });
    }
}

#[test]
fn f2_boxes_that_come_one_by_one_never_rest_with_two_voters() {
    each_seed(|world| {
        fleet(world, 5);
        for index in 0..5 {
            world.power_on_at(index, index as u64 * 5 * MINUTE);
            world.run_until((index as u64 + 1) * 5 * MINUTE);
            is(world, liveness::is_one(world), "those that are on are one cluster");
            let cluster = cluster(world, 0).expect("a member");
            is(world, voters(world, cluster).len() == if index < 2 { 1 } else { 3 }, "the number of voters");
        }
        is(world, founded(world) == 1, "one has founded");
    });
}

#[test]
fn f3_boxes_that_come_at_any_time_are_one_cluster() {
    each_seed(|world| {
        fleet(world, 5);
        for index in 0..5_usize {
            world.power_on_at(index, (index as u64 * 97 + world.trace.hash() % 50) % 400 * SECOND);
        }
        world.run_until(400 * SECOND);
        within(world, 2 * MINUTE, "one cluster", liveness::is_one);
    });
}

#[test]
fn f5_a_switch_that_starts_after_the_boxes_makes_no_second_cluster() {
    each_seed(|world| {
        fleet(world, 4);
        for index in 0..4 {
            world.boxes[index].cable = false;
            world.power_on(index);
        }
        world.run_until(5 * MINUTE);
        is(world, founded(world) == 0, "nobody founds without a link");
        (0..4).for_each(|index| world.set_cable(index, true));
        within(world, MINUTE, "one cluster", liveness::is_one);
        is(world, founded(world) == 1, "one has founded");
    });
}

#[test]
fn f6_discovery_in_one_direction_is_enough() {
    each_seed(|world| {
        fleet(world, 3);
        // Nobody hears the first box's multicasts, and nobody but it those of the others.
        for other in 1..3 {
            world.network.set_deaf(0, 0, other, true);
        }
        world.network.set_deaf(0, 1, 2, true);
        world.network.set_deaf(0, 2, 1, true);
        all_on(world);
        within(world, MINUTE, "one cluster", liveness::is_one);
        is(world, founded(world) == 1, "one has founded");
    });
}

#[test]
fn f7_two_founders_become_one_cluster_with_one_dissolution() {
    each_seed(|world| {
        fleet(world, 2);
        world.split(0b01);
        all_on(world);
        world.run_until(40 * SECOND);
        is(world, founded(world) == 2, "each has founded");
        world.split(0);
        within(world, MINUTE, "one cluster", liveness::is_one);
        is(world, world.checks.counts.dissolved == 1, "one has dissolved");
    });
}

#[test]
fn f8_a_founder_that_dies_at_any_step_leaves_no_orphan() {
    for effect in 0..14 {
        each_seed(|world| {
            fleet(world, 3);
            all_on(world);
            world.run_until(6 * SECOND);
            for index in 0..3 {
                world.fault(shoal_formation_sim::faults::Fault::CrashAt(index, effect));
            }
            world.run_until(2 * MINUTE);
            world.heal();
            within(world, 10 * MINUTE, "one cluster", liveness::is_one);
        });
    }
}

#[test]
fn f8_a_founder_that_never_comes_back_is_left_and_the_others_found_anew() {
    each_seed(|world| {
        fleet(world, 3);
        all_on(world);
        let founding = |world: &shoal_formation_sim::World| (0..3).find(|index| matches!(world.boxes[*index].stick.role, Role::Member(..)));
        // Before anybody else votes.
        for _ in 0..20 * 60 {
            if founding(world).is_some() {
                break;
            }
            world.run_for(SECOND / 20);
        }
        let founder = founding(world).expect("somebody");
        world.run_for(SECOND);
        world.crash(founder);
        let others: Vec<usize> = (0..3).filter(|index| *index != founder).collect();
        let together =
            |world: &shoal_formation_sim::World| others.iter().all(|index| member(world, *index).is_some_and(|member| member.live));
        within(world, 7 * MINUTE, "the others have a cluster", together);
        // And with an older pristine cluster on its disk it becomes one with them.
        world.power_on(founder);
        within(world, 2 * MINUTE, "one cluster", liveness::is_one);
    });
}

#[test]
fn f11_with_expect_no_half_founds_and_more_than_half_does() {
    let settings = Settings { expect: Some(4), ..Settings::default() };
    each_seed(|world| {
        fleet_of(world, 4, &settings);
        world.split(0b0011);
        all_on(world);
        world.run_until(5 * MINUTE);
        is(world, founded(world) == 0, "no half founds");
        world.split(0);
        within(world, MINUTE, "one cluster", liveness::is_one);
        is(world, founded(world) == 1, "one has founded");
    });
    let settings = Settings { expect: Some(5), ..Settings::default() };
    each_seed(|world| {
        fleet_of(world, 5, &settings);
        world.split(0b00011);
        all_on(world);
        world.run_until(2 * MINUTE);
        is(world, founded(world) == 1, "the three have founded");
        is(world, (0..2).all(|index| cluster(world, index).is_none()), "the two have not");
        is(world, (2..5).all(|index| cluster(world, index).is_some()), "the three are members");
    });
}

#[test]
fn with_expect_1_a_box_founds_at_once() {
    let settings = Settings { expect: Some(1), ..Settings::default() };
    each_seed(|world| {
        fleet_of(world, 1, &settings);
        all_on(world);
        world.run_until(5 * SECOND);
        let end = world.checks.last_link + 2 * SECOND;
        let so = world.run_until_so(end.max(world.now), |world| {
            world.boxes[0].process.as_ref().is_some_and(|process| process.core.state() == State::Member)
        });
        is(world, so, "it is a member within two seconds");
    });
}

#[test]
fn with_expect_1_a_box_founds_without_a_cable() {
    let settings = Settings { expect: Some(1), ..Settings::default() };
    each_seed(|world| {
        fleet_of(world, 1, &settings);
        world.boxes[0].cable = false;
        world.power_on(0);
        within(world, MINUTE, "a cluster of one", |world| {
            world.boxes[0].process.as_ref().is_some_and(|process| process.core.state() == State::Member)
        });
    });
}
