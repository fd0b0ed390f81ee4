//! I: copies, rewritten sticks, sticks in other boxes, boxes without disks.

use shoal_formation::{
    Alarm, Settings, State,
    settings::{Medium, Traits},
};
use shoal_formation_sim::{World, invariants::liveness};

use crate::boxes::*;

fn has_raised(world: &World, wanted: impl Fn(&Alarm) -> bool) -> bool {
    world.checks.alarms.iter().any(|(_, _, alarm)| wanted(alarm))
}

#[test]
fn i3_the_copy_of_a_used_stick_is_refused_and_the_original_undisturbed() {
    each_seed(|world| {
        formed(world, 3);
        used(world, 0);
        let original = followers(world, true)[0];
        let peer = world.boxes[original].process.as_ref().expect("on").core.peer();
        fleet(world, 1);
        world.boxes[3].stick = world.copy_of(&world.boxes[original].stick.clone());
        // What is in memory of the original is on the copy's disk, too.
        let raft = world.boxes[original].process.as_ref().and_then(|process| process.raft.as_ref()).map(|raft| raft.disk.clone());
        world.boxes[3].stick.raft = raft;
        world.power_on(3);
        world.run_for(5 * MINUTE);
        is(world, has_raised(world, |alarm| matches!(alarm, Alarm::CloneDetected(_))), "somebody has noticed");
        for other in (0..3).filter(|index| *index != original) {
            let knows = world.boxes[other].process.as_ref().expect("on").core.knows(peer);
            is(world, knows, "the others know the original");
        }
        is(world, (0..3).all(|index| member(world, index).is_some_and(|member| member.live)), "the cluster serves");
    });
}

#[test]
fn i4_an_old_copy_of_a_disk_takes_part_in_no_quorum() {
    each_seed(|world| {
        formed(world, 3);
        used(world, 0);
        let (leads, voters) = (leader(world).expect("a leader"), followers(world, true));
        let (rolled, third) = (voters[0], voters[1]);
        world.crash(rolled);
        let day_old = world.boxes[rolled].stick.clone();
        world.power_on(rolled);
        within(world, MINUTE, "one cluster", liveness::is_one);
        // Something is committed without the third.
        world.run_for(2 * MINUTE);
        world.split(set(&[third]));
        world.run_for(SECOND);
        fleet(world, 1);
        world.power_on(3);
        within(world, MINUTE, "somebody new is in", |world| cluster(world, 3).is_some());
        world.crash(leads);
        world.crash(rolled);
        world.crash(3);
        world.boxes[rolled].stick = day_old;
        world.split(0);
        world.power_on(rolled);
        world.run_for(10 * MINUTE);
        // The two would be a majority, and would not know the fourth.
        let node = world.member_of(rolled).expect("a member").1;
        is(world, shoal_formation_sim::invariants::forgetful::is_noticed(&world.checks, node), "the third has noticed");
        is(world, member(world, third).is_some_and(|member| !member.live), "and does not count it");
        world.power_on(leads);
        within(world, 2 * MINUTE, "with the leader back there is a quorum without it", |world| {
            member(world, third).is_some_and(|member| member.live)
        });
    });
}

#[test]
fn i6_a_stick_that_is_rewritten_is_a_blank_box() {
    each_seed(|world| {
        formed(world, 3);
        used(world, 0);
        let kept = cluster(world, 0);
        let voter = followers(world, true)[0];
        world.rewrite(voter);
        world.power_on(voter);
        within(world, 2 * MINUTE, "it has joined as somebody new", |world| cluster(world, voter) == kept);
        is(world, world.checks.counts.admitted == 3, "one more was let in");
    });
}

#[test]
fn i7_sticks_in_other_boxes_are_the_same_nodes() {
    each_seed(|world| {
        formed(world, 3);
        used(world, 0);
        let kept = cluster(world, 0);
        world.swap_sticks(0, 1);
        world.swap_sticks(1, 2);
        all_on(world);
        within(world, 2 * MINUTE, "one cluster", liveness::is_one);
        is(world, cluster(world, 0) == kept && world.checks.counts.admitted == 2, "nobody was let in anew");
    });
}

#[test]
fn a_copy_of_a_blank_stick_gets_another_name() {
    each_seed(|world| {
        formed(world, 3);
        fleet(world, 2);
        // It has made itself an identity, and nothing more.
        world.boxes[3].cable = false;
        world.power_on(3);
        world.run_for(SECOND);
        world.crash(3);
        world.boxes[3].cable = true;
        world.boxes[4].stick = world.copy_of(&world.boxes[3].stick.clone());
        world.power_on(3);
        within(world, MINUTE, "the first is in", |world| cluster(world, 3).is_some());
        world.crash(3);
        world.run_for(MINUTE);
        world.power_on(4);
        within(world, 2 * MINUTE, "the second, too", |world| cluster(world, 4).is_some());
        is(world, world.member_of(3) != world.member_of(4), "as somebody else");
    });
}

#[test]
fn i8_a_box_without_a_disk_that_restarts_again_and_again_is_one_member() {
    let diskless = Settings { traits: Traits { medium: Medium::Memory, ..Traits::default() }, ..Settings::default() };
    each_seed(|world| {
        formed(world, 3);
        used(world, 0);
        fleet_of(world, 1, &diskless);
        for _ in 0..20 {
            world.power_on(3);
            within(world, 3 * MINUTE, "it is in", |world| member(world, 3).is_some_and(|member| member.live));
            world.run_for(15 * SECOND);
            world.crash(3);
        }
        world.run_for(MINUTE);
        let truth = world.checks.truths.values().next().expect("a cluster");
        is(world, truth.admitted.len() - truth.removed.len() <= 4, "one entry for it");
        is(world, !votes(world, 3), "it does not vote");
    });
}

#[test]
fn i9_a_fleet_without_disks_is_another_cluster_after_a_power_cut() {
    let diskless = Settings { traits: Traits { medium: Medium::Memory, ..Traits::default() }, ..Settings::default() };
    each_seed(|world| {
        fleet_of(world, 3, &diskless);
        all_on(world);
        within(world, 4 * MINUTE, "one cluster", liveness::is_one);
        used(world, 0);
        let first = cluster(world, 0);
        (0..3).for_each(|index| world.crash(index));
        all_on(world);
        within(world, 4 * MINUTE, "one cluster", |world| (0..3).all(|index| member(world, index).is_some_and(|member| member.live)));
        is(world, cluster(world, 0) != first, "another one");
    });
}

#[test]
fn a_box_that_is_off_remembers_nothing_it_did_not_write() {
    each_seed(|world| {
        fleet(world, 1);
        all_on(world);
        world.run_for(SECOND);
        world.crash(0);
        let identity = world.boxes[0].stick.identity;
        world.power_on(0);
        world.run_for(SECOND);
        is(world, world.boxes[0].stick.identity == identity, "the identity is minted once");
        let state = world.boxes[0].process.as_ref().map(|process| process.core.state());
        is(world, matches!(state, Some(State::Virgin | State::Listening)), "it is blank");
    });
}
