//! A child process that ends when we end, however we end.
//!
//! QEMU's own `-run-with exit-with-parent` is newer than the QEMU we run, and the kernel's parent-death signal counts the death of
//! the *thread* that started the child, and needs `unsafe`. So a watcher, three words of shell, holds the reading end of a pipe
//! whose writing end is ours alone: when we are gone, by SIGKILL too, it reads the end of file and kills the child.
//!
//! There is no moment without a watcher, and no wrong process can be hit: the child runs nothing before the watcher knows its
//! number, and the number is not given back to the system (by reaping) before the watcher is gone.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Reads the child's number; then a line says that all is over, and an end of file that we are.
const WATCHER: &str = r#"read -r child && { read -r _ || kill -KILL "$child"; }"#;

/// Waits for its line, then becomes the program. Without the line, we were killed before the watcher knew.
const GATE: &str = r#"read -r _ && exec "$0" "$@" </dev/null"#;

/// A running child and its watcher.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    watcher: Child,
    lifeline: ChildStdin,
    /// The child's standard output, which says nothing and ends with it: a wait that needs neither a signal handler nor `unsafe`.
    output: pipe::Receiver,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a program, with its standard error in `log`; it must keep its standard output open. Needs a tokio runtime.
    pub(crate) fn spawn(program: &Path, arguments: &[OsString], environment: (&str, &Path), log: File) -> io::Result<Self> {
        let shell = |script: &str| {
            let mut command = Command::new("/bin/sh");
            // A group of its own: Ctrl-C on our terminal is ours to act on.
            command.arg("-c").arg(script).stdin(Stdio::piped()).process_group(0);
            command
        };
        let mut watcher = shell(WATCHER).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut lifeline = watcher.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut child =
            shell(GATE).arg(program).args(arguments).env(environment.0, environment.1).stdout(Stdio::piped()).stderr(log).spawn()?;
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
        let mut gate = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(lifeline, "{}", child.id())?;
        gate.write_all(b"\n")?;
        Ok(Self { child, watcher, lifeline, output, status: None })
    }

    /// Waits until the program ends. May be dropped and called again.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let mut ignored = [0; 1024];
        while self.output.read(&mut ignored).await? > 0 {}
        self.reap()
    }

    /// Ends the program without a word to it. Returns when it is gone.
    pub(crate) fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.child.kill()?;
        self.reap()
    }

    /// First the watcher, which knows the number; then the number.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.lifeline.write_all(b"\n")?;
        self.watcher.wait()?;
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(pid = self.child.id(), %error, "cannot end a process");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::time::timeout;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str, log: File) -> Process {
        let arguments = [OsString::from("-c"), OsString::from(script)];
        Process::spawn(Path::new("/bin/sh"), &arguments, ("LANG", Path::new("C")), log).unwrap()
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

    /// Set for the process that the next test kills.
    const VICTIM_VARIABLE: &str = "SHOAL_LAB_VICTIM";

    /// Not a claim of its own: the next test runs it in a process of its own.
    #[tokio::test]
    async fn victim() {
        if std::env::var_os(VICTIM_VARIABLE).is_none() {
            return;
        }
        let _process = idle(File::from(std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned().unwrap()));
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn a_child_dies_with_a_parent_that_is_killed() {
        let arguments = ["--exact", "process::tests::victim", "--nocapture", "--quiet"];
        let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
        let mut parent = command.args(arguments).env(VICTIM_VARIABLE, "1").stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        // The parent and the child share it, so it ends when both are gone.
        let mut output = BufReader::new(parent.stdout.take().unwrap()).lines();
        let says = async { while output.next_line().await.unwrap().expect("the child says its word").trim() != "idle" {} };
        timeout(LONG, says).await.unwrap();
        parent.kill().await.unwrap();
        let ends = async { while output.next_line().await.unwrap().is_some() {} };
        timeout(LONG, ends).await.expect("the child ends, too");
    }
}
