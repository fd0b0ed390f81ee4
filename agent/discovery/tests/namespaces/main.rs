//! Discovery on real sockets: nodes in network namespaces, on one bridge. See [`lab`] for what it needs, and when a test is skipped.

mod lab;
mod wire;

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use lab::{Options, ip, isolated, keys};
use shoal_discovery::{BROADCAST_PORT, Links};
use shoal_discovery_core::Timings;
use shoal_trust::beacon::{Beacon, BootNonce, Standing};

/// Other ways than multicast DNS only after longer than any test takes.
fn multicast_only() -> Timings {
    Timings { fallback_after: Duration::from_secs(3600), ..Timings::default() }
}

#[test]
fn two_find_each_other_and_so_does_a_third() {
    isolated("two_find_each_other_and_so_does_a_third", |lab| {
        lab.node(1, Options { timings: multicast_only(), ..Options::new(1) });
        lab.node(2, Options { timings: multicast_only(), ..Options::new(2) });
        lab.all_meet(&[1, 2]);
        lab.node(3, Options { timings: multicast_only(), ..Options::new(3) });
        lab.all_meet(&[1, 2, 3]);
    });
}

#[test]
fn nodes_with_ipv6_only_find_each_other() {
    isolated("nodes_with_ipv6_only_find_each_other", |lab| {
        for number in 1..=2 {
            // Only what the kernel gives itself: fe80::.
            lab.node(number, Options { addresses: vec![], timings: multicast_only(), ..Options::new(number) });
        }
        lab.all_meet(&[1, 2]);
        assert!(lab.pairs.values().flatten().all(|address| address.is_ipv6()), "{:?}", lab.pairs);
    });
}

#[test]
fn nodes_with_link_local_ipv4_only_find_each_other() {
    isolated("nodes_with_link_local_ipv4_only_find_each_other", |lab| {
        for number in 1..=2 {
            let addresses = vec![format!("169.254.77.{number}/16")];
            lab.node(number, Options { addresses, ipv6: false, timings: multicast_only(), ..Options::new(number) });
        }
        lab.all_meet(&[1, 2]);
        assert!(lab.pairs.values().flatten().all(|address| address.is_ipv4()), "{:?}", lab.pairs);
    });
}

#[test]
fn a_link_that_flapped_is_announced_within_five_seconds() {
    isolated("a_link_that_flapped_is_announced_within_five_seconds", |lab| {
        let heard = wire::listen(Ipv4Addr::new(10, 77, 0, 254));
        let own = Ipv4Addr::new(10, 77, 0, 1);
        lab.node(1, Options { timings: multicast_only(), ..Options::new(1) });
        assert!(wire::announcement(&heard, own, Duration::from_secs(30)).is_some(), "it is announced at first");
        ip("link set port1 down");
        // What was on its way has come when for so long nothing has.
        while wire::announcement(&heard, own, Duration::from_secs(2)).is_some() {}
        ip("link set port1 up");
        let took = wire::announcement(&heard, own, Duration::from_secs(30)).expect("it is announced again");
        assert!(took <= Duration::from_secs(5), "{took:?}");
    });
}

#[test]
fn links_without_a_device_hear_nothing() {
    isolated("links_without_a_device_hear_nothing", |lab| {
        const OTHERS: u8 = 30;
        let sysfs = tempfile::tempdir().unwrap();
        // One of them has a device, to show that it would be heard on the others, too.
        ["eth0", "pod1"].iter().for_each(|name| std::fs::create_dir_all(sysfs.path().join("class/net").join(name).join("device")).unwrap());
        let on_link = wire::listen(Ipv4Addr::new(10, 77, 0, 254));
        let mut others = Vec::new();
        let up = |number| [format!("addr add 10.88.{number}.1/24 dev pod{number}"), format!("link set pod{number} up")];
        let setup = (1..=OTHERS).flat_map(up).collect();
        let links = Links::Physical(sysfs.path().into());
        lab.node_with(1, Options { links, setup, timings: multicast_only(), ..Options::new(1) }, |thread_id| {
            for number in 1..=OTHERS {
                ip(&format!("link add out{number} type veth peer name pod{number} netns {thread_id}"));
                ip(&format!("addr add 10.88.{number}.2/24 dev out{number}"));
                ip(&format!("link set out{number} up"));
                others.push(wire::listen(Ipv4Addr::new(10, 88, number, 2)));
            }
        });
        let patience = Duration::from_secs(30);
        assert!(wire::announcement(&on_link, Ipv4Addr::new(10, 77, 0, 1), patience).is_some());
        assert!(wire::announcement(&others[0], Ipv4Addr::new(10, 88, 1, 1), patience).is_some());
        for (number, other) in others.iter().enumerate().skip(1) {
            other.set_nonblocking(true).unwrap();
            assert!(other.recv_from(&mut [0; 9000]).is_err(), "not even a question on out{}", number + 1);
        }
    });
}

#[test]
fn one_seed_is_enough_where_multicast_is_blocked() {
    isolated("one_seed_is_enough_where_multicast_is_blocked", |lab| {
        let timings = Timings { fallback_after: Duration::from_secs(2), ask_every: Duration::from_secs(2), ..Timings::default() };
        for number in 1..=3 {
            // Nobody hears the others' broadcasts, either: each has a port of its own.
            let broadcast_port = BROADCAST_PORT + u16::from(number);
            let seeds = vec!["10.77.0.1:6443".parse().unwrap()];
            let options = Options { ipv6: false, seeds, timings: timings.clone(), broadcast_port, ..Options::new(number) };
            lab.node_with(number, options, |_| ip(&format!("link set port{number} type bridge_slave mcast_flood off")));
        }
        lab.all_meet(&[1, 2, 3]);
        assert!(lab.statistics().values().all(|(counted, _)| counted.genuine == 0), "no beacon came through: {:?}", lab.statistics());
    });
}

#[test]
fn broadcast_is_enough_where_multicast_is_blocked() {
    isolated("broadcast_is_enough_where_multicast_is_blocked", |lab| {
        let timings = Timings { fallback_after: Duration::from_secs(2), broadcast_every: Duration::from_secs(1), ..Timings::default() };
        for number in 1..=2 {
            let options = Options { ipv6: false, timings: timings.clone(), ..Options::new(number) };
            lab.node_with(number, options, |_| ip(&format!("link set port{number} type bridge_slave mcast_flood off")));
        }
        lab.all_meet(&[1, 2]);
    });
}

#[test]
fn in_a_flood_of_forged_beacons_the_table_is_bounded_and_peers_are_found() {
    isolated("in_a_flood_of_forged_beacons_the_table_is_bounded_and_peers_are_found", |lab| {
        let is_over = Arc::new(AtomicBool::new(false));
        let flood = thread::spawn({
            let is_over = is_over.clone();
            move || {
                let socket = UdpSocket::bind("10.77.0.254:0").unwrap();
                socket.set_broadcast(true).unwrap();
                let keys = keys(99);
                let mut sent = 0_u64;
                while !is_over.load(Ordering::Relaxed) {
                    sent += 1;
                    let boot = BootNonce(sent.to_be_bytes());
                    let addresses = vec![Ipv4Addr::from(0x0a4d_0100 + (sent as u32 & 0xff)).into()];
                    let (fleet, generation) = (keys.fleet().tag(), keys.generation());
                    let beacon = Beacon { fleet, generation, standing: Standing::Virgin, boot, port: 6443, addresses };
                    let announcement =
                        wire::announce(&format!("{sent:016x}"), &beacon.to_txt(&keys).unwrap(), Ipv4Addr::new(10, 77, 0, 253));
                    // What the kernel does not take is lost, as on any link.
                    let _ = socket.send_to(&announcement, "224.0.0.251:5353");
                    let _ = socket.send_to(&beacon.to_datagram(&keys).unwrap(), ("10.77.0.255", BROADCAST_PORT));
                    // The rate of the flood; nothing is waited for.
                    thread::sleep(Duration::from_millis(1));
                }
                sent
            }
        });
        lab.node(1, Options::new(1));
        lab.node(2, Options::new(2));
        lab.all_meet(&[1, 2]);
        is_over.store(true, Ordering::Relaxed);
        let sent = flood.join().unwrap();
        let counted = lab.statistics();
        eprintln!("{sent} of each kind sent; {counted:?}");
        for (statistics, peers) in counted.values() {
            assert!(statistics.forged > 0, "the flood was heard");
            assert!(*peers <= 4, "nothing forged is in the table: {peers}");
        }
    });
}
