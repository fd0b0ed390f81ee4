//! The simulation is proven: each rule of the protocol that is switched off is noticed, by the invariant that is there for it. Without the bug, nothing is
//! noticed in the same world.

#[path = "../claims/boxes.rs"]
#[expect(dead_code, reason = "these tests need only some of the words")]
mod boxes;

use boxes::*;
use shoal_formation::{Settings, control::Cause, settings::MaxVoters};
use shoal_formation_sim::{KnownBug, World, faults::Fault, invariants::liveness};

/// Worlds that are tried, at most, until a bug is noticed.
const TRIES: u64 = 60;

/// Boxes that break a rule, or none.
fn broken(bug: Option<KnownBug>) -> Settings {
    Settings { known_bug: bug, ..Settings::default() }
}

/// Tells the same world with the bug and without. With it, some seed must be noticed with this complaint; without it, none.
fn caught(bug: KnownBug, complaint: &str, tell: impl Fn(&mut World, &Settings, u64) -> Result<(), String>) {
    let outcome = |bug, seed| {
        let mut world = World::new(seed, false);
        let told = tell(&mut world, &broken(bug), seed);
        world.checks.violation.take().map_or(told, Err)
    };
    let mut noticed = None;
    for seed in 1..=TRIES {
        if let Err(what) = outcome(None, seed) {
            panic!("without {bug:?}, seed {seed}: {what}");
        }
        match outcome(Some(bug), seed) {
            Err(what) if what.contains(complaint) => {
                noticed = Some((seed, what));
                break;
            }
            Err(what) => println!("{bug:?}, seed {seed}, something else: {what}"),
            Ok(()) => {}
        }
    }
    let (seed, what) = noticed.unwrap_or_else(|| panic!("{bug:?} is not noticed by {TRIES} seeds"));
    println!("{bug:?} is noticed by seed {seed}: {what}");
}

/// So many boxes that have become one cluster, as far as their bug lets them.
fn together(world: &mut World, boxes: usize, settings: &Settings) {
    fleet_of(world, boxes, settings);
    all_on(world);
    world.run_until_so(2 * MINUTE, liveness::is_one);
}

/// And in use.
fn in_use(world: &mut World, boxes: usize, settings: &Settings) {
    together(world, boxes, settings);
    world.use_cluster(0);
    world.run_for(20 * SECOND);
}

fn comes(world: &mut World, time: u64, what: &str, so: impl FnMut(&World) -> bool) -> Result<(), String> {
    let end = world.now + time;
    if world.run_until_so(end, so) { Ok(()) } else { Err(format!("never: {what}{}", liveness::describe(world))) }
}

#[test]
fn founding_beside_sleepers() {
    caught(KnownBug::FoundBesideSleepers, "founds although", |world, settings, _| {
        in_use(world, 3, settings);
        world.crash(0);
        world.crash(1);
        world.run_for(MINUTE);
        fleet_of(world, 1, settings);
        world.power_on(3);
        world.run_for(2 * MINUTE);
        Ok(())
    });
}

#[test]
fn founding_after_a_removal() {
    caught(KnownBug::RemovedFounds, "which was removed", |world, settings, _| {
        in_use(world, 4, settings);
        let (Some(leads), Some(out)) = (leader(world), followers(world, false).first().copied()) else { return Ok(()) };
        world.remove_because(out, leads, Cause::Revoked);
        world.run_for(20 * SECOND);
        world.split(set(&[out]));
        world.run_for(2 * MINUTE);
        Ok(())
    });
}

#[test]
fn sealing_what_has_dissolved() {
    caught(KnownBug::SealAfterDissolve, "has dissolved", |world, settings, _| {
        fleet_of(world, 4, settings);
        world.split(0b0011);
        all_on(world);
        world.run_until(MINUTE);
        world.split(0);
        // As soon as the two have met, which the next beacon of a minute brings about, and before the leader's next tick.
        let leads = |index: &usize| {
            world.boxes[*index]
                .process
                .as_ref()
                .and_then(|process| process.raft.as_ref())
                .is_some_and(shoal_formation_sim::raft::Raft::leads)
        };
        let Some(dissolves) = (0..4).filter(leads).max_by_key(|index| cluster(world, *index)) else { return Ok(()) };
        let others = if dissolves < 2 { 2..4 } else { 0..2 };
        let peers: Vec<_> = world.boxes[others].iter().filter_map(|computer| Some(computer.process.as_ref()?.core.peer())).collect();
        let met = |world: &World| {
            world.boxes[dissolves].process.as_ref().is_some_and(|process| peers.iter().any(|peer| process.core.knows(*peer)))
        };
        for _ in 0..70 * 100 {
            if met(world) {
                break;
            }
            world.run_for(SECOND / 100);
        }
        (0..4).for_each(|index| world.use_cluster(index));
        world.run_for(MINUTE);
        Ok(())
    });
}

#[test]
fn dissolving_what_is_sealed() {
    caught(KnownBug::DissolveAfterSeal, "has dissolved", |world, settings, _| {
        fleet_of(world, 4, settings);
        world.split(0b0011);
        all_on(world);
        world.run_until(MINUTE);
        world.use_cluster(0);
        world.use_cluster(3);
        world.run_for(10 * SECOND);
        world.split(0);
        world.run_for(2 * MINUTE);
        Ok(())
    });
}

#[test]
fn leaving_a_sealed_cluster() {
    caught(KnownBug::AbandonWithSeal, "wipes", |world, settings, _| {
        in_use(world, 3, settings);
        world.crash(0);
        world.crash(1);
        world.run_for(7 * MINUTE);
        Ok(())
    });
}

#[test]
fn leaving_without_a_second_look() {
    caught(KnownBug::AbandonOnStaleFacts, "had a leader lately", |world, settings, seed| {
        together(world, 3, settings);
        let off = (0..3).find(|index| Some(*index) != leader(world)).unwrap_or_default();
        // Slow sticks: raft stops only after seconds.
        world.boxes.iter_mut().for_each(|computer| computer.sync = 4 * SECOND);
        world.crash(off);
        let others: Vec<usize> = (0..3).filter(|index| *index != off).collect();
        world.split(set(&others[..1]));
        others.iter().for_each(|index| world.use_cluster(*index));
        // The two find each other at about the time when both are about to leave.
        world.run_for(5 * MINUTE - 8 * SECOND + seed * SECOND / 4);
        world.split(0);
        world.run_for(2 * MINUTE);
        Ok(())
    });
}

#[test]
fn leaving_because_one_has() {
    caught(KnownBug::CloseOnOneStatement, "enough are still there", |world, settings, _| {
        together(world, 3, settings);
        let Some(alone) = followers(world, true).first().copied() else { return Ok(()) };
        world.split(set(&[alone]));
        world.run_for(6 * MINUTE);
        world.split(0);
        world.run_for(MINUTE);
        Ok(())
    });
}

#[test]
fn saying_that_one_has_left_before_one_has() {
    caught(KnownBug::StatementBeforeRole, "has said that it left", |world, settings, seed| {
        together(world, 3, settings);
        let Some(alone) = followers(world, true).first().copied() else { return Ok(()) };
        world.split(set(&[alone]));
        world.run_for(5 * MINUTE - 5 * SECOND);
        world.fault(Fault::CrashAt(alone, (seed % 6) as u32));
        world.run_for(3 * MINUTE);
        Ok(())
    });
}

#[test]
fn one_number_for_two_copies() {
    caught(KnownBug::AdmitWhoeverHasTheKey, "was before", |world, settings, _| {
        together(world, 3, settings);
        fleet_of(world, 2, settings);
        world.boxes[3].cable = false;
        world.power_on(3);
        world.run_for(SECOND);
        world.crash(3);
        world.boxes[3].cable = true;
        world.boxes[4].stick = world.copy_of(&world.boxes[3].stick.clone());
        world.power_on(3);
        world.run_for(MINUTE);
        world.crash(3);
        world.run_for(MINUTE);
        world.power_on(4);
        world.run_for(MINUTE);
        Ok(())
    });
}

#[test]
fn votes_only_for_those_one_knows() {
    caught(KnownBug::VotesWithinConfiguration, "the two have a leader", |world, settings, _| {
        in_use(world, 3, settings);
        let (Some(leads), voting) = (leader(world), followers(world, true)) else { return Ok(()) };
        let [out, behind] = voting[..] else { return Ok(()) };
        world.crash(behind);
        fleet_of(world, 1, settings);
        world.power_on(3);
        world.run_for(2 * MINUTE);
        world.remove(out, leads);
        comes(world, MINUTE, "the new one votes", |world| votes(world, 3))?;
        world.crash(leads);
        world.crash(out);
        world.power_on(behind);
        comes(world, 2 * MINUTE, "the two have a leader", |world| leader(world).is_some())
    });
}

#[test]
fn votes_for_those_without_the_seal() {
    caught(KnownBug::PromoteWithoutSeal, "one cluster", |world, settings, _| {
        together(world, 2, settings);
        let Some(leads) = leader(world) else { return Ok(()) };
        fleet_of(world, 1, settings);
        world.power_on(2);
        world.run_until_so(world.now + MINUTE, |world| cluster(world, 2).is_some());
        // Just before the third has been there for long enough to vote, nothing of the leader arrives any more.
        world.run_for(58 * SECOND);
        for other in (0..3).filter(|index| *index != leads) {
            world.network.set_cut(world.now, leads, other, true);
        }
        world.use_cluster(leads);
        world.run_for(9 * SECOND);
        world.crash(leads);
        world.run_for(8 * MINUTE);
        world.heal();
        comes(world, 10 * MINUTE, "one cluster", liveness::is_one)
    });
}

#[test]
fn votes_of_the_forgetful() {
    caught(KnownBug::BelieveTheForgetful, "committed before was", |world, settings, _| {
        in_use(world, 3, settings);
        let (Some(leads), voting) = (leader(world), followers(world, true)) else { return Ok(()) };
        let [rolled, third] = voting[..] else { return Ok(()) };
        world.crash(rolled);
        let old = world.boxes[rolled].stick.clone();
        world.power_on(rolled);
        world.run_for(3 * MINUTE);
        world.split(set(&[third]));
        world.run_for(SECOND);
        fleet_of(world, 1, settings);
        world.power_on(3);
        world.run_for(MINUTE);
        world.crash(leads);
        world.crash(rolled);
        world.crash(3);
        world.boxes[rolled].stick = old;
        world.split(0);
        world.power_on(rolled);
        world.run_for(10 * MINUTE);
        Ok(())
    });
}

#[test]
fn the_newest_of_two_copies() {
    caught(KnownBug::NewestSessionWins, "the original is known", |world, settings, _| {
        in_use(world, 3, settings);
        let Some(original) = followers(world, true).first().copied() else { return Ok(()) };
        let Some(peer) = world.boxes[original].process.as_ref().map(|process| process.core.peer()) else { return Ok(()) };
        fleet_of(world, 1, settings);
        let raft = world.boxes[original].process.as_ref().and_then(|process| process.raft.as_ref()).map(|raft| raft.disk.clone());
        world.boxes[3].stick = world.copy_of(&world.boxes[original].stick.clone());
        world.boxes[3].stick.raft = raft;
        world.power_on(3);
        world.run_for(20 * SECOND);
        let lost = (0..30).any(|_| {
            world.run_for(SECOND);
            let knows = |index: usize| world.boxes[index].process.as_ref().is_some_and(|process| process.core.knows(peer));
            (0..3).any(|index| index != original && !knows(index))
        });
        if lost { Err("not so: the original is known".into()) } else { Ok(()) }
    });
}

#[test]
fn a_removed_voter_that_is_refused_at_once() {
    caught(KnownBug::RefuseVotersAtOnce, "no quorum", |world, settings, _| {
        in_use(world, 2, settings);
        let Some(leads) = leader(world) else { return Ok(()) };
        world.remove(leads, 1 - leads);
        world.run_for(3 * MINUTE);
        Ok(())
    });
}

#[test]
fn sealing_before_the_barrier() {
    caught(KnownBug::SealBeforeBarrier, "barrier", |world, settings, _| {
        fleet_of(world, 3, settings);
        all_on(world);
        for _ in 0..40 {
            world.run_for(SECOND / 2);
            (0..3).for_each(|index| world.use_cluster(index));
        }
        Ok(())
    });
}

#[test]
fn replacing_one_voter_right_after_the_other() {
    caught(KnownBug::ReplaceWithoutRest, "after it replaced another", |world, settings, _| {
        in_use(world, 7, &Settings { max_voters: MaxVoters::Five, ..settings.clone() });
        world.run_for(20 * MINUTE);
        let voting = followers(world, true);
        voting.iter().take(2).for_each(|index| world.crash(*index));
        world.run_for(20 * MINUTE);
        Ok(())
    });
}

#[test]
fn counting_time_without_a_link() {
    caught(KnownBug::TimeWithoutLink, "without a link", |world, settings, _| {
        fleet_of(world, 2, settings);
        for index in 0..2 {
            world.boxes[index].cable = false;
            world.power_on(index);
        }
        world.run_for(MINUTE);
        Ok(())
    });
}
