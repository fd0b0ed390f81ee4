//! Making the cache smaller, also while builds use it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::cache::{Cache, hold_name};
use crate::error::CacheError;
use crate::lock;
use crate::session::Sessions;
use crate::step::RUNNING;
use crate::tree;
use crate::usage::{Amount, amount};

/// What to remove. What killed builds left goes in any case, what a living build uses stays in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrunePolicy {
    /// Everything.
    Everything,
    /// What no build has used for this long.
    UnusedFor(Duration),
    /// Only what killed builds left.
    Leftovers,
}

/// What pruning did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Removed.
    pub removed: Amount,
    /// Entries that the policy names and that stay because a living build uses them.
    pub in_use: u64,
}

impl Cache {
    /// Removes what `policy` says. What this cache looked up itself counts as in use, too.
    ///
    /// # Errors
    /// Something cannot be read or removed. Everything else may be gone by then; what is left is whole.
    pub fn prune(&self, policy: &PrunePolicy) -> Result<Pruned, CacheError> {
        let bin = self.temporary().join("pruned");
        fs::create_dir_all(&bin).map_err(CacheError::during("make", &bin))?;
        let mut pruning = Pruning::new(self.root(), Bin::At { place: &bin, moved: 0 }, policy);
        {
            // Others wait only while entries are renamed into the bin. Emptying it takes longer, and disturbs nobody.
            let _closed = self.close()?;
            pruning.decide().map_err(CacheError::during("prune", self.root()))?;
        }
        let mut pruned = Pruned { in_use: pruning.in_use, ..Pruned::default() };
        for name in tree::names(&bin).map_err(CacheError::during("read", &bin))? {
            let entry = bin.join(name);
            pruned.removed += amount(&entry).map_err(CacheError::during("read", &entry))?;
            shoal_teardown::remove(&entry).map_err(CacheError::during("remove", &entry))?;
        }
        Ok(pruned)
    }

    /// Frees some space in a file system that is so full that the cache in `dir` cannot be opened to be pruned: removes files of it that
    /// `policy` names, and unfinished downloads. Everybody else waits meanwhile.
    ///
    /// # Errors
    /// Something cannot be read or removed, or there is no cache.
    pub fn make_room(dir: &Path, policy: &PrunePolicy) -> Result<Amount, CacheError> {
        let root = dir.canonicalize().map_err(CacheError::during("find", dir))?;
        let gate = root.join("gate");
        let _closed = File::open(&gate).and_then(|gate| gate.lock().map(|()| gate)).map_err(CacheError::during("lock", &gate))?;
        let mut pruning = Pruning::new(&root, Bin::Nowhere(Amount::default()), policy);
        pruning.decide_files().map_err(CacheError::during("prune", &root))?;
        match pruning.bin {
            Bin::Nowhere(removed) => Ok(removed),
            Bin::At { .. } => Ok(Amount::default()),
        }
    }
}

/// Where entries go that are to be removed.
enum Bin<'a> {
    /// Into a directory on the same file system, which is a leftover itself if this process is killed.
    At { place: &'a Path, moved: u64 },
    /// Nowhere, at once: files only. What was removed is counted.
    Nowhere(Amount),
}

struct Pruning<'a> {
    root: &'a Path,
    bin: Bin<'a>,
    policy: &'a PrunePolicy,
    now: SystemTime,
    held: BTreeSet<String>,
    in_use: u64,
}

impl<'a> Pruning<'a> {
    fn new(root: &'a Path, bin: Bin<'a>, policy: &'a PrunePolicy) -> Self {
        Self { root, bin, policy, now: SystemTime::now(), held: BTreeSet::new(), in_use: 0 }
    }

    /// What is a file, and counts or not by that alone.
    fn decide_files(&mut self) -> io::Result<()> {
        self.held = Sessions::read(&self.root.join("sessions"))?.held;
        self.objects()?;
        self.partials()
    }

    fn decide(&mut self) -> io::Result<()> {
        let sessions = Sessions::read(&self.root.join("sessions"))?;
        self.held = sessions.held;
        for directory in sessions.dead {
            self.discard(&directory)?;
        }
        self.objects()?;
        self.entries("steps", &self.root.join("steps"))?;
        self.entries("shared", &self.root.join("shared"))?;
        self.partials()?;
        self.steps_of_the_dead()
    }

    fn objects(&mut self) -> io::Result<()> {
        for prefix in tree::names(&self.root.join("objects"))? {
            self.entries("objects", &self.root.join("objects").join(prefix))?;
        }
        Ok(())
    }

    fn entries(&mut self, kind: &str, directory: &Path) -> io::Result<()> {
        for name in tree::names(directory)? {
            let path = directory.join(&name);
            if name.ends_with(RUNNING) || !self.policy_names(&path)? {
                continue;
            }
            if self.held.contains(&hold_name(kind, &name)) {
                self.in_use += 1;
            } else {
                self.discard(&path)?;
            }
        }
        Ok(())
    }

    fn policy_names(&self, entry: &Path) -> io::Result<bool> {
        match self.policy {
            PrunePolicy::Everything => Ok(true),
            PrunePolicy::Leftovers => Ok(false),
            PrunePolicy::UnusedFor(time) => {
                let used = entry.symlink_metadata()?.modified()?;
                // A time in the future says that the clock was set back: nothing is known about its age, so it stays.
                Ok(self.now.duration_since(used).is_ok_and(|unused| unused >= *time))
            }
        }
    }

    /// A download that nobody writes to was interrupted.
    fn partials(&mut self) -> io::Result<()> {
        let directory = self.root.join("partial");
        for name in tree::names(&directory)? {
            let path = directory.join(name);
            if let Some(_lock) = lock::try_exclusive(&path)? {
                self.discard(&path)?;
            }
        }
        Ok(())
    }

    /// A step is at work exactly while its key is locked.
    fn steps_of_the_dead(&mut self) -> io::Result<()> {
        let locks = self.root.join("locks");
        for key in tree::names(&locks)? {
            let path = locks.join(&key);
            let Some(_lock) = lock::try_exclusive(&path)? else { continue };
            let running = self.root.join("steps").join(format!("{key}{RUNNING}"));
            if running.symlink_metadata().is_ok() {
                self.discard(&running)?;
            }
            fs::remove_file(&path)?;
        }
        Ok(())
    }

    fn discard(&mut self, path: &Path) -> io::Result<()> {
        match &mut self.bin {
            Bin::At { place, moved } => {
                *moved += 1;
                match fs::rename(path, place.join(moved.to_string())) {
                    // A session that ends just now removes its own directory.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    renamed => renamed,
                }
            }
            Bin::Nowhere(removed) => {
                *removed += amount(path)?;
                fs::remove_file(path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn fill(cache: &Cache) -> (Digest, Digest) {
        let key = Digest::of(b"key");
        cache.step(&key, "test", |dir| fs::write(dir.join("file"), "x")).unwrap();
        cache.shared("go-build").unwrap();
        (cache.insert_bytes(b"object").unwrap().0, key)
    }

    #[test]
    fn everything_goes_when_nobody_uses_it() {
        let directory = tempfile::tempdir().unwrap();
        fill(&Cache::open(directory.path()).unwrap());
        let cache = Cache::open(directory.path()).unwrap();
        let pruned = cache.prune(&PrunePolicy::Everything).unwrap();
        assert_eq!((pruned.removed.count, pruned.in_use), (3, 0), "one object, one step, one shared directory");
        assert_eq!(cache.usage().unwrap().total(), Amount::default());
    }

    #[test]
    fn what_a_living_build_uses_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (object, step) = fill(&Cache::open(directory.path()).unwrap());
        let build = Cache::open(directory.path()).unwrap();
        let path = build.object(&object).unwrap();
        let pruned = Cache::open(directory.path()).unwrap().prune(&PrunePolicy::Everything).unwrap();
        assert_eq!(pruned.in_use, 1);
        assert!(path.exists() && !build.has_step(&step));
        drop(build);
        Cache::open(directory.path()).unwrap().prune(&PrunePolicy::Everything).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn only_what_was_not_used_lately_goes_by_age() {
        let directory = tempfile::tempdir().unwrap();
        let (object, key) = fill(&Cache::open(directory.path()).unwrap());
        let path = crate::object::object_path(&directory.path().canonicalize().unwrap(), &object);
        File::open(&path).unwrap().set_modified(SystemTime::now() - 3 * DAY).unwrap();
        let policy = PrunePolicy::UnusedFor(2 * DAY);
        let cache = Cache::open(directory.path()).unwrap();
        assert_eq!(cache.prune(&policy).unwrap().removed.count, 1);
        assert!(!path.exists() && cache.has_step(&key));
    }

    #[test]
    fn room_is_made_without_opening_the_cache_of_files_that_nobody_uses() {
        let directory = tempfile::tempdir().unwrap();
        let (idle, used) = {
            let cache = Cache::open(directory.path()).unwrap();
            cache.partial(&Digest::of(b"begun")).unwrap().write_all(b"be").unwrap();
            cache.step(&Digest::of(b"key"), "test", |dir| fs::write(dir.join("file"), "x")).unwrap();
            (cache.insert_bytes(b"idle").unwrap().0, cache.insert_bytes(b"used").unwrap().0)
        };
        let cache = Cache::open(directory.path()).unwrap();
        assert!(cache.object(&used).is_some());
        assert_eq!(Cache::make_room(directory.path(), &PrunePolicy::Leftovers).unwrap().count, 1, "the download");
        let removed = Cache::make_room(directory.path(), &PrunePolicy::Everything).unwrap();
        assert_eq!((removed.count, cache.object(&idle), cache.object(&used).is_some()), (1, None, true));
        assert!(cache.has_step(&Digest::of(b"key")));
    }

    #[test]
    fn using_something_makes_it_young() {
        let directory = tempfile::tempdir().unwrap();
        let (object, _) = fill(&Cache::open(directory.path()).unwrap());
        let path = crate::object::object_path(&directory.path().canonicalize().unwrap(), &object);
        File::open(&path).unwrap().set_modified(SystemTime::now() - 3 * DAY).unwrap();
        Cache::open(directory.path()).unwrap().object(&object).unwrap();
        Cache::open(directory.path()).unwrap().prune(&PrunePolicy::UnusedFor(2 * DAY)).unwrap();
        assert!(path.exists());
    }

    #[test]
    fn a_step_or_download_at_work_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let (key, digest) = (Digest::of(b"key"), Digest::of(b"ab"));
        let mut partial = cache.partial(&digest).unwrap();
        partial.write_all(b"a").unwrap();
        let step = cache.step(&key, "test", |dir| {
            fs::write(dir.join("before"), "x")?;
            Cache::open(directory.path()).unwrap().prune(&PrunePolicy::Everything).unwrap();
            fs::write(dir.join("after"), "x")
        });
        assert!(step.unwrap().dir.join("before").exists());
        partial.write_all(b"b").unwrap();
        partial.finish().unwrap();
    }

    #[test]
    fn an_interrupted_download_is_a_leftover() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        cache.partial(&Digest::of(b"ab")).unwrap().write_all(b"a").unwrap();
        let pruned = cache.prune(&PrunePolicy::Leftovers).unwrap();
        assert_eq!(pruned.removed.count, 1);
        assert!(cache.partial(&Digest::of(b"ab")).unwrap().is_empty());
    }
}
