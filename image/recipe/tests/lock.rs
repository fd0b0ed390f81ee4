//! When a lock goes stale, and when it does not.

mod common;

use common::{MINIMAL, resolved};
use shoal_recipe::Lock;
use shoal_recipe::lock::{LockedArchive, StaleReason};

fn lock_of(text: &str) -> Lock {
    let recipe = resolved(&[("a.toml", text)]);
    let archive = LockedArchive { release: "00".repeat(32), date: "Sat, 21 Nov 2026 10:00:00 UTC".to_owned() };
    Lock {
        format: Lock::FORMAT,
        sources: recipe.sources(),
        archives: recipe.archives.keys().map(|name| (name.clone(), archive.clone())).collect(),
        ..Lock::default()
    }
}

fn stale(text: &str) -> Option<StaleReason> {
    Lock::parse(&lock_of(MINIMAL).to_toml()).unwrap().stale_reason(&resolved(&[("a.toml", text)]))
}

#[test]
fn a_lock_stays_good_when_no_source_changes() {
    for (what, text) in [
        ("a service", format!("{MINIMAL}[services.a]\nexec = [\"/a\"]\n")),
        ("the text of a file", format!("{MINIMAL}[files.\"/a\"]\ntext = \"a\"\n")),
        ("the name", MINIMAL.replace("tiny", "other")),
        ("the modules", MINIMAL.replace("[loaders]", "modules = [\"igc\"]\n[loaders]")),
        ("what is kept of a package", MINIMAL.replace("\"crun\"", "{ name = \"crun\", include = [\"usr/bin/*\"] }")),
        ("what happens when a version is gone", MINIMAL.replace("[kernel]", "when-gone = \"newest\"\n[kernel]")),
        ("the compression", format!("{MINIMAL}[outputs]\nzstd-level = 3\n")),
    ] {
        assert_eq!(stale(&text), None, "{what}");
    }
}

#[test]
fn a_lock_goes_stale_when_a_source_changes() {
    for (what, text) in [
        ("another package", MINIMAL.replace("\"crun\"", "\"crun\", \"mount\"")),
        ("its dependencies", MINIMAL.replace("\"crun\"", "{ name = \"crun\", depends = false }")),
        ("its architectures", MINIMAL.replace("\"crun\"", "{ name = \"crun\", arch = [\"amd64\"] }")),
        ("the suite", MINIMAL.replace("trixie", "forky")),
        ("the keys", MINIMAL.replace("a.asc", "b.asc")),
        ("the kernel", MINIMAL.replace("linux-image-amd64", "linux-image-cloud-amd64")),
        ("a loader", MINIMAL.replace("systemd-boot-efi", "systemd-boot-efi-signed")),
        ("a tool", format!("{MINIMAL}[tools]\nerofs = {{ packages = [\"erofs-utils\"] }}\n")),
        ("a crate", format!("{MINIMAL}[crates.a]\npath = \"/a\"\n")),
        ("a file of a package", format!("{MINIMAL}[files.\"/a\"]\ndebian = {{ package = \"busybox\", path = \"bin/a\" }}\n")),
    ] {
        assert_eq!(stale(&text), Some(StaleReason::Sources), "{what}");
    }
}

#[test]
fn what_is_new_is_named() {
    let archive = "[archives.security]\norigin = \"debian-security\"\nsuite = \"trixie-security\"\nkeys = [\"k\"]\n";
    let text = format!("archive = \"debian\"\n{MINIMAL}{archive}");
    assert_eq!(stale(&text), Some(StaleReason::Archive("security".to_owned())));
    let text = format!("{MINIMAL}[files.\"/a\"]\nsource = \"motd\"\n");
    assert_eq!(stale(&text), Some(StaleReason::File("motd".to_owned())));
    let text = format!("{MINIMAL}[go.a]\nmodule = \"payload\"\npackage = \"./a\"\n");
    assert_eq!(stale(&text), Some(StaleReason::Go("payload".to_owned())));
}
