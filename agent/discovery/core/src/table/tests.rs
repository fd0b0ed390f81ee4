//! What a flood can and cannot do to the table.

use std::vec;

use proptest::prelude::*;
use shoal_trust::identity::NodeSeed;

use super::*;

fn node(number: u8) -> NodeKey {
    *NodeSeed::from_bytes([number; 32]).unwrap().signing().public()
}

fn boot(number: u64) -> Name {
    Name::Boot(BootNonce(number.to_be_bytes()))
}

fn host(number: u32) -> Source {
    Source::Host(IpAddr::V4((0x0a00_0000 + number).into()))
}

fn address(number: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4((0x0b00_0000 + number).into()), 6443)
}

fn seconds(seconds: u64) -> Now {
    Now(core::time::Duration::from_secs(seconds))
}

fn has(table: &Table, name: Name) -> bool {
    table.place(name).is_some()
}

/// Fills the table with strangers of the sources, in turn.
fn full(sources: &[Source]) -> Table {
    let mut table = Table::default();
    for number in 0..PEERS_MAX {
        let is_taken = table.hear(seconds(number as u64), boot(number as u64), &sources[number % sources.len()], [address(number as u32)]);
        assert!(is_taken);
    }
    table
}

#[test]
fn peers_that_were_proven_stay_whoever_shouts() {
    let mut table = Table::default();
    table.connected(seconds(0), node(1), address(1));
    table.closed(seconds(1), node(1));
    table.keep(seconds(0), node(2), &[address(2)]);
    for number in 0..10_000_u32 {
        let is_taken = table.hear(seconds(2), boot(number.into()), &host(number), [address(100 + number)]);
        assert!(table.peers.len() <= PEERS_MAX && (is_taken || table.peers.len() == PEERS_MAX));
        // Each is tried in vain, so that each may be replaced.
        table.failed(seconds(2), address(100 + number), &Timings::default());
    }
    assert!(has(&table, Name::Node(node(1))) && has(&table, Name::Node(node(2))));
    assert_eq!(table.proven().len(), 2);
}

#[test]
fn who_shouts_most_loses_first() {
    let mut table = full(&[host(1)]);
    assert!(table.hear(seconds(1000), boot(9999), &host(2), [address(9999)]));
    assert!(has(&table, boot(9999)) && !has(&table, boot(0)), "the oldest of the one that shouts has gone");
    assert!(!table.hear(seconds(1000), boot(8888), &host(1), [address(8888)]), "for one more of the one that shouts there is no place");
    assert!(has(&table, boot(9999)), "not even that of the other one");
    assert_eq!(table.peers.iter().filter(|peer| peer.source == host(1)).count(), PEERS_MAX - 1);
}

#[test]
fn places_that_were_tried_in_vain_are_given_away_and_no_others() {
    let sources: Vec<Source> = (0..PEERS_MAX as u32).map(host).collect();
    let mut table = full(&sources);
    assert!(!table.hear(seconds(1000), boot(9999), &host(9999), [address(9999)]), "all wait for their turn");
    table.failed(seconds(1000), address(7), &Timings::default());
    assert!(table.hear(seconds(1000), boot(9999), &host(9999), [address(9999)]));
    assert!(!has(&table, boot(7)) && has(&table, boot(9999)));
}

#[test]
fn a_peer_has_eight_addresses_and_proven_ones_stay() {
    let mut table = Table::default();
    table.connected(seconds(1), node(1), address(0));
    for number in 1..100 {
        table.hear(seconds(1 + u64::from(number)), Name::Node(node(1)), &Source::Peers, [address(number)]);
    }
    let addresses = &table.proven()[&node(1)];
    assert_eq!(addresses.len(), ADDRESSES_PER_PEER);
    assert_eq!(addresses[0], address(0), "the proven one first");
    assert!(addresses[1..].iter().all(|known| *known >= address(93)), "then the newest: {addresses:?}");
}

#[test]
fn what_was_heard_becomes_what_is_known_of_a_node() {
    let mut table = Table::default();
    table.hear(seconds(0), boot(1), &host(1), [address(1), address(2)]);
    table.hear(seconds(0), Name::Address(address(1)), &Source::Settings, [address(1)]);
    table.connected(seconds(1), node(1), address(1));
    assert_eq!(table.peers().collect::<Vec<_>>(), vec![(Name::Node(node(1)), vec![address(2), address(1)])]);
    // The address gets to another node: with a new lease, say.
    table.closed(seconds(2), node(1));
    table.connected(seconds(3), node(2), address(1));
    assert_eq!(table.proven()[&node(2)], vec![address(1)]);
    assert!(!table.proven().contains_key(&node(1)), "nothing that was proven is left of it");
    assert!(has(&table, Name::Node(node(1))), "but the other address still may be");
}

#[test]
fn a_full_table_takes_who_is_connected() {
    let sources: Vec<Source> = (0..PEERS_MAX as u32).map(host).collect();
    let mut table = full(&sources);
    table.connected(seconds(1000), node(1), address(55_555));
    assert_eq!(table.peers.len(), PEERS_MAX);
    assert_eq!(table.proven()[&node(1)], vec![address(55_555)]);
}

#[test]
fn proven_addresses_are_tried_before_strangers_and_nobody_twice() {
    let (mut table, mut budgets) = (Table::default(), Budgets::new(seconds(0)));
    table.hear(seconds(0), boot(1), &host(1), [address(1), address(2)]);
    table.hear(seconds(0), boot(2), &host(2), [address(2)]);
    table.connected(seconds(0), node(3), address(3));
    table.closed(seconds(0), node(3));
    let tried: Vec<_> = core::iter::from_fn(|| table.attempt(seconds(0), &mut budgets)).collect();
    assert_eq!(tried, vec![address(3), address(1), address(2)]);
    assert_eq!(table.deadline(&budgets), None, "the outcomes are waited for");
    table.failed(seconds(1), address(2), &Timings::default());
    assert_eq!(table.deadline(&budgets), Some(seconds(2)));
}

#[test]
fn attempts_that_fail_are_made_less_often() {
    let (mut table, mut budgets) = (Table::default(), Budgets::new(seconds(0)));
    table.hear(seconds(0), boot(1), &host(1), [address(1)]);
    let mut now = seconds(0);
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(table.attempt(now, &mut budgets), Some(address(1)));
        table.failed(now, address(1), &Timings::default());
        let next = table.deadline(&budgets).unwrap();
        waits.push(next.since(now).as_secs());
        now = next;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn one_source_is_tried_once_a_second_and_all_twenty_times() {
    let (mut table, mut budgets) = (Table::default(), Budgets::new(seconds(0)));
    for number in 0..200 {
        table.hear(seconds(0), boot(number), &host(1), [address(number as u32)]);
    }
    let mut attempts_until = |table: &mut Table, until: u64| {
        let mut attempts = 0;
        for millisecond in (0..until * 1000).step_by(10) {
            let now = Now(core::time::Duration::from_millis(millisecond));
            attempts += core::iter::from_fn(|| table.attempt(now, &mut budgets)).count();
        }
        attempts
    };
    assert_eq!(attempts_until(&mut table, 10), 8 + 9, "a burst of one peer's addresses, then one a second");
    let mut budgets = Budgets::new(seconds(0));
    let mut table = Table::default();
    for number in 0..256 {
        table.hear(seconds(0), boot(number), &host(number as u32), [address(number as u32)]);
    }
    let mut attempts = 0;
    for millisecond in (0..10_000).step_by(10) {
        let now = Now(core::time::Duration::from_millis(millisecond));
        attempts += core::iter::from_fn(|| table.attempt(now, &mut budgets)).count();
        assert!(budgets.sources() <= 8 * 20 + 20, "{}", budgets.sources());
    }
    assert!((20 + 190..=20 + 200).contains(&attempts), "a burst of twenty, then twenty a second: {attempts}");
}

#[derive(Debug, Clone)]
enum Step {
    Hear(u64, u32, Vec<u32>),
    Exchange(u8, Vec<u32>),
    Connect(u8, u32),
    Close(u8),
    Fail(u32),
    Attempt,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let addresses = || prop::collection::vec(0..2000_u32, 0..12);
    let step = prop_oneof![
        8 => (0..2000_u64, 0..40_u32, addresses()).prop_map(|(boot, host, addresses)| Step::Hear(boot, host, addresses)),
        1 => (1..20_u8, addresses()).prop_map(|(node, addresses)| Step::Exchange(node, addresses)),
        1 => (1..20_u8, 0..2000_u32).prop_map(|(node, address)| Step::Connect(node, address)),
        1 => (1..20_u8).prop_map(Step::Close),
        2 => (0..2000_u32).prop_map(Step::Fail),
        4 => Just(Step::Attempt),
    ];
    prop::collection::vec(step, 0..1500)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_the_table_is_bounded_and_proven_nodes_stay(steps in steps()) {
        let nodes: Vec<NodeKey> = (0..20).map(|number| node(number.max(1))).collect();
        let (mut table, mut budgets) = (Table::default(), Budgets::new(Now::default()));
        let mut proven: BTreeMap<NodeKey, SocketAddr> = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            let now = Now(core::time::Duration::from_millis(7 * number as u64));
            match step {
                Step::Hear(name, from, addresses) => drop(table.hear(now, boot(name), &host(from), addresses.into_iter().map(address))),
                Step::Exchange(name, addresses) => {
                    table.hear(now, Name::Node(nodes[usize::from(name)]), &Source::Peers, addresses.into_iter().map(address));
                }
                Step::Connect(name, at) => {
                    let key = nodes[usize::from(name)];
                    proven.retain(|other, known| *other == key || *known != address(at));
                    proven.insert(key, address(at));
                    table.connected(now, key, address(at));
                }
                Step::Close(name) => table.closed(now, nodes[usize::from(name)]),
                Step::Fail(at) => table.failed(now, address(at), &Timings::default()),
                Step::Attempt => drop(table.attempt(now, &mut budgets)),
            }
            prop_assert!(table.peers.len() <= PEERS_MAX);
            prop_assert!(table.peers.iter().all(|peer| peer.addresses.len() <= ADDRESSES_PER_PEER));
            let names: Vec<Name> = table.peers.iter().map(|peer| peer.name).collect();
            prop_assert!(names.iter().enumerate().all(|(at, name)| !names[at + 1..].contains(name)), "one peer, one place");
        }
        let known = table.proven();
        for (node, address) in proven {
            prop_assert!(known.get(&node).is_some_and(|addresses| addresses.contains(&address)), "where a node was last proven to be is known");
        }
    }
}
