//! The core as the shell sees it: what it does when, in simulated time.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use shoal_discovery_core::{
    Announcement, Discovery, Effect, Identity, Input, KnownPeer, Label, Link, LinkIndex, Now, Timings,
    table::{Name, PEERS_MAX},
};
use shoal_trust::{
    beacon::{Beacon, BootNonce, Standing, UnverifiedBeacon},
    fleet::{ClusterTag, FleetId, Generation},
    identity::NodeSeed,
    key::NodeKey,
    schedule::FleetKeys,
    secret::JoinSecret,
};

const PORT: u16 = 6443;

fn keys_of(fleet: u8, generation: u32, secret: u8) -> FleetKeys {
    FleetKeys::derive(FleetId([fleet; 16]), Generation::new(generation).unwrap(), &JoinSecret::from_random([secret; 32]).unwrap())
}

fn keys() -> FleetKeys {
    keys_of(1, 2, 3)
}

fn node(number: u8) -> NodeKey {
    *NodeSeed::from_bytes([number; 32]).unwrap().signing().public()
}

fn ms(milliseconds: u64) -> Now {
    Now(Duration::from_millis(milliseconds))
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn link(index: u32, addresses: &[&str]) -> Link {
    Link { index: LinkIndex(index), addresses: addresses.iter().map(|address| address.parse().unwrap()).collect() }
}

fn new(seeds: Vec<SocketAddr>, known: Vec<KnownPeer>) -> Discovery {
    let identity = Identity { boot: BootNonce([1; 8]), port: PORT, standing: Standing::Virgin };
    Discovery::new(ms(0), keys(), identity, Timings::default(), [9; 32], seeds, known)
}

fn beacon_with(keys: &FleetKeys, boot: u64, addresses: &[&str]) -> UnverifiedBeacon {
    let mut addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    addresses.sort();
    let (fleet, generation, boot) = (keys.fleet().tag(), keys.generation(), BootNonce(boot.to_be_bytes()));
    let txt = Beacon { fleet, generation, standing: Standing::Virgin, boot, port: PORT, addresses }.to_txt(keys).unwrap();
    UnverifiedBeacon::parse(&txt, PORT).unwrap()
}

fn heard(boot: u64, addresses: &[&str]) -> Input {
    Input::Heard { beacon: beacon_with(&keys(), boot, addresses), link: LinkIndex(3), from: None }
}

/// Lets time pass, with what the core does at its own deadlines.
fn pass(core: &mut Discovery, until: Now) -> Vec<(Now, Effect)> {
    let mut effects = Vec::new();
    let mut last = None;
    while let Some(deadline) = core.deadline().filter(|deadline| *deadline <= until) {
        assert!(last != Some(deadline), "a deadline that is not dealt with: {deadline:?}");
        last = Some(deadline);
        effects.extend(core.handle(deadline, Input::Time).into_iter().map(|effect| (deadline, effect)));
    }
    effects
}

fn announcements(effects: &[(Now, Effect)]) -> Vec<(Now, Vec<Announcement>)> {
    let announced = |(now, effect): &(Now, Effect)| match effect {
        Effect::Announce(announcements) => Some((*now, announcements.clone())),
        _ => None,
    };
    effects.iter().filter_map(announced).collect()
}

/// Brings a link up, and says what is announced there.
fn up(core: &mut Discovery, now: Now, links: Vec<Link>) -> Vec<Announcement> {
    assert_eq!(core.handle(now, Input::Links(links)), []);
    let effects = pass(core, now + Duration::from_millis(300));
    let (_, announced) = announcements(&effects).pop().expect("links are announced");
    for announcement in &announced {
        core.handle(now + Duration::from_millis(1300), Input::Announced(announcement.label));
    }
    announced
}

#[test]
fn each_link_has_a_label_and_addresses_of_its_own() {
    let mut core = new(vec![], vec![]);
    let announced =
        up(&mut core, ms(0), vec![link(3, &["10.0.0.1", "fe80::1"]), link(2, &["192.168.0.1"]), link(4, &[]), link(5, &["127.0.0.1"])]);
    assert_eq!(announced.iter().map(|it| it.link.0).collect::<Vec<_>>(), [2, 3], "links without an address are not announced on");
    assert_ne!(announced[0].label, announced[1].label);
    assert_eq!(announced[1].beacon.addresses, ["10.0.0.1", "fe80::1"].map(|it| it.parse::<IpAddr>().unwrap()));
    assert!(announced.iter().all(|it| it.probe && it.beacon.standing == Standing::Virgin && it.beacon.port == PORT));
    assert!(announced[0].beacon.to_txt(&keys()).is_ok());
    let mut other = Discovery::new(
        ms(0),
        keys(),
        Identity { boot: BootNonce([1; 8]), port: 1, standing: Standing::Virgin },
        Timings::default(),
        [8; 32],
        vec![],
        vec![],
    );
    assert_ne!(up(&mut other, ms(0), vec![link(2, &["192.168.0.1"])])[0].label, announced[0].label, "another seed");
}

#[test]
fn changes_that_come_together_are_announced_together_and_soon() {
    let mut core = new(vec![], vec![]);
    for step in 0..20 {
        let addresses: Vec<String> = (1..=step + 1).map(|host| format!("10.0.0.{host}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let now = ms(100 * step);
        for (at, _) in announcements(&pass(&mut core, now)) {
            assert!(at == ms(1000) || at == ms(2000), "{at:?}");
        }
        core.handle(now, Input::Links(vec![link(3, &addresses)]));
    }
}

#[test]
fn a_link_that_flapped_is_announced_anew_within_five_seconds() {
    let mut core = new(vec![], vec![]);
    let before = up(&mut core, ms(0), vec![link(3, &["10.0.0.1"])]);
    let far = ms(600_000);
    let queries = pass(&mut core, far).iter().filter(|(_, effect)| *effect == Effect::Query).count();
    assert!(queries >= 14, "a query a minute: {queries}");
    core.handle(far, Input::Links(vec![]));
    let gone = announcements(&pass(&mut core, far + Duration::from_secs(30)));
    assert!(matches!(&gone[..], [(_, none)] if none.is_empty()));
    let back = far + Duration::from_secs(30);
    core.handle(back, Input::Links(vec![link(3, &["10.0.0.1"])]));
    let effects = pass(&mut core, back + Duration::from_secs(4));
    let announced = announcements(&effects);
    assert_eq!(announced.len(), 1);
    let (at, announced) = &announced[0];
    assert!(at.since(back) <= Duration::from_secs(1));
    assert_eq!(announced[0].beacon, before[0].beacon);
    let queries = effects.iter().filter(|(_, effect)| *effect == Effect::Query).count();
    assert_eq!(queries, 3, "and the schedule of queries begins anew: 0, 1, 2 s");
    // A link that looks the same to the shell, but was down for a moment.
    let again = back + Duration::from_secs(60);
    core.handle(again, Input::Links(vec![link(3, &["10.0.0.1"])]));
    assert_eq!(announcements(&pass(&mut core, again + Duration::from_secs(1))).len(), 1);
}

#[test]
fn questions_are_asked_at_0_1_2_4_to_60_seconds_and_then_each_minute() {
    let mut core = new(vec![], vec![]);
    core.handle(ms(0), Input::Need(false));
    core.handle(ms(0), Input::Links(vec![link(3, &["10.0.0.1"])]));
    let label = announcements(&pass(&mut core, ms(300)))[0].1[0].label;
    let _ = core.handle(ms(301), Input::Announced(label));
    let mut times: Vec<u64> = vec![0];
    times.extend(
        pass(&mut core, ms(300_300)).iter().filter(|(_, effect)| *effect == Effect::Query).map(|(now, _)| now.since(ms(300)).as_secs()),
    );
    assert_eq!(times, [0, 1, 2, 4, 8, 16, 32, 60, 120, 180, 240, 300]);
}

#[test]
fn a_beacon_leads_to_its_addresses_on_its_link() {
    let mut core = new(vec![], vec![]);
    let effects = core.handle(ms(0), heard(7, &["10.0.0.7", "fe80::7", "fd00::7"]));
    let expected = ["10.0.0.7:6443", "[fd00::7]:6443", "[fe80::7%3]:6443"].map(|it| Effect::Connect(socket(it)));
    assert_eq!(effects, expected);
    assert_eq!(core.handle(ms(1), heard(7, &["10.0.0.7", "fe80::7", "fd00::7"])), [], "each is tried once");
    core.handle(ms(2), Input::Connected { node: node(7), address: socket("[fe80::7%3]:6443") });
    core.handle(ms(3), Input::Failed(socket("10.0.0.7:6443")));
    core.handle(ms(3), Input::Failed(socket("[fd00::7]:6443")));
    let connects = |effects: Vec<(Now, Effect)>| effects.into_iter().filter(|(_, effect)| matches!(effect, Effect::Connect(_))).count();
    assert_eq!(connects(pass(&mut core, ms(50_000))), 0, "there is a session with it");
    assert_eq!(core.proven()[&node(7)].len(), 3);
    assert_eq!(core.handle(ms(50_000), Input::Closed(node(7))).len(), 3, "all its addresses, when there is none any more");
}

#[test]
fn what_is_not_of_the_fleet_leads_nowhere() {
    let mut core = new(vec![], vec![]);
    let mut hear = |keys: &FleetKeys, boot| {
        let input = Input::Heard { beacon: beacon_with(keys, boot, &["10.0.0.7"]), link: LinkIndex(3), from: None };
        assert_eq!(core.handle(ms(0), input), []);
    };
    hear(&keys_of(9, 2, 3), 7);
    hear(&keys_of(1, 3, 3), 7);
    hear(&keys_of(1, 2, 9), 7);
    hear(&keys(), u64::from_be_bytes([1; 8]));
    assert_eq!(core.peers().count(), 0);
    let counted = core.statistics();
    assert_eq!((counted.other_fleet, counted.other_generation, counted.forged, counted.own, counted.genuine), (1, 1, 1, 1, 0));
}

#[test]
fn a_flood_without_the_secret_changes_nothing_for_a_peer() {
    let mut core = new(vec![], vec![]);
    let forged = beacon_with(&keys_of(1, 2, 9), 1, &["10.9.9.9"]);
    for number in 0..10_000 {
        let input = Input::Heard { beacon: forged.clone(), link: LinkIndex(3), from: None };
        assert_eq!(core.handle(ms(number / 10), input), []);
    }
    assert_eq!(core.handle(ms(1000), heard(7, &["10.0.0.7"])), [Effect::Connect(socket("10.0.0.7:6443"))]);
    assert_eq!(core.peers().count(), 1);
}

#[test]
fn a_flood_of_an_insider_is_bounded_and_a_peer_of_another_host_is_tried() {
    let mut core = new(vec![], vec![]);
    let insider = Some("10.6.6.6".parse().unwrap());
    let mut tried = 0;
    for number in 0..5_000_u64 {
        let target = format!("10.7.{}.{}", number / 200, 1 + number % 200);
        let input = Input::Heard { beacon: beacon_with(&keys(), 1000 + number, &[&target]), link: LinkIndex(3), from: insider };
        tried += core.handle(ms(number), input).len() + pass(&mut core, ms(number)).len();
        assert!(core.peers().count() <= PEERS_MAX);
    }
    assert!(tried <= 8 + 5, "five seconds of one source: {tried}");
    let input =
        Input::Heard { beacon: beacon_with(&keys(), 7, &["10.0.0.7"]), link: LinkIndex(3), from: Some("10.0.0.7".parse().unwrap()) };
    pass(&mut core, ms(5000));
    assert_eq!(core.handle(ms(5000), input), [Effect::Connect(socket("10.0.0.7:6443"))]);
}

#[test]
fn a_conflict_leads_to_another_label_and_the_fifth_ends_probing() {
    let mut core = new(vec![], vec![]);
    let mut label = up(&mut core, ms(0), vec![link(3, &["10.0.0.1"])])[0].label;
    let mut seen: Vec<Label> = vec![label];
    for number in 1..=5_u64 {
        let now = ms(2000 * number);
        let mut effects: Vec<(Now, Effect)> = core.handle(now, Input::Conflict(label)).into_iter().map(|effect| (now, effect)).collect();
        effects.extend(pass(&mut core, now + Duration::from_secs(1)));
        let announced = announcements(&effects).pop().expect("it is announced anew").1;
        label = announced[0].label;
        assert!(!seen.contains(&label));
        seen.push(label);
        assert_eq!(announced[0].probe, number < 5, "conflict {number}");
        let shouts = effects.iter().filter(|(_, effect)| matches!(effect, Effect::Broadcast(_))).count();
        assert_eq!(shouts > 0, number == 5, "then it is broadcast, without waiting");
        core.handle(now + Duration::from_secs(1), Input::Announced(label));
    }
    assert_eq!(core.statistics().conflicts, 5);
    pass(&mut core, ms(20_000));
    assert_eq!(core.handle(ms(20_000), Input::Conflict(label)), [], "whatever is said now is not heard");
    assert_eq!(core.statistics().conflicts, 5);
}

#[test]
fn conflicts_that_are_far_apart_end_nothing() {
    let mut core = new(vec![], vec![]);
    let mut label = up(&mut core, ms(0), vec![link(3, &["10.0.0.1"])])[0].label;
    for number in 1..=20_u64 {
        let now = ms(15_001 * number);
        core.handle(now, Input::Conflict(label));
        let announced = announcements(&pass(&mut core, now + Duration::from_secs(1))).pop().unwrap().1;
        label = announced[0].label;
        assert!(announced[0].probe, "four in a minute");
        core.handle(now + Duration::from_secs(1), Input::Announced(label));
    }
}

#[test]
fn a_label_that_nobody_lets_be_announced_is_a_conflict() {
    let mut core = new(vec![], vec![]);
    core.handle(ms(0), Input::Links(vec![link(3, &["10.0.0.1"])]));
    let announced = announcements(&pass(&mut core, ms(60_000)));
    let probes: Vec<bool> = announced.iter().map(|(_, it)| it[0].probe).collect();
    assert_eq!(probes, [true, true, true, true, true, false], "five times in vain, then without asking");
    assert!(announced[5].0 < ms(30_000), "{:?}", announced[5].0);
    assert_eq!(core.statistics().conflicts, 5);
}

#[test]
fn other_ways_are_tried_after_a_minute_of_need() {
    let known = KnownPeer { node: node(5), addresses: vec![socket("10.0.0.5:6443")] };
    let mut core = new(vec![socket("10.0.0.9:7000")], vec![known]);
    up(&mut core, ms(0), vec![link(3, &["10.0.0.1"]), link(4, &["fe80::1"])]);
    let other =
        |effects: &[(Now, Effect)]| effects.iter().filter(|(_, effect)| !matches!(effect, Effect::Query)).cloned().collect::<Vec<_>>();
    assert_eq!(other(&pass(&mut core, ms(59_999))), []);
    let effects = other(&pass(&mut core, ms(60_000)));
    let [(_, Effect::Broadcast(shouts)), (_, Effect::AskDomain), connects @ ..] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(shouts.iter().map(|shout| shout.link.0).collect::<Vec<_>>(), [3, 4]);
    let connects: Vec<&Effect> = connects.iter().map(|(_, effect)| effect).collect();
    assert_eq!(connects, [&Effect::Connect(socket("10.0.0.5:6443")), &Effect::Connect(socket("10.0.0.9:7000"))]);
    let effects = core.handle(ms(60_001), Input::Answered(vec![socket("10.0.0.8:6443"), socket("127.0.0.1:1"), socket("10.0.0.8:0")]));
    assert_eq!(effects, [Effect::Connect(socket("10.0.0.8:6443"))]);
    let effects = other(&pass(&mut core, ms(100_000)));
    assert_eq!(effects.iter().filter(|(_, effect)| matches!(effect, Effect::Broadcast(_))).count(), 4, "each ten seconds");
}

#[test]
fn who_has_what_it_needs_tries_no_other_ways() {
    let mut core = new(vec![socket("10.0.0.9:7000")], vec![]);
    up(&mut core, ms(0), vec![link(3, &["10.0.0.1"])]);
    core.handle(ms(30_000), Input::Need(false));
    let effects = pass(&mut core, ms(200_000));
    assert!(effects.iter().all(|(_, effect)| *effect == Effect::Query), "{effects:?}");
    core.handle(ms(200_000), Input::Need(true));
    let effects = pass(&mut core, ms(260_000));
    let first = effects.iter().find(|(_, effect)| matches!(effect, Effect::Broadcast(_)));
    assert_eq!(first.map(|(now, _)| *now), Some(ms(260_000)), "a minute after it is needed again");
}

#[test]
fn one_seed_and_what_peers_tell_is_enough() {
    let mut core = new(vec![socket("10.0.0.9:7000")], vec![]);
    let effects = pass(&mut core, ms(60_000));
    assert!(effects.contains(&(ms(60_000), Effect::Connect(socket("10.0.0.9:7000")))), "also without links: {effects:?}");
    core.handle(ms(60_100), Input::Connected { node: node(9), address: socket("10.0.0.9:7000") });
    let told = Input::Exchanged { node: node(8), addresses: vec![socket("10.0.0.8:6443"), socket("[ff02::1]:1")] };
    assert_eq!(core.handle(ms(60_200), told), [Effect::Connect(socket("10.0.0.8:6443"))]);
    assert_eq!(core.peers().map(|(name, _)| name).collect::<Vec<_>>(), [Name::Node(node(9)), Name::Node(node(8))]);
    assert_eq!(core.proven().len(), 1, "what was told is not proven");
}

#[test]
fn what_a_node_says_of_itself_is_announced_when_it_changes() {
    let mut core = new(vec![], vec![]);
    let label = up(&mut core, ms(0), vec![link(3, &["10.0.0.1"])])[0].label;
    let member = Standing::Member(ClusterTag([4; 8]));
    core.handle(ms(5000), Input::Standing(member));
    let announced = announcements(&pass(&mut core, ms(5300))).pop().unwrap().1;
    assert_eq!((announced[0].beacon.standing, announced[0].label), (member, label));
    core.handle(ms(6000), Input::Announced(label));
    core.handle(ms(6000), Input::Standing(member));
    assert!(announcements(&pass(&mut core, ms(9000))).is_empty(), "and only then");
}
