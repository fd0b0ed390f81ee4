//! The operator's file: strict, without a secret in any error, and rotated.

use shoal_trust::{
    config::{Config, Owner},
    fleet::ClusterId,
    fleet::{FleetName, Generation, Policy},
    fleet_file::{CLUSTERS_MAX, FLEET_FILE_BYTES_MAX, FleetFile, FleetFileError, FleetRandomness, PinError, RotateError},
    join_proof::{self, JoinProofError},
    statement::{ChainError, KeyRotation, PinnedCluster},
};

use crate::sample::*;

const KNOWN: &str = include_str!("site1.fleet");

fn parse(from: &str, to: &str) -> FleetFileError {
    assert!(KNOWN.contains(from), "{from}");
    FleetFile::parse(&KNOWN.replacen(from, to, 1)).unwrap_err()
}

fn randomness() -> FleetRandomness {
    FleetRandomness { id: fleet().0, operator: counting(0x80), join: counting(0x40) }
}

fn new() -> FleetFile {
    FleetFile::new(FleetName::new("site1").unwrap(), randomness()).unwrap()
}

#[test]
fn each_mistake_has_its_error() {
    assert_eq!(parse("version = 1", "version = 2"), FleetFileError::Version(2));
    assert_eq!(parse("name = \"site1\"", "name = \"Site 1\""), FleetFileError::Name);
    assert!(matches!(parse("id = \"shoal-fleet-1-c", "id = \"shoal-fleet-1-d"), FleetFileError::Value("the fleet's id", _)));
    assert!(matches!(parse("shoal-operator-1-z", "shoal-operator-1-y"), FleetFileError::PublicKey("the operator's public key", _)));
    assert!(matches!(parse("secret-key = \"shoal-operator-secret-1-", "secret-key = \"shoal-join-secret-1-"), FleetFileError::Value(..)));
    assert!(matches!(parse("42c4\"", "42c5\""), FleetFileError::Value("the join secret", _)));
    assert_eq!(parse("generation = 1", "generation = 0"), FleetFileError::Zero("the generation of the join secret"));
    assert_eq!(parse("key-number = 2", "key-number = 0"), FleetFileError::Zero("the number of a cluster's key"));
    assert!(matches!(parse("key-number = 2", ""), FleetFileError::Toml { .. }));
    assert!(
        matches!(parse("[join]", "[join]\ncolour = 1"), FleetFileError::Toml { line: Some(11), .. }),
        "{:?}",
        parse("[join]", "[join]\ncolour = 1")
    );
    assert!(matches!(parse("[operator]", "[operator]\n[operator]"), FleetFileError::Toml { .. }));
    let twice = format!("{KNOWN}{}", &KNOWN[KNOWN.find("\n[[cluster]]").unwrap()..]);
    assert_eq!(FleetFile::parse(&twice).unwrap_err(), FleetFileError::ClusterTwice(cluster()));
    let long = format!("{KNOWN}#{}", "x".repeat(FLEET_FILE_BYTES_MAX));
    assert_eq!(FleetFile::parse(&long).unwrap_err(), FleetFileError::Length(long.len()));
}

#[test]
fn halves_of_two_files_are_noticed() {
    let other = FleetFile::new(FleetName::new("b").unwrap(), FleetRandomness { operator: [5; 32], ..randomness() }).unwrap().print();
    let line = |text: &str| text.lines().find(|line| line.starts_with("public-key")).unwrap().to_owned();
    assert_eq!(parse(&line(KNOWN), &line(&other)), FleetFileError::Mixed);
}

#[test]
fn people_may_add_comments() {
    let commented = KNOWN.replace("[join]", "# made in March\n\n[join] # the sticks in the drawer have this one");
    assert_eq!(FleetFile::parse(&commented).unwrap(), FleetFile::parse(KNOWN).unwrap());
}

/// What must not be in any error: the base32 of both secrets.
fn secrets() -> Vec<String> {
    let value = |line: &&str| line.split('"').nth(1).unwrap().rsplit('-').next().unwrap().to_owned();
    KNOWN.lines().filter(|line| line.starts_with("secret")).map(|line| value(&line)).collect()
}

#[test]
fn no_error_shows_a_secret() {
    let secrets = secrets();
    assert_eq!(secrets.len(), 2);
    // Whatever stands between, before or in the place of what should be there.
    for at in 0..KNOWN.len() {
        for put in ["\n", "\"", "=", "#", "[", "\\", "x", "1", " "] {
            for until in [at, at + 1] {
                let changed = [&KNOWN[..at], put, &KNOWN[until..]].concat();
                if let Err(error) = FleetFile::parse(&changed) {
                    let shown = format!("{error} {error:?}");
                    for secret in &secrets {
                        // A part of it is one, too.
                        let parts = (0..secret.len() - 8).map(|start| &secret[start..start + 8]);
                        assert!(parts.into_iter().all(|part| !shown.contains(part)), "{shown}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_fleet_file_shows_nothing_of_its_secrets() {
    let shown = format!("{:?}", new());
    // The operator's seed counts up from 0x80, the join secret from 0x40.
    assert!(shown.contains("(secret)") && !shown.contains("128, 129") && !shown.contains("64, 65") && !shown.contains("404142"), "{shown}");
}

#[test]
fn after_a_rotation_old_sticks_are_told_so() {
    let (client, server) = sessions();
    let mut file = new();
    let old = file.keys();
    file.rotate([0x99; 32]).unwrap();
    assert_eq!(file.generation(), Generation::new(2).unwrap());
    let again = FleetFile::parse(&file.print()).unwrap();
    assert_eq!(again, file);
    let (theirs, ours) = (Generation::FIRST, Generation::new(2).unwrap());
    let proof = join_proof::prove(&old, &client);
    assert_eq!(join_proof::verify(&again.keys(), &server, &proof), Err(JoinProofError::OtherGeneration { theirs, ours }));
    let stamped = Config { build: build(), policy: Policy::default(), seeds: Vec::new(), owner: Owner::Fleet(again.stamp()) };
    let stick = Config::parse(&stamped.encode().unwrap()).unwrap();
    assert!(join_proof::verify(&again.keys(), &server, &join_proof::prove(&stick.keys(), &client)).is_ok());
}

#[test]
fn what_is_not_random_is_refused_and_changes_nothing() {
    let mut file = new();
    assert!(matches!(file.rotate([0; 32]), Err(RotateError::NotRandom(_))));
    assert_eq!(file.rotate(counting(0x40)), Err(RotateError::Same));
    assert_eq!(file, new());
    for (randomness, what) in [
        (FleetRandomness { id: [0; 16], ..randomness() }, "the fleet's id"),
        (FleetRandomness { operator: [0; 32], ..randomness() }, "the operator's key"),
        (FleetRandomness { join: [0; 32], ..randomness() }, "the join secret"),
    ] {
        assert_eq!(FleetFile::new(FleetName::new("a").unwrap(), randomness).unwrap_err(), FleetFileError::NotRandom(what));
    }
}

#[test]
fn a_cluster_is_known_again_by_its_key() {
    let [first, second] = cluster_keys();
    let known = PinnedCluster { cluster: cluster(), number: 1, key: *first.public() };
    let rotation = first.state(KeyRotation { cluster: cluster(), number: 2, key: *second.public() }).signed().clone();
    let mut file = new();
    assert_eq!(file.follow(cluster(), &[]), Err(PinError::Unknown(cluster())));
    file.pin(known.clone()).unwrap();
    file.pin(known.clone()).unwrap();
    assert_eq!(file.clusters(), std::slice::from_ref(&known));
    let other = PinnedCluster { key: *second.public(), ..known.clone() };
    assert_eq!(file.pin(other), Err(PinError::OtherKey(cluster())));
    let forged = second.state(KeyRotation { cluster: cluster(), number: 2, key: *second.public() }).signed().clone();
    assert_eq!(file.follow(cluster(), &[forged]), Err(PinError::Chain(ChainError::Signature(2))));
    assert_eq!(file.clusters(), std::slice::from_ref(&known), "nothing has changed");
    assert_eq!(file.follow(cluster(), &[rotation]).unwrap().number, 2);
    assert_eq!(FleetFile::parse(&file.print()).unwrap().clusters()[0].key, *second.public());
}

#[test]
fn the_fullest_file_can_be_read() {
    let mut file = new();
    let pinned = |number: usize| {
        let mut id = [1; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        PinnedCluster { cluster: ClusterId(id), number: u32::MAX, key: *cluster_keys()[0].public() }
    };
    (0..CLUSTERS_MAX).for_each(|number| file.pin(pinned(number)).unwrap());
    assert_eq!(file.pin(pinned(CLUSTERS_MAX)), Err(PinError::Full));
    let text = file.print();
    assert!(text.len() <= FLEET_FILE_BYTES_MAX, "{}", text.len());
    assert_eq!(FleetFile::parse(&text).unwrap(), file);
}
