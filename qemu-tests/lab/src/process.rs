//! A child process that ends when we end, however we end, as the async world waits for it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};

use shoal_teardown::ProcessTree;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    tree: ProcessTree,
    /// The child's standard output, which says nothing and ends with it: a wait that needs neither a signal handler nor `unsafe`.
    output: pipe::Receiver,
}

impl Process {
    /// Starts a program, with its standard error in `log`; it must keep its standard output open. Needs a tokio runtime.
    pub(crate) fn spawn(command: &mut Command, log: File) -> io::Result<Self> {
        let mut tree = ProcessTree::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log))?;
        let output = tree.child().stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { tree, output: pipe::Receiver::from_owned_fd(OwnedFd::from(output))? })
    }

    /// Waits until the program ends. May be dropped and called again.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let mut ignored = [0; 1024];
        while self.output.read(&mut ignored).await? > 0 {}
        self.tree.wait()
    }

    /// Ends the program without a word to it. Returns when it is gone.
    pub(crate) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.tree.kill()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str, log: File) -> Process {
        Process::spawn(Command::new("/bin/sh").args(["-c", script]), log).unwrap()
    }

    /// Says a word to its log and then does nothing until it is killed.
    fn idle(log: File) -> Process {
        shell("echo idle >&2; exec tail -f /dev/null", log)
    }

    #[tokio::test]
    async fn an_end_is_seen_and_a_kill_is_final() {
        let log = tempfile::tempfile().unwrap();
        let mut ends = shell("exit 7", log.try_clone().unwrap());
        assert_eq!(timeout(LONG, ends.wait()).await.unwrap().unwrap().code(), Some(7));
        let mut runs = idle(log);
        assert!(timeout(Duration::ZERO, runs.wait()).await.is_err());
        assert_eq!(runs.kill().unwrap().code(), None);
        assert_eq!(timeout(LONG, runs.wait()).await.unwrap().unwrap().code(), None);
    }
}
