//! `shoal-store snapshot`.

use crate::harness::{Process, folder, program, text};

#[test]
fn a_backup_is_saved_whole_or_not_at_all() {
    let folder = folder();
    let member = Process::start(folder.path(), &[]);
    let endpoint = format!("--endpoints=http://{}", member.address);
    let output = program().current_dir(folder.path()).args(["snapshot", "save", "backup", &endpoint]).output().expect("it runs");
    assert!(output.status.success(), "{}", text(&output));
    let size = folder.path().join("backup").metadata().expect("it is there").len();
    assert_eq!(size % 512, 32, "as etcd's client wants it");
    assert!(!folder.path().join("backup.part").exists());
}
