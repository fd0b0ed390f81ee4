//! Short runs of the fuzz targets, see [`shoal_fuzz_short`].

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use shoal_fuzz_short::{Rng, limit_memory, mutate, mutations};
use shoal_store_files::disk::sim::SimDisk;
use shoal_store_files::log::{Entry, LogFiles, LogId, LogOptions, Record};

#[path = "../fuzz/checkpoint_opener.rs"]
mod checkpoint_opener;
#[path = "../fuzz/log_reader.rs"]
mod log_reader;

/// Mutations: some seconds' worth.
const MUTATIONS: usize = 4000;

fn seeds(target: &str, made: Vec<(String, Vec<u8>)>) -> Vec<Vec<u8>> {
    shoal_fuzz_short::seeds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target), made)
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
    let mut rng = Rng::with_seed(1);
    let whole = (0..mutations(MUTATIONS)).filter(|_| log_reader::read_log(&mutate(&seeds, &mut rng))).count();
    assert!(whole > 0 && whole < mutations(MUTATIONS), "mutations neither all pass nor all fail: {whole}");
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
    let mut rng = Rng::with_seed(1);
    for _ in 0..mutations(MUTATIONS) / 4 {
        checkpoint_opener::open_changed(&mutate(&seeds, &mut rng));
    }
}
