//! PID 1's program does nothing when it is not PID 1: a developer's machine has a reboot(2) too.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

/// The user without rights. Should the refusal ever be broken, the test must not be able to reboot the machine it runs on.
const NOBODY: u32 = 65_534;

/// Runs a copy of the program under the name `name`, without root's rights.
fn run(name: &str, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open.clone()).unwrap();
    let program = directory.path().join(name);
    std::fs::copy(env!("CARGO_BIN_EXE_shoal-init"), &program).unwrap();
    std::fs::set_permissions(&program, open).unwrap();
    let mut command = Command::new(&program);
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
