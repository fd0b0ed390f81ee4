//! Who does the work behind a log or a checkpoint: a thread of its own, or, in a simulation, whoever simulates, piece by piece.
//!
//! A simulation in one thread can only give the same run twice if nothing happens beside it. It says so with [`run_in_place`], and is then given
//! each [`InPlace`] to take steps with, as late as it likes: what a thread would need time for.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

#[cfg(feature = "simulation")]
pub use in_place::{InPlace, Wake, run_in_place};

/// What is left to do after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something waits already.
    More,
    /// Nothing waits.
    Idle,
    /// Nothing will ever again.
    Ended,
}

/// What a thread does.
pub(crate) trait Work: Send + 'static {
    /// All of it: waits for work, does it, and returns when it shall end.
    fn run(self);

    /// A piece of what waits, without waiting for more.
    #[cfg_attr(not(feature = "simulation"), allow(dead_code, reason = "threads are only done without in a simulation"))]
    fn step(&mut self) -> Step;
}

/// Whether this thread does all work itself.
#[must_use]
pub fn in_place() -> bool {
    #[cfg(feature = "simulation")]
    return in_place::is_set();
    #[cfg(not(feature = "simulation"))]
    false
}

/// Tells whoever does the work that there is some.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Condvar,
    #[cfg(feature = "simulation")]
    in_place: std::sync::OnceLock<InPlace>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.rung.notify_one();
        #[cfg(feature = "simulation")]
        if let Some(in_place) = self.in_place.get() {
            in_place.wake();
        }
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.rung.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives whether the time was over.
    pub(crate) fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, timeout: Duration) -> (MutexGuard<'a, T>, bool) {
        let (guard, result) = self.rung.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner);
        (guard, result.timed_out())
    }

    /// Called by whoever is about to wait for what it has rung for: where there is no thread, it is done now.
    pub(crate) fn hurry(&self) {
        #[cfg(feature = "simulation")]
        if let Some(in_place) = self.in_place.get() {
            while in_place.step() == Step::More {}
        }
    }

    /// Begins the work, on a thread with this name.
    pub(crate) fn start(&self, name: &str, work: impl Work) -> io::Result<Worker> {
        #[cfg(feature = "simulation")]
        if in_place() {
            let mut work = work;
            let _ = self.in_place.set(InPlace::begin(Box::new(move || work.step())));
            return Ok(Worker::default());
        }
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || work.run())?;
        Ok(Worker(Mutex::new(Some(thread))))
    }
}

/// Who does the work: a thread, until it is joined.
#[derive(Debug, Default)]
pub(crate) struct Worker(Mutex<Option<JoinHandle<()>>>);

impl Worker {
    /// Waits until the work has ended, which it was told to.
    pub(crate) fn join(&self, bell: &Bell) {
        bell.hurry();
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A callback may hold the last handle; the thread cannot wait for itself, and is about to end anyway.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic there is a bug that was reported when it happened; what was not called back does not count.
            let _ = thread.join();
        }
    }
}

#[cfg(feature = "simulation")]
mod in_place {
    use std::cell::RefCell;
    use std::fmt;
    use std::rc::Rc;
    use std::sync::{Arc, Mutex, OnceLock, PoisonError};

    use super::Step;

    /// Called when there is work: to take steps soon.
    pub type Wake = Box<dyn Fn() + Send + Sync>;

    /// Is given each work that begins, and returns how to be told that there is some.
    type Driver = Rc<dyn Fn(InPlace) -> Wake>;

    thread_local! {
        static DRIVER: RefCell<Option<Driver>> = const { RefCell::new(None) };
    }

    /// From now on, logs and checkpoints that this thread opens have no threads, and `driver` is given their work; with `None` they have
    /// threads again. All their handles must stay on this thread.
    pub fn run_in_place(driver: Option<Rc<dyn Fn(InPlace) -> Wake>>) {
        DRIVER.set(driver);
    }

    pub(super) fn is_set() -> bool {
        DRIVER.with_borrow(Option::is_some)
    }

    type Work = Box<dyn FnMut() -> Step + Send>;

    /// Work without a thread. Cloning gives another handle to the same.
    #[derive(Clone)]
    pub struct InPlace(Arc<Shared>);

    struct Shared {
        /// Gone when it has ended, and while it is under way: what it calls back may come here again.
        work: Mutex<Option<Work>>,
        wake: OnceLock<Wake>,
    }

    impl fmt::Debug for InPlace {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("InPlace").finish_non_exhaustive()
        }
    }

    impl InPlace {
        pub(super) fn begin(work: Work) -> Self {
            let this = Self(Arc::new(Shared { work: Mutex::new(Some(work)), wake: OnceLock::new() }));
            if let Some(driver) = DRIVER.with_borrow(Clone::clone) {
                let _ = this.0.wake.set(driver(this.clone()));
            }
            this
        }

        pub(super) fn wake(&self) {
            if let Some(wake) = self.0.wake.get() {
                wake();
            }
        }

        /// Does a piece of the work.
        pub fn step(&self) -> Step {
            let work = self.0.work.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(mut work) = work else { return Step::Ended };
            let step = work();
            if step != Step::Ended {
                *self.0.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
            }
            step
        }
    }
}
