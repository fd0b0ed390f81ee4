//! Results of build steps by the digest of everything they read.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use shoal_teardown::Unfinished;

use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::CacheError;
use crate::lock;
use crate::session;
use crate::space::is_no_space;

/// What the name of a step's directory ends in while it runs.
pub(crate) const RUNNING: &str = ".running";

/// File beside a step's output that says which step it was.
pub(crate) const NAME: &str = "name";

/// Directory of a step's output.
const OUTPUT: &str = "output";

/// A step that has been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it made. Read it, do not change it.
    pub dir: PathBuf,
    /// It ran now; otherwise it had been done before.
    pub ran: bool,
}

/// A step was not done. What it had made so far is deleted.
#[derive(Debug, thiserror::Error)]
pub enum StepError<E: Error + 'static> {
    /// It failed.
    #[error(transparent)]
    Run(E),
    /// The cache cannot be read or written, by us or, when it is full, by the step.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Cache {
    /// Does a step, at most once per `key` over all processes: `run` gets an empty directory to fill, and when it succeeds that directory
    /// is the step's output for ever. `name` says to people what it was. Waits while another thread or process does the same step.
    ///
    /// # Errors
    /// What `run` returns, or that the cache cannot be written. Either way nothing counts, and the next call runs it again.
    pub fn step<E: Error + Send + Sync + 'static>(
        &self,
        key: &Digest,
        name: &str,
        run: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Step, StepError<E>> {
        if let Some(dir) = self.find_step(key)? {
            return Ok(Step { dir, ran: false });
        }
        let lock_path = self.root().join("locks").join(key.to_string());
        let _lock = lock::exclusive(&lock_path).map_err(CacheError::during("lock", &lock_path))?;
        if let Some(dir) = self.find_step(key)? {
            return Ok(Step { dir, ran: false });
        }
        let running = self.root().join("steps").join(format!("{key}{RUNNING}"));
        let output = running.join(OUTPUT);
        // The lock is ours, so whatever lies there was left by a killed process.
        let prepare = || {
            shoal_teardown::remove(&running)?;
            session::create_directory(&output)?;
            fs::write(running.join(NAME), name)
        };
        // What is not published is removed; and what cannot be removed now, by the next run of the step, or by pruning.
        let unfinished = Unfinished::whole(&running);
        prepare().map_err(CacheError::during("write", &running))?;
        // Told now, for what the step has made is about to be removed; and once, for a step may do another one.
        run(&output).map_err(|error| match is_no_space(&error) && !CacheError::is_told(&error) {
            true => StepError::Cache(CacheError::no_space(&output, error)),
            false => StepError::Run(error),
        })?;
        let dir = self.publish_step(key, &running, unfinished)?;
        Ok(Step { dir, ran: true })
    }

    /// The step has been done.
    #[must_use]
    pub fn has_step(&self, key: &Digest) -> bool {
        self.step_dir(key).is_dir()
    }

    /// Where the output of a step is or will be, for steps whose output names itself.
    #[must_use]
    pub fn step_dir(&self, key: &Digest) -> PathBuf {
        self.root().join("steps").join(key.to_string()).join(OUTPUT)
    }

    fn find_step(&self, key: &Digest) -> Result<Option<PathBuf>, CacheError> {
        let _passed = self.pass()?;
        let dir = self.step_dir(key);
        if !dir.is_dir() {
            return Ok(None);
        }
        let name = key.to_string();
        self.use_entry("steps", &name, &self.root().join("steps").join(&name))?;
        Ok(Some(dir))
    }

    fn publish_step(&self, key: &Digest, running: &Path, unfinished: Unfinished) -> Result<PathBuf, CacheError> {
        // One flush of the file system instead of one per file: a step may have made tens of thousands.
        sync_file_system(running).map_err(CacheError::during("flush", running))?;
        let steps = self.root().join("steps");
        let entry = steps.join(key.to_string());
        let _passed = self.pass()?;
        unfinished.finish(|| fs::rename(running, &entry)).map_err(CacheError::during("write", &entry))?;
        session::sync_directory(&steps).map_err(CacheError::during("write", &entry))?;
        self.use_entry("steps", &key.to_string(), &entry)?;
        Ok(self.step_dir(key))
    }
}

fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A step's own error.
    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("the step failed")]
    struct Failed;

    fn cache() -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        (directory, cache)
    }

    fn write(text: &str) -> impl FnOnce(&Path) -> Result<(), Failed> {
        move |dir| fs::write(dir.join("file"), text).map_err(|_| Failed)
    }

    #[test]
    fn a_step_is_done_once_and_found_after_that() {
        let (_directory, cache) = cache();
        let key = Digest::of(b"key");
        assert!(!cache.has_step(&key));
        let first = cache.step(&key, "test", write("first")).unwrap();
        assert!(first.ran && cache.has_step(&key));
        assert_eq!(first.dir, cache.step_dir(&key));
        let second = cache.step(&key, "test", write("second")).unwrap();
        assert_eq!(second, Step { dir: first.dir.clone(), ran: false });
        assert_eq!(fs::read_to_string(first.dir.join("file")).unwrap(), "first");
    }

    #[test]
    fn a_failed_step_leaves_nothing_and_runs_again() {
        let (directory, cache) = cache();
        let key = Digest::of(b"key");
        let failed = cache.step(&key, "test", |dir| {
            fs::write(dir.join("half"), "x").unwrap();
            Err(Failed)
        });
        assert!(matches!(failed, Err(StepError::Run(Failed))));
        assert!(!cache.has_step(&key));
        assert_eq!(crate::tree::names(&directory.path().join("steps")).unwrap(), Vec::<String>::new());
        let step = cache.step(&key, "test", write("whole")).unwrap();
        assert!(step.ran && !step.dir.join("half").exists());
    }

    #[test]
    fn a_step_that_finds_the_disk_full_leaves_nothing_and_its_error_names_the_disk_once() {
        let (directory, cache) = cache();
        let full = |_: &Path| fs::write("/dev/full", "x");
        let error = cache.step(&Digest::of(b"key"), "test", full).unwrap_err();
        assert!(matches!(&error, StepError::Cache(CacheError::NoSpace { .. })), "{error:?}");
        assert_eq!(crate::tree::names(&directory.path().join("steps")).unwrap(), Vec::<String>::new());

        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] CacheError);
        let outer = cache.step(&Digest::of(b"outer"), "test", |_| match cache.step(&Digest::of(b"key"), "test", full) {
            Err(StepError::Cache(error)) => Err(Outer(error)),
            other => panic!("{other:?}"),
        });
        assert!(matches!(outer, Err(StepError::Run(Outer(_)))), "{outer:?}");
    }

    #[test]
    fn a_step_that_panics_leaves_nothing_that_counts() {
        let (_directory, cache) = cache();
        let key = Digest::of(b"key");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cache.step::<Failed>(&key, "test", |dir| {
                fs::write(dir.join("half"), "x").unwrap();
                panic!("as a bug would");
            })
        }));
        assert!(panicked.is_err() && !cache.has_step(&key));
        assert!(!cache.step(&key, "test", write("whole")).unwrap().dir.join("half").exists());
    }

    #[test]
    fn threads_that_want_one_step_do_it_once() {
        const THREADS: usize = 8;
        let (_directory, cache) = cache();
        let (key, runs, start) = (Digest::of(b"key"), AtomicUsize::new(0), std::sync::Barrier::new(THREADS));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    let step = cache.step::<Failed>(&key, "test", |dir| {
                        runs.fetch_add(1, Ordering::Relaxed);
                        write("made")(dir)
                    });
                    assert_eq!(fs::read_to_string(step.unwrap().dir.join("file")).unwrap(), "made");
                });
            }
        });
        assert_eq!(runs.into_inner(), 1);
    }
}
