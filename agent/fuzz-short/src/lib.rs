//! Short runs of fuzz targets on a stable compiler, for tests: the seed corpus of a target, and some thousand mutations of it, which follow from
//! a seed. cargo-fuzz, which needs a nightly compiler, begins with the same corpus and goes on for as long as one likes.
//!
//! | variable | does |
//! |---|---|
//! | `SHOAL_FUZZ_MUTATIONS=100000` | tries so many mutations |
//! | `SHOAL_FUZZ_WRITE_CORPUS=1` | writes the corpus anew after a format or a message has changed |

use std::{env, fs, path::Path};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub use fastrand::Rng;

/// Address space that a process which has called [`limit_memory`] may take: threads and a test's own data need some hundred MiB.
const ADDRESS_SPACE_BYTES: u64 = 4 << 30;

/// Changes of one mutation, at most.
const CHANGES_MAX: usize = 4;

/// Bytes that one change concerns, at most.
const CHANGE_BYTES_MAX: usize = 64;

/// Bytes that are taken from another seed, at most.
const FOREIGN_BYTES_MAX: usize = 5000;

/// Limits this process: a reader that believes a length in its input would ask for more memory, and abort.
///
/// # Panics
/// If the system does not allow it.
pub fn limit_memory() {
    let limit = getrlimit(Resource::As);
    setrlimit(Resource::As, Rlimit { current: Some(ADDRESS_SPACE_BYTES), maximum: limit.maximum }).expect("it is lower");
}

/// How many mutations to try: as many as asked for, or `usual`, which should take some seconds.
///
/// # Panics
/// If what is asked for is no number.
#[must_use]
pub fn mutations(usual: usize) -> usize {
    env::var("SHOAL_FUZZ_MUTATIONS").map_or(usual, |count| count.parse().expect("SHOAL_FUZZ_MUTATIONS is a number"))
}

/// The seeds in the directory of a corpus, in the order in which they are given, with their names and what would be written today; written
/// first if asked for.
///
/// # Panics
/// If one is not there, or is not what is written today.
#[must_use]
pub fn seeds<N: AsRef<str>>(corpus: &Path, made: impl IntoIterator<Item = (N, Vec<u8>)>) -> Vec<Vec<u8>> {
    let write = env::var_os("SHOAL_FUZZ_WRITE_CORPUS").is_some();
    if write {
        fs::create_dir_all(corpus).expect("the corpus can be made");
    }
    let seed = |(name, bytes): (N, Vec<u8>)| {
        let path = corpus.join(name.as_ref());
        if write {
            fs::write(&path, &bytes).expect("a seed can be written");
        }
        let found = fs::read(&path).unwrap_or_else(|error| panic!("the seed {}: {error}", path.display()));
        assert!(found == bytes, "the seed {} is not what is written today: write the corpus anew", path.display());
        found
    };
    made.into_iter().map(seed).collect()
}

/// One of the seeds, changed in some places, sometimes with a part of another one.
///
/// # Panics
/// If there are no seeds.
#[must_use]
pub fn mutate(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.usize(1..=CHANGES_MAX) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.usize(..bytes.len());
        let end = bytes.len().min(at + rng.usize(1..=CHANGE_BYTES_MAX));
        match rng.u8(..8) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.usize(..5)],
            2 => bytes[at..end].fill(0xff),
            3 => rng.fill(&mut bytes[at..end]),
            4 => bytes.truncate(at),
            5 => {
                let part = bytes[at..end].to_vec();
                let to = rng.usize(..bytes.len());
                bytes.splice(to..to, part);
            }
            kind => {
                let other = &seeds[rng.usize(..seeds.len())];
                let from = rng.usize(..=other.len());
                let part = &other[from..other.len().min(from + rng.usize(1..=FOREIGN_BYTES_MAX))];
                // In the place of as many bytes, so that what follows stays where it is, or of others.
                let until = if kind == 6 { bytes.len().min(at + part.len()) } else { end };
                bytes.splice(at..until, part.iter().copied());
            }
        }
    }
    bytes
}
