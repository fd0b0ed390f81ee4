//! A program that ends with this process, however this process ends, and takes along all that it started.
//!
//! The kernel's parent-death signal counts the death of the *thread* that started a child, reaches none of the child's own children, and needs `unsafe`. So a watcher,
//! a line of shell, leads a process group of its own and holds the reading end of a pipe whose writing end is ours alone; the program is started into that
//! group, and so is whatever it starts. When we are gone, by SIGKILL too, the watcher reads the end of file and kills its group.
//!
//! There is no moment without a watcher, because it is there first; and no wrong process can be hit, because the group has the number of its
//! leader, which is given back to the system (by reaping it) only when the group is over. Only a program that leaves its group on purpose
//! (setsid(2), as daemons do) gets away.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::list::{await_death, list};

/// Waits for the end of its standard input; then kills its own process group, and so itself. What asks programs to end politely is not meant for it.
const WATCHER: &str = "trap '' HUP INT QUIT TERM; read -r _; kill -KILL 0";

/// A running program, with all that it starts. Dropping it kills them.
///
/// They are a process group of their own: Ctrl-C on our terminal is ours to act on.
#[derive(Debug)]
pub struct ProcessTree {
    child: Child,
    watcher: Child,
    /// Never written to. Closed by the kernel when we are gone.
    _lifeline: ChildStdin,
    ended: bool,
}

impl ProcessTree {
    /// Starts a program. Once a [teardown](crate::begin()) has begun, it never returns.
    ///
    /// # Errors
    /// The program, or `/bin/sh`, cannot be started; then nothing is left of either.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        // Held until the program is in the list: none is started behind a teardown's back.
        let mut list = list();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", WATCHER]).current_dir("/").env_clear().process_group(0);
        let mut watcher = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let leader = Pid::from_child(&watcher);
        let started = watcher.stdin.take().ok_or_else(|| io::ErrorKind::BrokenPipe.into());
        let started = started.and_then(|lifeline| Ok((lifeline, command.process_group(leader.as_raw_pid()).spawn()?)));
        match started {
            Ok((lifeline, child)) => {
                list.groups.push(leader);
                Ok(Self { child, watcher, _lifeline: lifeline, ended: false })
            }
            Err(error) => {
                watcher.kill()?;
                watcher.wait()?;
                Err(error)
            }
        }
    }

    /// The program itself, for its pipes. To kill it or to wait for it is up to the tree.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the program ends. What it has started and left behind is killed then.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()?;
        self.end()
    }

    /// Kills the program and all that it has started, without a word to them. Returns when they are gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.end()
    }

    /// Kills the group and reaps its leader, until when the group's number is nobody else's. The second time it does nothing.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if !self.ended {
            let leader = Pid::from_child(&self.watcher);
            // Nobody being left is no error.
            let _ = kill_process_group(leader, Signal::KILL);
            list().groups.retain(|group| *group != leader);
            self.ended = true;
            self.watcher.wait()?;
            self.child.wait()?;
            await_death(leader);
        }
        self.child.wait()
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        // What cannot be waited for has been killed all the same.
        let _ = self.end();
    }
}
