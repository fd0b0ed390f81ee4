//! "Why am I not highly available yet?" has an answer wherever a box is.

use shoal_formation::{Settings, why::Reason};
use shoal_formation_sim::{World, invariants::liveness};

use crate::boxes::*;

fn why(world: &World, index: usize) -> Vec<Reason> {
    world.boxes[index].process.as_ref().map(|process| process.core.why()).unwrap_or_default()
}

#[test]
fn three_boxes_are_highly_available_and_nothing_is_to_be_said() {
    each_seed(|world| {
        formed(world, 3);
        world.run_for(MINUTE);
        is(world, (0..3).all(|index| why(world, index).is_empty()), "no reason");
    });
}

#[test]
fn fewer_boxes_say_how_many_more_are_needed() {
    for boxes in 1..3 {
        each_seed(|world| {
            formed(world, boxes);
            world.run_for(2 * MINUTE);
            let leads = leader(world).expect("a leader");
            is(world, why(world, leads) == [Reason::TooFewNodes(boxes)], "the number");
            let text = Reason::TooFewNodes(boxes).to_string();
            assert!(text.contains(&format!("boot {} more", 3 - boxes)), "{text}");
        });
    }
}

#[test]
fn a_dead_voter_is_named_by_everybody() {
    each_seed(|world| {
        formed(world, 3);
        let dead = followers(world, true)[0];
        let node = world.member_of(dead).expect("a member").1;
        world.crash(dead);
        world.run_for(MINUTE);
        let named = |index| why(world, index).contains(&Reason::VoterMissing(node));
        is(world, (0..3).filter(|index| *index != dead).all(named), "both name it");
    });
}

#[test]
fn a_member_without_a_quorum_says_how_many_voters_are_missing() {
    each_seed(|world| {
        formed(world, 3);
        used(world, 0);
        world.crash(0);
        world.crash(1);
        world.run_for(MINUTE);
        is(world, why(world, 2).first() == Some(&Reason::NoLeader { missing: 1, needed: 2 }), "one more is needed");
    });
}

#[test]
fn blank_boxes_say_what_they_wait_for() {
    each_seed(|world| {
        formed(world, 3);
        used(world, 0);
        let kept = cluster(world, 0).expect("a member");
        world.crash(0);
        world.crash(1);
        fleet(world, 2);
        world.boxes[4].cable = false;
        world.power_on(3);
        world.power_on(4);
        world.run_for(2 * MINUTE);
        is(world, why(world, 3) == [Reason::Sleepers(kept)], "for those who sleep");
        is(world, why(world, 4) == [Reason::NoLink], "for a link");
    });
    let settings = Settings { expect: Some(4), ..Settings::default() };
    each_seed(|world| {
        fleet_of(world, 4, &settings);
        world.power_on(0);
        world.power_on(1);
        world.run_for(2 * MINUTE);
        let expects = (0..2).any(|index| matches!(why(world, index)[..], [Reason::Expected(have, 3)] if have <= 2));
        is(world, expects, "for more boxes");
        (2..4).for_each(|index| world.power_on(index));
        within(world, 2 * MINUTE, "one cluster", liveness::is_one);
    });
}
