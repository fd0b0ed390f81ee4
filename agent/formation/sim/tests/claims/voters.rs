//! M: who votes.

use shoal_formation::{
    Alarm, Settings,
    settings::{MaxVoters, Traits, VoterLabel},
};
use shoal_formation_sim::invariants::liveness;

use crate::boxes::*;

#[test]
fn m1_a_dead_voter_is_replaced_by_a_spare_after_ten_minutes_in_one_change() {
    each_seed(|world| {
        formed(world, 4);
        used(world, 0);
        world.run_for(20 * MINUTE);
        let (dead, spare) = (followers(world, true)[0], followers(world, false)[0]);
        let before = world.checks.counts.voters_changed;
        world.crash(dead);
        world.run_for(9 * MINUTE);
        is(world, world.checks.counts.voters_changed == before, "not before ten minutes");
        within(world, 3 * MINUTE, "the spare votes", |world| votes(world, spare));
        is(world, world.checks.counts.voters_changed == before + 1, "in one change");
        // And when it comes back, it is somebody new that waits for its turn.
        world.power_on(dead);
        within(world, 2 * MINUTE, "it is back", |world| member(world, dead).is_some_and(|member| member.live));
        is(world, !votes(world, dead), "without a vote");
    });
}

#[test]
fn m2_without_a_spare_nothing_changes_and_an_alarm_says_so() {
    each_seed(|world| {
        formed(world, 3);
        used(world, 0);
        let dead = followers(world, true)[0];
        let before = world.checks.counts.voters_changed;
        world.crash(dead);
        world.run_for(60 * MINUTE);
        is(world, world.checks.counts.voters_changed == before, "no change");
        is(world, world.checks.alarms.iter().any(|(_, _, alarm)| matches!(alarm, Alarm::VoterWithoutReplacement(_))), "an alarm");
    });
}

#[test]
fn m3_two_dead_voters_of_five_are_replaced_half_an_hour_apart() {
    let settings = Settings { max_voters: MaxVoters::Five, ..Settings::default() };
    each_seed(|world| {
        formed_of(world, 7, &settings);
        used(world, 0);
        world.run_for(20 * MINUTE);
        let (dead, spares) = (followers(world, true), followers(world, false));
        dead[..2].iter().for_each(|index| world.crash(*index));
        world.run_for(15 * MINUTE);
        is(world, spares.iter().filter(|spare| votes(world, **spare)).count() == 1, "one is replaced");
        world.run_for(30 * MINUTE);
        is(world, spares.iter().all(|spare| votes(world, *spare)), "both are");
    });
}

#[test]
fn m4_two_dead_voters_of_three_are_waited_for() {
    each_seed(|world| {
        formed(world, 4);
        used(world, 0);
        let kept = cluster(world, 0);
        world.run_for(20 * MINUTE);
        let dead = followers(world, true);
        let before = world.checks.counts.voters_changed;
        dead.iter().for_each(|index| world.crash(*index));
        world.run_for(60 * MINUTE);
        is(world, leader(world).is_none() && world.checks.counts.voters_changed == before, "nothing is done");
        world.heal();
        within(world, MINUTE, "one cluster", liveness::is_one);
        is(world, (0..4).all(|index| cluster(world, index) == kept), "the same as before");
    });
}

#[test]
fn m9_a_voter_that_comes_and_goes_is_not_replaced() {
    each_seed(|world| {
        formed(world, 4);
        used(world, 0);
        world.run_for(20 * MINUTE);
        let flaps = followers(world, true)[0];
        let before = world.checks.counts.voters_changed;
        for _ in 0..30 {
            world.crash(flaps);
            world.run_for(2 * MINUTE);
            world.power_on(flaps);
            world.run_for(2 * MINUTE);
        }
        is(world, world.checks.counts.voters_changed == before, "no change in two hours");
    });
}

#[test]
fn m11_of_two_boxes_one_votes_and_goes_on_without_the_other() {
    each_seed(|world| {
        formed(world, 2);
        used(world, 0);
        let learner = followers(world, false)[0];
        world.crash(learner);
        world.run_for(5 * MINUTE);
        is(world, leader(world) == Some(1 - learner), "the voter leads");
    });
}

#[test]
fn m13_a_node_of_another_version_only_listens() {
    each_seed(|world| {
        fleet(world, 3);
        let newer = Settings { traits: Traits { version: 2, ..Traits::default() }, ..Settings::default() };
        // It comes last, so that the others' version is the cluster's.
        fleet_of(world, 1, &newer);
        (0..3).for_each(|index| world.power_on(index));
        world.run_until(MINUTE);
        world.power_on(3);
        world.run_for(5 * MINUTE);
        is(world, member(world, 3).is_some_and(|member| member.live) && !votes(world, 3), "it is in, and does not vote");
    });
}

#[test]
fn a_node_that_shall_never_vote_does_not() {
    each_seed(|world| {
        fleet(world, 2);
        let never = Settings { traits: Traits { label: VoterLabel::Never, ..Traits::default() }, ..Settings::default() };
        fleet_of(world, 2, &never);
        all_on(world);
        world.run_until(6 * MINUTE);
        let cluster = cluster(world, 0).expect("a member");
        is(world, (0..4).all(|index| member(world, index).is_some_and(|member| member.live)), "all are in");
        is(world, voters(world, cluster).len() == 1, "with two that could, one votes");
    });
}

#[test]
fn a_voter_that_has_missed_a_change_still_gives_the_vote_that_is_needed() {
    each_seed(|world| {
        formed(world, 3);
        used(world, 0);
        let (leads, voting) = (leader(world).expect("a leader"), followers(world, true));
        let (out, behind) = (voting[0], voting[1]);
        world.crash(behind);
        fleet(world, 1);
        world.power_on(3);
        world.run_for(2 * MINUTE);
        world.remove(out, leads);
        within(world, MINUTE, "the new one votes", |world| votes(world, 3));
        // Now only the new one has all entries, and the one that is behind has never heard of it.
        world.crash(leads);
        world.crash(out);
        world.power_on(behind);
        within(world, MINUTE, "the two have a leader", |world| leader(world) == Some(3));
    });
}
