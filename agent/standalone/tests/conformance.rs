//! Kubernetes' own tests of its storage, and etcdctl, on `shoal-store`. They are written in Go (`agent/etcd/conformance/`) and need it, and their
//! modules, and some minutes; so they run only when asked:
//!
//! ```text
//! cargo test -p shoal-standalone --test conformance -- --ignored
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
};

/// Processes that share Kubernetes' tests, which run one after the other in each. Most of them wait for time to pass, not for the processor.
const KUBERNETES_PROCESSES: usize = 8;

fn folder(package: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../etcd/conformance").join(package)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Compiles the tests of a package into one program.
fn compile(package: &str, flags: &[&str], name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let built = Command::new("go").args(["test", "-c", "-o"]).arg(&program).args(flags).arg(".").current_dir(folder(package)).output();
    let built =
        built.expect("these tests need Go 1.26 or newer, in the PATH as `go` (https://go.dev/dl/); it builds etcd and Kubernetes' suite");
    assert!(built.status.success(), "the tests in {} cannot be built:\n{}", folder(package).display(), text(&built));
    program
}

fn run(package: &str, program: &Path, arguments: &[String]) -> Output {
    let output =
        Command::new(program).args(arguments).current_dir(folder(package)).env("SHOAL_STORE", env!("CARGO_BIN_EXE_shoal-store")).output();
    output.expect("it was just built")
}

/// Runs all tests of a package, some at a time, and fails with what the failed ones have said.
fn run_all(package: &str, flags: &[&str], name: &str, processes: usize) {
    let program = compile(package, flags, name);
    let listed = text(&run(package, &program, &["-test.list=.*".to_owned()]));
    let tests: Vec<&str> = listed.lines().filter(|line| line.starts_with("Test")).collect();
    assert!(tests.len() > 10, "there are tests: {listed}");
    let shard = |first: usize| {
        let names: Vec<&str> = tests.iter().copied().skip(first).step_by(processes).collect();
        run(package, &program, &[format!("-test.run=^({})$", names.join("|")), "-test.v".to_owned()])
    };
    let outputs: Vec<Output> = thread::scope(|scope| {
        let shards: Vec<_> = (0..processes).map(|first| scope.spawn(move || shard(first))).collect();
        shards.into_iter().map(|shard| shard.join().expect("it only runs a program")).collect()
    });
    let all: String = outputs.iter().map(text).collect();
    let passed = all.lines().filter(|line| line.trim_start().starts_with("--- PASS")).count();
    println!("{package} {flags:?}: {passed} tests passed");
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"));
    fs::write(&report, &all).expect("the folder is there");
    let failed: Vec<&str> = all.lines().filter(|line| line.trim_start().starts_with("--- FAIL")).collect();
    let ended_well = outputs.iter().all(|output| output.status.success());
    assert!(ended_well, "{}\nmore is in {}", failed.join("\n"), report.display());
}

#[test]
#[ignore = "needs Go and minutes"]
fn etcdctl_prints_what_it_prints_on_etcd() {
    run_all("etcd", &[], "etcd.test", 1);
}

#[test]
#[ignore = "needs Go and minutes"]
fn the_storage_of_kubernetes_1_37_works() {
    run_all("kubernetes", &[], "kubernetes-1.37.test", KUBERNETES_PROCESSES);
}

#[test]
#[ignore = "needs Go and minutes"]
fn the_storage_of_kubernetes_1_36_works() {
    run_all("kubernetes", &["-modfile=kubernetes-1.36.mod", "-tags=kubernetes_1_36"], "kubernetes-1.36.test", KUBERNETES_PROCESSES);
}
