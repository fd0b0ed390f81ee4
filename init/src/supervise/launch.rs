//! How a service's process comes to be: PID 1 runs itself under another name, and that becomes the service.
//!
//! Between fork and exec a process must enter its session and its control group. Doing that in PID 1's own fork needs unsafe code
//! that may not allocate or fail properly; and exec itself waits for the medium that the program lies on, for as long as a dying
//! USB stick likes, while PID 1 waits for exec. So PID 1 spawns its own binary, which is in memory, as [`NAME`]; that enters
//! session and group, sets the OOM score, and turns into the program. If it cannot, it says why in the service's log and exits with
//! [`EXIT_CANNOT_RUN`].

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Name (argv\[0\]) under which PID 1's binary becomes a service.
pub(crate) const NAME: &str = "shoal-exec";

/// Exit status when the program cannot be run; the shell's own for that.
pub(crate) const EXIT_CANNOT_RUN: u8 = 127;

/// What a new process does to itself before it becomes the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preparation {
    /// File to write its process id to, to be in a control group.
    pub(crate) group: Option<PathBuf>,
    /// Value for `/proc/self/oom_score_adj`.
    pub(crate) oom_score_adjust: Option<i16>,
}

impl Preparation {
    /// The command that makes `exec`, run by `launcher`: PID 1's own binary.
    pub(crate) fn command(&self, launcher: &Path, exec: &[String]) -> Command {
        let mut command = Command::new(launcher);
        command.arg0(NAME);
        command.arg(self.group.as_deref().unwrap_or(Path::new("")));
        command.arg(self.oom_score_adjust.map(|adjust| adjust.to_string()).unwrap_or_default());
        command.args(exec);
        command
    }
}

/// The whole life of a process called [`NAME`]; `arguments` without argv\[0\].
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Err(error) = become_program(arguments.into_iter().collect());
    eprintln!("{error:#}");
    ExitCode::from(EXIT_CANNOT_RUN)
}

fn become_program(arguments: Vec<OsString>) -> anyhow::Result<std::convert::Infallible> {
    use anyhow::Context;

    let [group, oom_score_adjust, program, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("{NAME} is for PID 1 to call: {NAME} GROUP-FILE OOM-SCORE PROGRAM [ARGUMENT...]");
    };
    // A session of its own: no terminal can signal it, and its children can be told from ours.
    if let Err(error) = rustix::process::setsid() {
        // A leader of a process group (a shell's job) cannot, and need not.
        anyhow::ensure!(error == rustix::io::Errno::PERM, "cannot make a session: {}", io::Error::from(error));
    }
    if !group.is_empty() {
        fs::write(group, "0").with_context(|| format!("cannot enter the control group by {}", group.display()))?;
    }
    if !oom_score_adjust.is_empty() {
        fs::write("/proc/self/oom_score_adj", oom_score_adjust.as_encoded_bytes()).context("cannot set the OOM score")?;
    }
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launcher_is_told_everything_by_its_arguments() {
        let preparation = Preparation { group: Some("/g/cgroup.procs".into()), oom_score_adjust: Some(-999) };
        let command = preparation.command(Path::new("/init"), &["/bin/a".into(), "b".into()]);
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["/g/cgroup.procs", "-999", "/bin/a", "b"]);
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let error = become_program(["", "", "/does/not/exist"].map(OsString::from).to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "cannot run /does/not/exist");
    }
}
