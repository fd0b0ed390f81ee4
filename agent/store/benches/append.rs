//! How long an append takes until it is durable, and what it writes: this log beside redb used as one, alternately on the same disk.
//!
//! `cargo bench -p shoal-store-files`. `SHOAL_BENCH_DIR` names a directory on the disk in question; else it is the target directory's.
//! Absolute times are those of the disk at that moment; the ratios mean something.
//!
//! Both forget, after each turn, what was appended in it, as a node does once its checkpoint has it: the log then uses its segments again.
//! What is written is told twice: as handed to the file system, and as the kernel sent it to the medium (`write_bytes` of `/proc/self/io`).
//! The log's seals are in the first figure only, since the next append overwrites them in the page cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redb::{Database, Durability, StorageBackend, TableDefinition};
use shoal_store_files::disk::RealDisk;
use shoal_store_files::log::{Entry, Log, LogId, LogOptions};
use shoal_store_files::wear::{Cause, Wear};

/// Bytes in an entry.
const ENTRY_BYTES: usize = 1024;

/// Batches that one of the two appends before it is the other's turn.
const TURN_BATCHES: usize = 25;

/// Turns of each.
const TURNS: usize = 24;

/// What each appends before it is measured: more than three segments, or as many batches.
const WARM_UP_BYTES: usize = 50 << 20;
const WARM_UP_BATCHES: usize = 1000;

/// Bytes in the log that is opened: what a node may have to replay.
const OPENED_BYTES: u64 = 48 << 20;

/// Something that appends batches and says what it wrote.
trait Appender {
    /// Returns when the batch is durable.
    fn append(&mut self, batch: &[Bytes]);
    /// Forgets everything that was appended.
    fn purge(&mut self);
    /// Bytes handed to the file system so far.
    fn written(&self) -> u64;
}

/// Bytes that the kernel has sent to media, or will, for this process.
fn sent_to_media() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

struct Own {
    log: Log,
    directory: PathBuf,
    next: u64,
    wear: Arc<Wear>,
}

impl Own {
    fn new(directory: &Path) -> Self {
        let wear = Arc::new(Wear::default());
        let log = Log::create(Arc::new(RealDisk), directory, LogOptions::default(), wear.clone()).unwrap();
        Self { log, directory: directory.to_owned(), next: 0, wear }
    }

    /// Fills some segments, closes the log, and opens it again.
    fn reopen(mut self, batch: &[Bytes]) {
        let before = self.wear.of(Cause::Entries).bytes;
        while self.wear.of(Cause::Entries).bytes < before + OPENED_BYTES {
            self.append(batch);
        }
        let directory = self.directory.clone();
        self.log.close().unwrap();
        let start = Instant::now();
        let (log, recovered) = Log::open(Arc::new(RealDisk), &directory, LogOptions::default(), Arc::default()).unwrap();
        let took = start.elapsed();
        let entries = recovered.state.last.unwrap().index - recovered.state.purged.unwrap().index;
        println!("{:>15} opened in {:.0} ms: {entries} entries, every byte read and checked", "", took.as_secs_f64() * 1e3);
        drop(log);
    }
}

impl Appender for Own {
    fn append(&mut self, batch: &[Bytes]) {
        let entry = |payload: &Bytes| {
            self.next += 1;
            Entry { id: LogId { term: 1, index: self.next }, payload: payload.clone() }
        };
        let (sender, receiver) = channel();
        self.log.append(batch.iter().map(entry).collect(), Box::new(move |result| sender.send(result).unwrap())).unwrap();
        receiver.recv().unwrap().unwrap();
    }

    fn purge(&mut self) {
        let (sender, receiver) = channel();
        let last = LogId { term: 1, index: self.next };
        self.log.purge(last, Box::new(move |result| sender.send(result).unwrap())).unwrap();
        receiver.recv().unwrap().unwrap();
    }

    fn written(&self) -> u64 {
        self.wear.total().bytes
    }
}

const ENTRIES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("entries");

struct Redb {
    database: Database,
    next: u64,
    written: Arc<AtomicU64>,
}

impl Redb {
    fn new(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
        let written = Arc::new(AtomicU64::new(0));
        let backend = Counting { file, written: written.clone() };
        Self { database: Database::builder().create_with_backend(backend).unwrap(), next: 0, written }
    }
}

impl Appender for Redb {
    fn append(&mut self, batch: &[Bytes]) {
        // One phase, one sync: redb at its fastest.
        let mut transaction = self.database.begin_write().unwrap();
        transaction.set_durability(Durability::Immediate).unwrap();
        {
            let mut table = transaction.open_table(ENTRIES).unwrap();
            for payload in batch {
                self.next += 1;
                table.insert(self.next, &payload[..]).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn purge(&mut self) {
        let mut transaction = self.database.begin_write().unwrap();
        transaction.set_durability(Durability::Immediate).unwrap();
        transaction.open_table(ENTRIES).unwrap().retain(|_, _| false).unwrap();
        transaction.commit().unwrap();
    }

    fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Counting {
    file: File,
    written: Arc<AtomicU64>,
}

impl StorageBackend for Counting {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.written.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(data, offset)
    }
}

#[derive(Default)]
struct Figures {
    times: Vec<Duration>,
    handed: u64,
    sent: u64,
}

impl Figures {
    fn turn(&mut self, appender: &mut dyn Appender, batch: &[Bytes]) {
        let (handed, sent) = (appender.written(), sent_to_media());
        for _ in 0..TURN_BATCHES {
            let start = Instant::now();
            appender.append(batch);
            self.times.push(start.elapsed());
        }
        appender.purge();
        self.handed += appender.written() - handed;
        self.sent += sent_to_media() - sent;
    }

    /// Microseconds at a part of the batches, 0.5 for the median.
    fn micros(&mut self, part: f64) -> f64 {
        self.times.sort_unstable();
        let at = (self.times.len() as f64 * part) as usize;
        self.times[at.min(self.times.len() - 1)].as_secs_f64() * 1e6
    }

    /// The 10th percentile (the disk when nobody else uses it), the median and the 99th in microseconds, and bytes handed and sent for each
    /// batch.
    fn row(&mut self) -> [f64; 5] {
        let batches = self.times.len() as f64;
        [self.micros(0.1), self.micros(0.5), self.micros(0.99), self.handed as f64 / batches, self.sent as f64 / batches]
    }
}

fn main() {
    let parent = std::env::var_os("SHOAL_BENCH_DIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let directory = tempfile::tempdir_in(parent).unwrap();
    println!("{} batches of each, {TURN_BATCHES} at a turn, in {}", TURNS * TURN_BATCHES, directory.path().display());
    println!("{:>8} {:>6} {:>8} {:>8} {:>8} {:>13} {:>13}", "entries", "", "p10 µs", "p50 µs", "p99 µs", "B handed", "B to medium");
    for entries in [1, 64] {
        let batch: Vec<Bytes> = (0..entries).map(|number| Bytes::from(vec![number as u8; ENTRY_BYTES])).collect();
        let mut own = Own::new(&directory.path().join(format!("log-{entries}")));
        let mut redb = Redb::new(&directory.path().join(format!("redb-{entries}")));
        // Until the log has made the segments that it uses again and again, and redb's file is as large as it gets.
        for appender in [&mut own as &mut dyn Appender, &mut redb] {
            for _ in 0..(WARM_UP_BYTES / (entries * ENTRY_BYTES)).min(WARM_UP_BATCHES) {
                appender.append(&batch);
            }
            appender.purge();
        }
        let (mut of_own, mut of_redb) = (Figures::default(), Figures::default());
        for _ in 0..TURNS {
            of_own.turn(&mut own, &batch);
            of_redb.turn(&mut redb, &batch);
        }
        let rows = [("log", of_own.row()), ("redb", of_redb.row())];
        for (name, [p10, p50, p99, handed, sent]) in rows {
            println!("{entries:>8} {name:>6} {p10:>8.0} {p50:>8.0} {p99:>8.0} {handed:>13.0} {sent:>13.0}");
        }
        let [p10, p50, p99, handed, sent] = std::array::from_fn(|column| rows[1].1[column] / rows[0].1[column]);
        println!("{:>8} {:>6} {p10:>8.2} {p50:>8.2} {p99:>8.2} {handed:>13.2} {sent:>13.2}   redb / log", "", "ratio");
        if entries > 1 {
            own.reopen(&batch);
        }
    }
}
