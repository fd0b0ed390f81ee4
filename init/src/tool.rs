//! Running a program of the image and waiting for it, but not for ever.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::say;

/// A program did not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// It could not be started.
    #[error("cannot run {program}")]
    Start {
        /// Its path.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It took too long and was killed.
    #[error("{program} was not done after {} s; the medium is too slow or broken", .limit.as_secs())]
    Slow {
        /// Its path.
        program: String,
        /// The time it had.
        limit: Duration,
    },
}

/// What a program said is shown up to this many bytes: the first lines name the cause.
const WORDS_BYTES: u64 = 4096;

/// Runs a program and waits at most `limit` for its end. What it wrote to its standard error is shown on the console if it failed.
pub(crate) fn run(program: &str, arguments: &[&str], limit: Duration) -> Result<ExitStatus, ToolError> {
    let start = |source| ToolError::Start { program: program.to_owned(), source };
    // A file in memory, not a pipe: nobody has to empty it while the program runs.
    let mut words = memfd_create("words", MemfdFlags::CLOEXEC).map(File::from).map_err(|error| start(error.into()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(words.try_clone().map_err(start)?)
        .spawn()
        .map_err(start)?;
    match wait(&mut child, limit).map_err(start)? {
        Some(status) => {
            if !status.success() {
                show(&mut words);
            }
            Ok(status)
        }
        None => {
            let _ = child.kill();
            // A process that hangs in the kernel dies later or never; it is not waited for.
            let _ = child.try_wait();
            Err(ToolError::Slow { program: program.to_owned(), limit })
        }
    }
}

/// Shows what a program said.
fn show(words: &mut File) {
    let mut bytes = Vec::new();
    if words.rewind().is_ok() && words.take(WORDS_BYTES).read_to_end(&mut bytes).is_ok() {
        for line in String::from_utf8_lossy(&bytes).lines() {
            say::line(line);
        }
    }
}

/// Waits for a child's end; None when the time is over.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        poll(&mut [PollFd::new(&pidfd.as_fd(), PollFlags::IN)], Timespec::try_from(left).ok().as_ref())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_exit_is_told() {
        assert_eq!(run("/bin/sh", &["-c", "exit 3"], Duration::from_secs(60)).unwrap().code(), Some(3));
    }

    #[test]
    fn a_program_that_never_ends_is_given_up() {
        let error = run("/bin/sh", &["-c", "exec sleep 3600"], Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().contains("was not done"));
    }
}
