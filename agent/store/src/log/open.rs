//! Making a log, and opening one: reading everything, and telling a torn tail from damage.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use shoal_store_format::{
    BLOCK_BYTES, Contents, Frame, HeaderError, Mark, RecordRef, Replay, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SegmentEnd, SegmentHeader,
    mark,
};

use super::error::{LogFailed, OpenLogError};
use super::files::{Durable, LogFiles, Segment};
use super::names::SpareName;
use super::segment::begin_segment;
use super::spare::{SpareMaker, Spares};
use super::{LogOptions, LogState, Recovered, Torn, Wanted, names};
use crate::bugs::Bug;
use crate::disk::{Disk, File, Lock};
use crate::wear::{Cause, Wear};

/// What is in a log's directory.
#[derive(Debug, Default)]
struct Found {
    segments: BTreeSet<u64>,
    spares: BTreeSet<u64>,
    unfinished: Vec<String>,
}

impl Found {
    fn list(disk: &dyn Disk, directory: &Path) -> Result<Self, OpenLogError> {
        let mut found = Self::default();
        for name in disk.list(directory).map_err(|source| io_error("list", directory, source))? {
            match (names::segment_number(&name), names::spare_name(&name)) {
                (Some(number), _) => _ = found.segments.insert(number),
                (None, Some(SpareName::Ready(number))) => _ = found.spares.insert(number),
                (None, Some(SpareName::Unfinished)) => found.unfinished.push(name),
                (None, None) => {}
            }
        }
        Ok(found)
    }

    /// The segments that count: those up to the highest without a hole. Below a hole are segments that were let go of, of whose names a
    /// power cut kept some; if one was not, entries are missing, and that shows.
    fn run(&self) -> Vec<u64> {
        let mut run: Vec<u64> = Vec::new();
        for &number in self.segments.iter().rev() {
            if run.last().is_some_and(|above| number.checked_add(1) != Some(*above)) {
                break;
            }
            run.push(number);
        }
        run.reverse();
        run
    }
}

/// A segment of which the header was read.
struct Headed {
    header: SegmentHeader,
    file: Arc<dyn File>,
    path: PathBuf,
}

impl LogFiles {
    /// See [`Log::create`](super::Log::create).
    ///
    /// # Errors
    /// As there.
    pub fn create(disk: Arc<dyn Disk>, directory: &Path, options: LogOptions, wear: Arc<Wear>) -> Result<Self, OpenLogError> {
        let options = sound(options);
        disk.create_directory(directory).map_err(|source| io_error("create", directory, source))?;
        if let Some(parent) = directory.parent() {
            disk.sync_directory(parent).map_err(|source| io_error("sync", parent, source))?;
        }
        let lock = take_lock(&*disk, directory)?;
        let found = Found::list(&*disk, directory)?;
        if !found.segments.is_empty() {
            return Err(OpenLogError::Exists { directory: directory.to_owned() });
        }
        let mut spares = spares(&disk, directory, &options, &wear, &found)?;
        let spare = spares.take().map_err(|source| io_error("make a segment in", directory, source))?;
        let random = || disk.random().map_err(|source| io_error("get random bits for", directory, source));
        let mut log = [0; 16];
        log[..8].copy_from_slice(&random()?.to_le_bytes());
        log[8..].copy_from_slice(&random()?.to_le_bytes());
        let first =
            SegmentHeader { log, number: 1, salt: 0, first_sequence: 1, segment_bytes: options.segment_bytes, head: Default::default() };
        let (header, file) = begin_segment(&*disk, directory, &options, &wear, spare, first)?;
        let durable = Durable {
            contents: Contents::default(),
            segments: BTreeMap::from([(1, Segment { file: file.clone(), bytes: header.segment_bytes })]),
        };
        let mut files = Self {
            disk,
            directory: directory.to_owned(),
            options,
            wear,
            _lock: lock,
            shared: Arc::new(Mutex::new(durable)),
            header,
            file,
            offset: BLOCK_BYTES as u64,
            sequence: 1,
            frame: Frame::new(),
            sealed: false,
            spares,
            commits: 0,
            failed: None,
            held_back: Vec::new(),
        };
        files.provide_spare();
        Ok(files)
    }

    /// See [`Log::open`](super::Log::open). `each` sees every record in order, also those that later ones undo.
    ///
    /// # Errors
    /// As there.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LogOptions,
        wear: Arc<Wear>,
        each: &mut dyn FnMut(RecordRef<'_>),
    ) -> Result<(Self, Recovered), OpenLogError> {
        Self::open_if(disk, directory, options, wear, &|_| Ok(()), each)
    }

    /// See [`Log::open_if`](super::Log::open_if).
    pub(super) fn open_if(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LogOptions,
        wear: Arc<Wear>,
        wanted: &Wanted<'_>,
        each: &mut dyn FnMut(RecordRef<'_>),
    ) -> Result<(Self, Recovered), OpenLogError> {
        let options = sound(options);
        let lock = take_lock(&*disk, directory)?;
        // A process that was killed may have left names that are not durable; what is decided now must not depend on them.
        disk.sync_directory(directory).map_err(|source| io_error("sync", directory, source))?;
        wear.synced(Cause::Rotation);
        let found = Found::list(&*disk, directory)?;
        let mut segments = read_headers(&*disk, directory, &found)?;

        // The frame that was in flight is in the last segment, the close that was in flight in the one before. A killed process may have
        // left them in the page cache only; after a failed sync the cache even calls clean what the medium does not have. So: what can be
        // made durable is, and then the medium itself is read.
        for Headed { file, path, .. } in segments.iter().rev().take(2).filter(|_| !options.bugs.has(Bug::TrustCache)) {
            file.sync_data().map_err(|source| io_error("sync", path, source))?;
            wear.synced(Cause::Rotation);
            file.forget_cached().map_err(|source| io_error("read", path, source))?;
        }

        let (contents, ends) = replay(&mut segments, options.bugs.has(Bug::CutInTheMiddle), each)?;
        let (Some(last), Some(end)) = (segments.pop(), ends.last().copied()) else {
            return Err(OpenLogError::Missing { directory: directory.to_owned() });
        };
        let head = contents.head();
        let state = LogState { purged: head.purged, last: head.last, vote: head.vote, committed: head.committed };
        wanted(&state).map_err(|reason| OpenLogError::Unwanted { reason })?;

        // From here on files are changed. The seal takes the place of what was torn, and says that all before it is durable.
        let write = |segment: &Headed, end: &SegmentEnd, kind, cause| {
            let block = mark(kind, segment.header.salt, end.sequence - 1);
            segment.file.write_all_at(end.offset, &block).map_err(|source| io_error("write to", &segment.path, source))?;
            wear.wrote(cause, block.len());
            segment.file.sync_data().map_err(|source| io_error("sync", &segment.path, source))?;
            wear.synced(cause);
            Ok::<_, OpenLogError>(())
        };
        write(&last, &end, Mark::Seal, Cause::Seal)?;
        if let (Some(before), Some(end)) = (segments.last(), ends.iter().rev().nth(1).filter(|end| !end.closed)) {
            write(before, end, Mark::Close, Cause::Rotation)?;
        }

        let torn = end.torn.then(|| Torn { file: names::segment(last.header.number), offset: end.offset });
        if let Some(Torn { file, offset }) = &torn {
            tracing::info!(
                file,
                offset,
                "cut off what an interrupted write left at the end of the raft log: nobody was told that it is durable"
            );
        }
        let spares = spares(&disk, directory, &options, &wear, &found)?;
        let rows = segments.iter().chain([&last]);
        let rows = rows.map(|one| (one.header.number, Segment { file: one.file.clone(), bytes: one.header.segment_bytes })).collect();
        let mut files = Self {
            disk,
            directory: directory.to_owned(),
            options,
            wear: wear.clone(),
            _lock: lock,
            shared: Arc::new(Mutex::new(Durable { contents, segments: rows })),
            header: last.header,
            file: last.file,
            offset: end.offset,
            sequence: end.sequence,
            frame: Frame::new(),
            sealed: true,
            spares,
            commits: 0,
            failed: None,
            held_back: Vec::new(),
        };
        let run = found.run();
        let below = found.segments.iter().copied().filter(|number| run.first().is_some_and(|first| number < first));
        // Their lengths are not known, so they are removed.
        files.let_go(below.map(|number| (number, 0)).collect())?;
        files.recycle()?;
        files.provide_spare();
        Ok((files, Recovered { state, torn }))
    }
}

/// Options within the limits of the format.
fn sound(mut options: LogOptions) -> LogOptions {
    let block = BLOCK_BYTES as u32;
    options.segment_bytes = options.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX) / block * block;
    options
}

fn take_lock(disk: &dyn Disk, directory: &Path) -> Result<Box<dyn Lock>, OpenLogError> {
    disk.lock(&directory.join(names::LOCK)).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenLogError::Locked { directory: directory.to_owned() },
        io::ErrorKind::NotFound => OpenLogError::Missing { directory: directory.to_owned() },
        _ => io_error("lock", directory, source),
    })
}

/// The spares that can be used; the others are removed.
fn spares(disk: &Arc<dyn Disk>, directory: &Path, options: &LogOptions, wear: &Arc<Wear>, found: &Found) -> Result<Spares, OpenLogError> {
    let remove = |name: &str| {
        let path = directory.join(name);
        disk.remove(&path).map_err(|source| io_error("remove", &path, source))
    };
    for name in &found.unfinished {
        remove(name)?;
    }
    let mut ready = BTreeSet::new();
    for &number in &found.spares {
        let path = directory.join(names::spare(number));
        let length = disk.open(&path).and_then(|file| file.len()).map_err(|source| io_error("open", &path, source))?;
        if length == u64::from(options.segment_bytes) && ready.len() < options.spares {
            ready.insert(number);
        } else {
            remove(&names::spare(number))?;
        }
    }
    let maker = SpareMaker {
        disk: disk.clone(),
        directory: directory.to_owned(),
        wear: wear.clone(),
        bytes: options.segment_bytes,
        bugs: options.bugs,
    };
    // Numbers of removed ones are used again only after the highest of those that stay; names are unique in any case.
    Ok(Spares::new(maker, ready, options.background))
}

fn read_headers(disk: &dyn Disk, directory: &Path, found: &Found) -> Result<Vec<Headed>, OpenLogError> {
    let mut segments = Vec::new();
    for number in found.run() {
        let path = directory.join(names::segment(number));
        let file = disk.open(&path).map_err(|source| io_error("open", &path, source))?;
        let mut block = vec![0; BLOCK_BYTES];
        let parsed = match file.read_exact_at(0, &mut block) {
            Ok(()) => SegmentHeader::parse(&block),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(HeaderError::Damaged),
            Err(source) => return Err(OpenLogError::Unreadable { path, source }),
        };
        let damaged = |what: shoal_store_format::What| {
            let last_readable = None;
            let damage = shoal_store_format::Damage { segment: number, offset: 0, what, last_readable };
            OpenLogError::damaged(directory, &damage)
        };
        match parsed {
            Ok(header) if header.number == number => segments.push(Headed { header, file, path }),
            Ok(_) => return Err(damaged(shoal_store_format::What::Misplaced)),
            Err(HeaderError::Damaged) => return Err(damaged(shoal_store_format::What::Header)),
            Err(HeaderError::Version { version }) => return Err(OpenLogError::Version { path, version }),
        }
    }
    Ok(segments)
}

/// Reads all segments. With the known bug `cut`, everything from the first damage on is dropped from `segments`, too.
fn replay(segments: &mut Vec<Headed>, cut: bool, each: &mut dyn FnMut(RecordRef<'_>)) -> Result<(Contents, Vec<SegmentEnd>), OpenLogError> {
    let Some(first) = segments.first() else { return Ok((Contents::default(), Vec::new())) };
    let directory = first.path.parent().unwrap_or(Path::new("")).to_owned();
    let mut replay = Replay::begin(&first.header);
    let mut ends = Vec::new();
    let mut buffer = Vec::new();
    for at in 0..segments.len() {
        let Headed { header, file, path } = &segments[at];
        let unreadable = |source| OpenLogError::Unreadable { path: path.clone(), source };
        let length = file.len().map_err(unreadable)?;
        // A file that is longer than its header says is damage, and need not be read to say so.
        buffer.resize(length.min(u64::from(header.segment_bytes) + 1) as usize, 0);
        file.read_exact_at(0, &mut buffer).map_err(unreadable)?;
        match replay.segment(header, &buffer, segments.get(at + 1).map(|next| &next.header), each) {
            Ok(end) => ends.push(end),
            Err(damage) if cut && damage.offset > 0 => {
                let sequence = replay.next_sequence();
                ends.push(SegmentEnd { offset: damage.offset, sequence, closed: false, torn: true });
                segments.truncate(at + 1);
                break;
            }
            Err(damage) => return Err(OpenLogError::damaged(&directory, &damage)),
        }
    }
    let contents = replay.finish().map_err(|damage| OpenLogError::damaged(&directory, &damage))?;
    Ok((contents, ends))
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> OpenLogError {
    OpenLogError::Io { action, path: path.to_owned(), source }
}

impl From<LogFailed> for OpenLogError {
    fn from(failed: LogFailed) -> Self {
        let source = io::Error::new(failed.source.kind(), failed.source);
        Self::Io { action: failed.action, path: failed.path, source }
    }
}
