//! PID 1's program does nothing when it is not PID 1: a developer's machine has a reboot(2) too.

use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The user without rights. Should the refusal ever be broken, the test must not be able to reboot the machine it runs on.
const NOBODY: u32 = 65_534;

/// A directory for everybody, and in it a copy of the program.
fn copy(name: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open.clone()).unwrap();
    let program = directory.path().join(name);
    std::fs::copy(env!("CARGO_BIN_EXE_shoal-init"), &program).unwrap();
    std::fs::set_permissions(&program, open).unwrap();
    (directory, program)
}

/// Held while a copy is made and run. Another test's child holds what is open at its fork until it executes, and a program that is open for
/// writing cannot be executed (ETXTBSY).
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a copy of the program under the name `name`, without root's rights.
fn run(name: &str, arguments: &[&str]) -> Output {
    let _alone = alone();
    let (_directory, program) = copy(name);
    run_at(&program, arguments)
}

fn run_at(program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn init_refuses_to_act_when_it_is_not_pid_1() {
    let output = run("shoal-init", &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("does nothing elsewhere"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn init_refuses_whatever_it_is_asked() {
    for arguments in [["reboot"].as_slice(), &["--help"], &["6"]] {
        assert_eq!(run("shoal-init", arguments).status.code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn modprobe_of_a_module_that_does_not_exist_fails_without_harm() {
    assert!(Path::new("/proc/self").exists());
    assert_ne!(run("modprobe", &["no-such-module-of-any-kernel"]).status.code(), Some(0));
}

/// As in a box: `/usr/sbin/modprobe` is a link to PID 1's binary below `/proc`, and the file in the initramfs is gone.
#[test]
fn modprobe_is_a_link_to_a_binary_whose_file_is_gone() {
    let _alone = alone();
    let (directory, program) = copy("init");
    let binary = std::fs::File::open(&program).unwrap();
    std::fs::remove_file(program).unwrap();
    // The process that is to be run opens it itself.
    rustix::io::fcntl_setfd(&binary, rustix::io::FdFlags::empty()).unwrap();
    let link = directory.path().join("modprobe");
    std::os::unix::fs::symlink(format!("/proc/self/fd/{}", binary.as_raw_fd()), &link).unwrap();
    let said = String::from_utf8(run_at(&link, &["--", "no-such-module-of-any-kernel"]).stderr).unwrap();
    assert!(said.starts_with("modprobe: "), "{said}");
}
