//! Running tools.

use std::collections::VecDeque;
use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use shoal_cache::FileSystem;
use shoal_teardown::{ProcessTree, TemporaryDirectory};

/// Lines of a tool's messages that an error repeats: a compiler's last words with what led to them. What came before was reported. A tool
/// that has written no message may have said why on standard output (`go mod download -json` does): then that is repeated.
const REPEATED_LINES: usize = 60;

/// A tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started.
    #[error("cannot start {program}: prune the cache and build again")]
    Start {
        /// Its path.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no place for its temporary files.
    #[error("cannot make a directory in {}: name one that can be written with TMPDIR", place.display())]
    Temporary {
        /// Where temporary files go.
        place: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What it says could not be read.
    #[error("lost the connection to {program}: build again")]
    Read {
        /// Its path.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It failed.
    #[error("{program} failed ({status}); the end of what it said:\n{messages}")]
    Failed {
        /// Its path.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last messages.
        messages: String,
    },
    /// It failed, and says that a file system is full; it does not say which.
    #[error(
        "{program} found no space left; its temporary files are on the file system {temporary}, and TMPDIR names another place for them; the end of what \
         it said:\n{messages}"
    )]
    NoSpace {
        /// Its path.
        program: String,
        /// Where its temporary files are, as it was when the tool had ended.
        temporary: FileSystem,
        /// Its last messages.
        messages: String,
    },
}

/// What tools say of a full file system and of a used-up quota, in lower case: the words of the C library, which Go and Rust have taken over.
const NO_SPACE_WORDS: [&str; 2] = ["no space left on device", "disk quota exceeded"];

/// Runs `command` to its end with nothing as its standard input, gives what it wrote to standard output, and hands each line of its messages (standard error) to
/// `report`.
///
/// What it starts ends with it, and with this process, however that ends. Its temporary files are in a directory of its own where the user wants such
/// files (`TMPDIR`): the default may be too small for what a linker writes, and a compiler that is killed leaves its behind.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run(command: &mut Command, report: &mut dyn FnMut(&str)) -> Result<Vec<u8>, RunError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let lost = |source| RunError::Read { program: program.clone(), source };
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let temporary = TemporaryDirectory::new("shoal-").map_err(|source| RunError::Temporary { place: env::temp_dir(), source })?;
    let piped = piped.env("TMPDIR", temporary.path());
    let mut tree = ProcessTree::spawn(piped).map_err(|source| RunError::Start { program: program.clone(), source })?;
    let (output, errors) = (tree.child().stdout.take(), tree.child().stderr.take());
    let mut last = VecDeque::new();
    // Both pipes are read at once: a tool that fills one while we wait at the other would wait for ever.
    let read = thread::scope(|scope| {
        let output = scope.spawn(|| {
            let mut bytes = Vec::new();
            output.map_or(Ok(0), |mut output| output.read_to_end(&mut bytes)).map(|_| bytes)
        });
        for line in errors.into_iter().flat_map(|errors| BufReader::new(errors).split(b'\n')) {
            let line = String::from_utf8_lossy(&line?).into_owned();
            report(&line);
            if last.len() == REPEATED_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
        output.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    });
    let status = tree.wait().map_err(lost)?;
    if !status.success() {
        let mut messages = Vec::from(last).join("\n");
        if messages.trim().is_empty() {
            messages = last_lines(&String::from_utf8_lossy(&read.unwrap_or_default()));
        }
        let lower = messages.to_ascii_lowercase();
        return Err(match NO_SPACE_WORDS.iter().any(|words| lower.contains(words)) {
            true => RunError::NoSpace { program: program.clone(), temporary: FileSystem::of(temporary.path()), messages },
            false => RunError::Failed { program: program.clone(), status, messages },
        });
    }
    read.map_err(lost)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(REPEATED_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_is_given_and_messages_are_reported() {
        let mut messages = Vec::new();
        let output = run(&mut shell("echo out; echo one >&2; echo two >&2"), &mut |line| messages.push(line.to_owned())).unwrap();
        assert_eq!((output.as_slice(), messages), (b"out\n".as_slice(), vec!["one".to_owned(), "two".to_owned()]));
    }

    #[test]
    fn a_tool_that_writes_more_than_a_pipe_holds_to_both_ends() {
        let script = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; echo 0123456789012345678901234567890123456789 >&2; i=$((i+1)); done";
        assert_eq!(run(&mut shell(script), &mut |_| ()).unwrap().len(), 3000 * 41);
    }

    #[test]
    fn temporary_files_have_a_directory_that_goes_away_with_them() {
        let output = run(&mut shell("touch \"$TMPDIR/file\" && printf %s \"$TMPDIR\""), &mut |_| ()).unwrap();
        let directory = PathBuf::from(String::from_utf8(output).unwrap());
        assert!(directory.starts_with(env::temp_dir()) && !directory.exists(), "{}", directory.display());
    }

    #[test]
    fn a_failure_repeats_the_last_messages() {
        let error = run(&mut shell("echo why >&2; exit 3"), &mut |_| ()).unwrap_err();
        assert!(matches!(&error, RunError::Failed { messages, .. } if messages == "why"), "{error}");
    }

    #[test]
    fn a_failure_without_messages_repeats_the_end_of_the_output() {
        let error = run(&mut shell("seq 1 100; exit 1"), &mut |_| ()).unwrap_err();
        let RunError::Failed { messages, .. } = error else { panic!("{error}") };
        assert_eq!((messages.lines().next(), messages.lines().last()), (Some("41"), Some("100")));
    }

    #[test]
    fn a_full_file_system_is_told_from_other_failures() {
        // dd says it in the words of the C library.
        let error = run(shell("exec dd if=/dev/zero of=/dev/full count=1").env("LC_ALL", "C"), &mut |_| ()).unwrap_err();
        assert!(matches!(&error, RunError::NoSpace { temporary, .. } if env::temp_dir().starts_with(&temporary.top)), "{error}");
        assert!(error.to_string().contains("TMPDIR"), "{error}");
    }
}
