//! Short runs of the fuzz targets, see [`shoal_fuzz_short`].

use std::path::Path;

use shoal_fuzz_short::{Rng, limit_memory, mutate, mutations};
use shoal_trust::{
    beacon::{Beacon, BootNonce, Standing},
    config::{Config, Owner},
    fleet::{Build, ClusterId, FleetName, Generation, NodeId, Policy},
    fleet_file::{FleetFile, FleetRandomness},
    key::{ClusterSecret, NodeSecret},
    statement::{KeyRotation, Leaving, MemberCert, PastLife, PinnedCluster, Removed},
};

#[path = "../fuzz/beacon.rs"]
mod beacon;
#[path = "../fuzz/config_sector.rs"]
mod config_sector;
#[path = "../fuzz/fleet_file.rs"]
mod fleet_file;
#[path = "../fuzz/statement.rs"]
mod statement;

/// Mutations: some seconds' worth.
const MUTATIONS: usize = 20_000;

const CLUSTER: ClusterId = ClusterId([4; 16]);

fn seeds(target: &str, made: Vec<(&str, Vec<u8>)>) -> Vec<Vec<u8>> {
    shoal_fuzz_short::seeds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target), made)
}

fn sample_file() -> FleetFile {
    let randomness = FleetRandomness { id: [1; 16], operator: [3; 32], join: [2; 32] };
    let mut file = FleetFile::new(FleetName::new("site1").unwrap(), randomness).unwrap();
    file.pin(PinnedCluster { cluster: CLUSTER, number: 1, key: *ClusterSecret::from_random([5; 32]).unwrap().public() }).unwrap();
    file
}

/// Runs mutations of the seeds, and says how many were taken.
fn run(seeds: &[Vec<u8>], is_taken: impl Fn(&[u8]) -> bool) -> (usize, usize) {
    let mut rng = Rng::with_seed(1);
    let tried = mutations(MUTATIONS);
    ((0..tried).filter(|_| is_taken(&mutate(seeds, &mut rng))).count(), tried)
}

#[test]
fn beacons_of_any_bytes_are_read_or_refused() {
    limit_memory();
    let beacon = |standing, addresses: &[&str]| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let fleet = beacon::keys().fleet().tag();
        let beacon = Beacon { fleet, generation: Generation::FIRST, standing, boot: BootNonce([7; 8]), port: 6443, addresses };
        beacon.to_datagram(&beacon::keys()).unwrap()
    };
    let made = vec![
        ("virgin", beacon(Standing::Virgin, &[])),
        ("member", beacon(Standing::Member(CLUSTER.tag()), &["10.0.0.1", "fe80::1"])),
        ("dark", beacon(Standing::Dark(CLUSTER.tag()), &["10.0.0.1"])),
        ("removed", beacon(Standing::Removed, &["fd00::1"])),
    ];
    let seeds = seeds("beacon", made);
    assert!(seeds.iter().all(|seed| beacon::read_beacon(seed).1.is_some()));
    let (read, tried) = run(&seeds, |input| beacon::read_beacon(input).0);
    assert!(read > 0 && read < tried, "mutations neither all pass nor all fail: {read}");
    // What is taken for the fleet's own is one of the seeds: a mutation can put one of them back.
    let mut rng = Rng::with_seed(2);
    for _ in 0..tried {
        let input = mutate(&seeds, &mut rng);
        assert!(beacon::read_beacon(&input).1.is_none() || seeds.contains(&input), "{input:x?}");
    }
}

#[test]
fn sectors_of_any_bytes_are_read_or_refused() {
    limit_memory();
    let config = |owner, seeds: &[&str]| {
        let seeds = seeds.iter().map(|seed| seed.parse().unwrap()).collect();
        Config { build: Build { id: [6; 32], time: 1_800_000_000 }, policy: Policy::default(), seeds, owner }.encode().unwrap()
    };
    let sectors = [
        ("unclaimed", config(Owner::Unclaimed, &[])),
        ("claimed", config(Owner::Fleet(sample_file().stamp()), &[])),
        ("seeded", config(Owner::Fleet(sample_file().stamp()), &["10.0.0.1:1", "[fd00::1]:2"])),
    ];
    let mut made: Vec<_> = sectors.iter().map(|(name, sector)| (*name, [&[0], &sector[..]].concat())).collect();
    // Short ones, where mutations hit what means something; the checksum is put right.
    made.push(("short-unclaimed", [&[1], &sectors[0].1[..180]].concat()));
    made.push(("short-seeded", [&[1], &sectors[2].1[..180]].concat()));
    let seeds = seeds("config_sector", made);
    assert!(seeds.iter().all(|seed| config_sector::read_config(seed)));
    let (read, tried) = run(&seeds, config_sector::read_config);
    assert!(read > 0 && read < tried, "mutations neither all pass nor all fail: {read}");
}

#[test]
fn fleet_files_of_any_bytes_are_read_or_refused() {
    limit_memory();
    let file = sample_file().print();
    let made = vec![("file", file.as_bytes().to_vec()), ("commented", file.replace("[join]", "# here\n[join]").into_bytes())];
    let seeds = seeds("fleet_file", made);
    assert!(seeds.iter().all(|seed| fleet_file::read_fleet_file(seed)));
    let (read, tried) = run(&seeds, fleet_file::read_fleet_file);
    assert!(read > 0 && read < tried, "mutations neither all pass nor all fail: {read}");
}

#[test]
fn statements_of_any_bytes_are_read_or_refused() {
    limit_memory();
    let node = NodeSecret::from_random([8; 32]).unwrap();
    let cluster = ClusterSecret::from_random([5; 32]).unwrap();
    let (voters, outgoing) = (vec![NodeId(1), NodeId(3), NodeId(4)], vec![NodeId(1)]);
    let (config_term, config_index) = (1, 5);
    let past_life = PastLife { cluster: CLUSTER, node: NodeId(1), config_term, config_index, voters, outgoing, leaving: Leaving::Followed };
    let cert = MemberCert { cluster: CLUSTER, key_number: 1, node: NodeId(1), node_key: *node.public() };
    let rotation = KeyRotation { cluster: CLUSTER, number: 2, key: *cluster.public() };
    let made = vec![
        ("past-life", [&[0], &node.state(past_life).signed().encode()[..]].concat()),
        ("key-rotation", [&[1], &cluster.state(rotation).signed().encode()[..]].concat()),
        ("member", [&[2], &cluster.state(cert).signed().encode()[..]].concat()),
        ("removed", [&[3], &node.state(Removed { cluster: CLUSTER, node: NodeId(1), index: 2 }).signed().encode()[..]].concat()),
    ];
    let seeds = seeds("statement", made);
    assert!(seeds.iter().all(|seed| statement::read_statements(seed)));
    let (read, tried) = run(&seeds, statement::read_statements);
    assert!(read > 0 && read < tried, "mutations neither all pass nor all fail: {read}");
}
