//! Who should vote, as a table of situations.

use core::time::Duration;

use shoal_formation::{
    Configuration, NodeId,
    settings::{MaxVoters, Medium, Traits, VoterLabel},
    timers,
    voters::{Candidate, Hold, Kind, Plan, Situation, target},
};

const LONG: Duration = Duration::from_secs(100_000);

fn up(node: u64) -> Candidate {
    Candidate {
        node: NodeId(node),
        traits: Some(Traits::default()),
        up: Some(LONG),
        silent: Duration::ZERO,
        unheard: false,
        gone: false,
        caught_up: true,
        passed_over: false,
    }
}

fn dead(node: u64) -> Candidate {
    Candidate { up: None, silent: timers::DEAD, unheard: true, caught_up: false, ..up(node) }
}

fn configuration(voters: &[u64], learners: &[u64]) -> Configuration {
    let ids = |nodes: &[u64]| nodes.iter().copied().map(NodeId).collect();
    Configuration { voters: ids(voters), learners: ids(learners), ..Configuration::default() }
}

/// Long after everything.
fn quiet<'a>(configuration: &'a Configuration, nodes: &'a [Candidate]) -> Situation<'a> {
    Situation {
        configuration,
        nodes,
        birth: false,
        version: 1,
        max_voters: MaxVoters::Three,
        quorum_held: LONG,
        since_replacement: None,
        replacements: 0,
        cold_start: false,
        few_for: Duration::ZERO,
    }
}

fn change(kind: Kind, voters: &[u64]) -> Plan {
    Plan::Change(kind, voters.iter().copied().map(NodeId).collect())
}

#[test]
fn there_are_one_three_or_five_voters() {
    let numbers = |max| (0..9).map(|eligible| target(eligible, max)).collect::<Vec<_>>();
    assert_eq!(numbers(MaxVoters::Three), [1, 1, 1, 3, 3, 3, 3, 3, 3]);
    assert_eq!(numbers(MaxVoters::Five), [1, 1, 1, 3, 3, 5, 5, 5, 5]);
}

#[test]
fn one_becomes_three_in_one_change() {
    let before = configuration(&[1], &[4, 6]);
    assert_eq!(quiet(&before, &[up(1), up(4), up(6)]).plan(), change(Kind::Growth, &[1, 4, 6]));
}

#[test]
fn m8_a_learner_that_is_passed_over_lets_the_next_one_vote() {
    let before = configuration(&[1], &[4, 6, 8]);
    let slow = Candidate { caught_up: false, ..up(4) };
    assert_eq!(quiet(&before, &[up(1), slow, up(6), up(8)]).plan(), change(Kind::Growth, &[1, 6, 8]));
    let before = configuration(&[1], &[4, 6]);
    assert_eq!(quiet(&before, &[up(1), slow, up(6)]).plan(), Plan::Hold(Hold::CatchingUp(1, 2)));
    let passed_over = Candidate { passed_over: true, ..slow };
    assert_eq!(quiet(&before, &[up(1), passed_over, up(6)]).plan(), Plan::Hold(Hold::AtTarget), "two that could vote need one voter");
}

#[test]
fn m12_five_become_three_after_a_day_with_too_few() {
    let before = configuration(&[1, 4, 6, 8, 10], &[]);
    let nodes = [up(1), dead(4), up(6), dead(8), up(10)];
    let five = Situation { max_voters: MaxVoters::Five, ..quiet(&before, &nodes) };
    assert_eq!(Situation { few_for: timers::SHRINK / 2, ..five }.plan(), Plan::Hold(Hold::NoSpare(NodeId(4))));
    assert_eq!(Situation { few_for: timers::SHRINK, ..five }.plan(), change(Kind::Shrinking, &[1, 6, 10]));
}

#[test]
fn three_never_become_one() {
    let before = configuration(&[1, 4, 6], &[]);
    let situation = quiet(&before, &[up(1), dead(4), up(6)]).plan();
    assert_eq!(situation, Plan::Hold(Hold::NoSpare(NodeId(4))));
}

#[test]
fn a_dead_voter_is_replaced_only_if_all_limits_allow_it() {
    let before = configuration(&[1, 4, 6], &[8]);
    let nodes = [up(1), dead(4), up(6), up(8)];
    let fine = quiet(&before, &nodes);
    assert_eq!(fine.plan(), change(Kind::Replacement(NodeId(4)), &[1, 6, 8]));
    let node = NodeId(4);
    assert_eq!(Situation { cold_start: true, ..fine }.plan(), Plan::Hold(Hold::ColdStart(node)));
    assert_eq!(Situation { quorum_held: Duration::from_secs(59), ..fine }.plan(), Plan::Hold(Hold::QuorumTooYoung(node)));
    assert_eq!(Situation { since_replacement: Some(Duration::from_secs(29 * 60)), ..fine }.plan(), Plan::Hold(Hold::ReplacedLately(node)));
    assert_eq!(Situation { replacements: 1, since_replacement: Some(LONG), ..fine }.plan(), Plan::Hold(Hold::ReplacedLately(node)));
    for (dead, hold) in [
        (Candidate { silent: timers::DEAD / 2, ..dead(4) }, Hold::NotDeadYet(node)),
        (Candidate { unheard: false, ..dead(4) }, Hold::NotDeadYet(node)),
        (Candidate { traits: Some(Traits { maintenance: true, ..Traits::default() }), ..dead(4) }, Hold::Maintenance(node)),
        (Candidate { traits: Some(Traits { domain: Some(7), ..Traits::default() }), ..dead(4) }, Hold::DomainSilent(node)),
    ] {
        assert_eq!(quiet(&before, &[up(1), dead, up(6), up(8)]).plan(), Plan::Hold(hold));
    }
    let rack = Candidate { traits: Some(Traits { domain: Some(7), ..Traits::default() }), silent: timers::DOMAIN_SILENT, ..dead(4) };
    assert_eq!(
        quiet(&before, &[up(1), rack, up(6), up(8)]).plan(),
        change(Kind::Replacement(node), &[1, 6, 8]),
        "six hours are no network"
    );
}

#[test]
fn a_voter_that_has_said_that_it_left_is_replaced_at_once() {
    let before = configuration(&[1, 4, 6], &[8]);
    let gone = Candidate { gone: true, silent: Duration::ZERO, ..dead(4) };
    assert_eq!(quiet(&before, &[up(1), gone, up(6), up(8)]).plan(), change(Kind::HandOver, &[1, 6, 8]));
}

#[test]
fn a_node_without_a_disk_votes_only_where_nobody_has_one() {
    let memory = |node| Candidate { traits: Some(Traits { medium: Medium::Memory, ..Traits::default() }), ..up(node) };
    let before = configuration(&[1], &[4, 6]);
    assert_eq!(quiet(&before, &[memory(1), memory(4), memory(6)]).plan(), change(Kind::Growth, &[1, 4, 6]));
    assert_eq!(quiet(&before, &[up(1), memory(4), memory(6)]).plan(), Plan::Hold(Hold::AtTarget));
    assert_eq!(quiet(&before, &[memory(1), up(4), memory(6)]).plan(), change(Kind::HandOver, &[4]));
}

#[test]
fn preferred_nodes_come_first_and_then_those_of_another_rack() {
    let with = |node, label, domain| Candidate { traits: Some(Traits { label, domain, ..Traits::default() }), ..up(node) };
    let before = configuration(&[1], &[4, 6, 8]);
    let nodes = [
        with(1, VoterLabel::Allowed, Some(1)),
        with(4, VoterLabel::Allowed, Some(1)),
        with(6, VoterLabel::Allowed, Some(2)),
        with(8, VoterLabel::Preferred, Some(1)),
    ];
    assert_eq!(quiet(&before, &nodes).plan(), change(Kind::Growth, &[1, 6, 8]));
}
