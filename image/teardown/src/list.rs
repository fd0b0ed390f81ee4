//! The list of what to end and to remove, one for the whole process.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::tree;

/// How long a killed program may take to be gone. Only one that hangs in the kernel, at a dead file system, takes longer, and is not waited for.
const DEATH_LIMIT: Duration = Duration::from_secs(5);

/// Between two looks at a killed program: it dies as soon as it is given a processor.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Attempts at removing a directory that a thread of ours goes on writing into: it fails when something new comes in at its very end, which is seldom twice so.
const REMOVALS: usize = 100;

static LIST: Mutex<List> = Mutex::new(List { groups: Vec::new(), paths: Vec::new() });

/// What there is now.
#[derive(Debug)]
pub(crate) struct List {
    /// Process groups by their leader, the watcher. It has not been reaped, so nobody else can have its number, which is the group's.
    pub(crate) groups: Vec<Pid>,
    /// Files and directories, in the order in which they were begun.
    pub(crate) paths: Vec<Path>,
}

/// Something that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Path {
    /// A file, or a directory with all that is in it.
    Whole(PathBuf),
    /// A directory that is worth nothing while it is empty.
    WhileEmpty(PathBuf),
}

impl Path {
    pub(crate) fn remove(&self) -> io::Result<()> {
        match self {
            Self::Whole(path) => tree::remove(path),
            Self::WhileEmpty(path) => fs::remove_dir(path),
        }
    }
}

/// The list; whoever holds it keeps a teardown waiting, and waits for ever once one has begun.
pub(crate) fn list() -> MutexGuard<'static, List> {
    // Nothing panics half-way through a change of it.
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A teardown that has begun. As long as it is there, threads that would start a program, or begin or finish a file, wait.
#[derive(Debug)]
pub struct Teardown {
    _list: MutexGuard<'static, List>,
}

/// Kills every program of this process with all that it started, and removes what is not finished. What another thread is finishing at the moment is finished
/// first, which takes a rename. Keep the result until the process ends.
#[must_use = "the process goes on once it is dropped"]
pub fn begin() -> Teardown {
    let list = list();
    for group in &list.groups {
        // One that has ended meanwhile is no error.
        let _ = kill_process_group(*group, Signal::KILL);
    }
    list.groups.iter().copied().for_each(await_death);
    // What was begun last may lie in what was begun first. What cannot be removed is left as after SIGKILL, and counts as little.
    for path in list.paths.iter().rev() {
        let _ = (0..REMOVALS).any(|_| path.remove().is_ok());
    }
    Teardown { _list: list }
}

/// Waits until nobody is left of a killed process group.
pub(crate) fn await_death(group: Pid) {
    let begun = Instant::now();
    while test_kill_process_group(group) != Err(Errno::SRCH) && has_living(group) && begun.elapsed() < DEATH_LIMIT {
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Whether a process group has a member that is not dead. The dead are in it until their parents ask for them, which is init's business for those that lost their own,
/// and in some containers nobody's.
fn has_living(group: Pid) -> bool {
    let group = group.as_raw_pid().to_string();
    let is_living = |process: PathBuf| {
        // proc_pid_stat(5): number, name in parentheses, state, parent, process group. The name may hold anything.
        let stat = fs::read_to_string(process.join("stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let dead = matches!(fields.next()?, "Z" | "X");
        Some(!dead && fields.nth(1)? == group)
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().any(|entry| is_living(entry.path()).unwrap_or(false))
}
