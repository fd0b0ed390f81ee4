//! A short run of the fuzz target on a stable compiler: its seed corpus, and some thousand mutations of it, which follow from a seed.
//! `SHOAL_FUZZ_MUTATIONS=1000000` tries more. `SHOAL_FUZZ_WRITE_CORPUS=1` writes the corpus anew after a message has changed.

use std::path::Path;

use super::{seeds, take_in};

/// Some seconds' worth.
const MUTATIONS: usize = 50_000;

fn mutations() -> usize {
    std::env::var("SHOAL_FUZZ_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(MUTATIONS)
}

/// One of the seeds, changed in some places, sometimes with a part of another one.
fn mutate(seeds: &[Vec<u8>], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.usize(1..5) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.usize(..bytes.len());
        let end = bytes.len().min(at + rng.usize(1..16));
        match rng.u8(..6) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.usize(..5)],
            2 => bytes[at..end].fill(0xff),
            3 => bytes.truncate(at),
            4 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            _ => {
                let other = &seeds[rng.usize(..seeds.len())];
                let from = rng.usize(..other.len());
                drop(bytes.splice(at..end, other[from..].to_vec()));
            }
        }
    }
    bytes
}

#[test]
fn what_peers_say_is_understood_or_refused_whatever_it_is() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/peer_decoder");
    let write = std::env::var_os("SHOAL_FUZZ_WRITE_CORPUS").is_some();
    let mut inputs = Vec::new();
    for (name, made) in seeds() {
        if write {
            std::fs::create_dir_all(&directory).expect("it can be made");
            std::fs::write(directory.join(name), &made).expect("it is written");
        }
        let seed = std::fs::read(directory.join(name)).unwrap_or_else(|error| panic!("the seed {name}: {error}"));
        assert!(seed == made, "the seed {name} is not what is written today: write the corpus anew");
        assert!(take_in(&seed), "the seed {name} is a message");
        inputs.push(seed);
    }
    let mut rng = fastrand::Rng::with_seed(1);
    let understood = (0..mutations()).filter(|_| take_in(&mutate(&inputs, &mut rng))).count();
    assert!(understood > 0 && understood < mutations(), "mutations neither all pass nor all fail: {understood}");
}
