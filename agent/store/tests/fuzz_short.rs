//! A short run of the fuzz targets on a stable compiler: their seed corpus, and some thousand mutations of it, which follow from a seed.
//! `SHOAL_FUZZ_MUTATIONS=100000` tries more. `SHOAL_FUZZ_WRITE_CORPUS=1` writes the corpus anew after the format has changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shoal_store_files::disk::sim::{Rng, SimDisk};
use shoal_store_files::log::{Entry, LogFiles, LogId, LogOptions, Record};

#[path = "../fuzz/checkpoint_opener.rs"]
mod checkpoint_opener;
#[path = "../fuzz/log_reader.rs"]
mod log_reader;

/// Address space that these tests may take: threads and the test's own data need some hundred MiB. A reader that believes a length in a
/// damaged file would ask for more and abort.
const ADDRESS_SPACE_BYTES: u64 = 4 << 30;

fn limit_memory() {
    let limit = getrlimit(Resource::As);
    setrlimit(Resource::As, Rlimit { current: Some(ADDRESS_SPACE_BYTES), maximum: limit.maximum }).unwrap();
}

fn mutations() -> usize {
    std::env::var("SHOAL_FUZZ_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(4000)
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The seeds on disk, in the order of their names; written first if asked for.
fn seeds(target: &str, made: Vec<(String, Vec<u8>)>) -> Vec<Vec<u8>> {
    let directory = corpus(target);
    if std::env::var_os("SHOAL_FUZZ_WRITE_CORPUS").is_some() {
        std::fs::create_dir_all(&directory).unwrap();
        for (name, bytes) in &made {
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
    let read = |(name, bytes): (String, Vec<u8>)| {
        let found = std::fs::read(directory.join(&name)).unwrap_or_else(|error| panic!("the seed {name} of {target}: {error}"));
        assert!(found == bytes, "the seed {name} of {target} is not what is written today: write the corpus anew");
        found
    };
    made.into_iter().map(read).collect()
}

/// One of the seeds, changed in some places, sometimes with a part of another one.
fn mutate(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.below(seeds.len())].clone();
    for _ in 0..1 + rng.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.below(bytes.len());
        let end = bytes.len().min(at + 1 + rng.below(64));
        match rng.below(7) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5)],
            2 => bytes[at..end].fill(0xff),
            3 => bytes[at..end].iter_mut().for_each(|byte| *byte = rng.next() as u8),
            4 => bytes.truncate(at),
            5 => {
                let part = bytes[at..end].to_vec();
                let to = rng.below(bytes.len());
                bytes.splice(to..to, part);
            }
            _ => {
                let other = &seeds[rng.below(seeds.len())];
                let from = rng.below(other.len());
                let length = (other.len() - from).min(bytes.len() - at).min(1 + rng.below(5000));
                bytes[at..at + length].copy_from_slice(&other[from..from + length]);
            }
        }
    }
    bytes
}

/// Logs as the target takes them: each segment without the zeros at its end. Each comes twice, with its CRCs as they are and put right.
fn log_seeds() -> Vec<(String, Vec<u8>)> {
    let append = |indices: std::ops::Range<u64>, size| {
        indices
            .map(move |index| Record::Append(Entry { id: LogId { term: 1, index }, payload: Bytes::from(vec![7; size]) }))
            .collect::<Vec<_>>()
    };
    let log = |batches: &[Vec<Record>], sealed: bool| {
        let disk = SimDisk::new(5);
        let options = LogOptions { segment_bytes: 64 << 10, background: false, ..LogOptions::default() };
        let mut files = LogFiles::create(Arc::new(disk.clone()), Path::new("/log"), options, Arc::default()).unwrap();
        batches.iter().for_each(|batch| files.commit(batch).unwrap());
        if sealed {
            files.close().unwrap();
        }
        let mut input = Vec::new();
        for path in disk.paths().into_iter().filter(|path| path.to_string_lossy().contains("segment-")) {
            let bytes = disk.contents(&path);
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            input.extend_from_slice(&(used as u32).to_le_bytes());
            input.extend_from_slice(&bytes[..used]);
        }
        input
    };
    let id = |index| LogId { term: 1, index };
    let few = [
        vec![Record::Vote(Bytes::from_static(b"vote")), Record::Committed(None)],
        append(0..3, 20),
        vec![Record::Truncate { from: 2 }, Record::Purge { to: id(0) }, Record::Committed(Some(id(1)))],
    ];
    let mut torn = log(&few, false);
    torn.truncate(torn.len() - 50);
    let several = [append(0..2, 18_000), vec![Record::Vote(Bytes::from_static(b"2"))], append(2..6, 1000)];
    let logs = [("sealed", log(&few, true)), ("unsealed", log(&few, false)), ("torn", torn), ("two-segments", log(&several, true))];
    let modes = [("", 0), ("-put-right", 1)];
    let seed = |(mode, first): (&str, u8)| logs.clone().map(|(name, log)| (format!("{name}{mode}"), [vec![first], log].concat()));
    modes.into_iter().flat_map(seed).collect()
}

#[test]
fn the_log_reader_takes_any_bytes() {
    limit_memory();
    let seeds = seeds("log_reader", log_seeds());
    for seed in seeds.iter().filter(|seed| seed[0] == 0) {
        assert!(log_reader::read_log(seed), "a seed is a log, whole or torn");
    }
    let mut rng = Rng::new(1);
    let whole = (0..mutations()).filter(|_| log_reader::read_log(&mutate(&seeds, &mut rng))).count();
    assert!(whole > 0 && whole < mutations(), "mutations neither all pass nor all fail: {whole}");
}

/// Changes of the sample as the target takes them.
fn checkpoint_seeds() -> Vec<(String, Vec<u8>)> {
    let change = |full: bool, length: u32, changes: &[(u32, &[u8])]| {
        let mut input = vec![u8::from(full)];
        input.extend_from_slice(&length.to_le_bytes());
        for (position, bytes) in changes {
            input.push(bytes.len() as u8);
            input.extend_from_slice(&position.to_le_bytes());
            input.extend_from_slice(bytes);
        }
        input
    };
    let seeds = [
        ("unchanged", change(false, u32::MAX, &[])),
        ("unchanged-checked", change(true, u32::MAX, &[])),
        ("short", change(true, 100_000, &[])),
        ("header", change(false, u32::MAX, &[(9, &[0xff; 8])])),
        ("slot", change(true, u32::MAX, &[(64, &[0xff; 32]), (192, &[0; 16])])),
        ("pages", change(false, u32::MAX, &[(4096, &[1, 2, 3, 4]), (8192, &[0xff; 4]), (20_480, &[0; 100]), (40_960, &[2; 30])])),
    ];
    seeds.map(|(name, input)| (name.to_owned(), input)).into()
}

#[test]
fn the_checkpoint_opener_takes_any_file() {
    limit_memory();
    // redb's panics on damaged pages become errors; their messages say nothing new here.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|location| location.file().contains("redb") || location.file().contains("/library/")) {
            hook(panic);
        }
    }));
    let seeds = seeds("checkpoint_opener", checkpoint_seeds());
    let whole: Vec<bool> = seeds.iter().map(|seed| checkpoint_opener::open_changed(seed)).collect();
    assert!(whole[0] && whole[1] && !whole[2], "{whole:?}");
    let mut rng = Rng::new(1);
    for _ in 0..mutations() / 4 {
        checkpoint_opener::open_changed(&mutate(&seeds, &mut rng));
    }
}
