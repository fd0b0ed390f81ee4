//! A full file system, in each place that is written to: the `shoal` command names it, says what to do, ends with status 1, and leaves nothing half-written.

mod archive;
mod loopback;
mod place;
mod small;

use std::path::Path;
use std::process::Output;

use archive::{ROOT, Release, files_with, kernel};
use place::{Place, said};
use shoal_cache::Digest;
use small::Scarcity;

/// Bytes of the kernel in these tests: many, beside what else there is.
const KERNEL_BYTES: usize = 3 << 20;

/// Room for much, but not for the kernel.
const LITTLE_ROOM: u64 = 1 << 20;

/// Room for all.
const MUCH_ROOM: u64 = 64 << 20;

/// Says how a command ended, and what there is then in a directory, for it may be gone with the shell.
const LOOK: &str = r#"look() { echo "status $?"; find "$1" -mindepth 1 | sed 's/^/left: /'; }"#;

/// A locked recipe with a real kernel package, packed or not.
fn place(packed: bool) -> Place {
    let place = Place::new();
    place.server.serve(files_with(Release::Good, "linux-image", &kernel(KERNEL_BYTES, packed)));
    place.lock()
}

/// Runs a script with little room in `directory`; `$SHOAL` builds with the made-up archive.
fn run(place: &Place, scarcity: Scarcity, directory: &str, bytes: u64, script: &str) -> Output {
    let shoal = place.command(&[]);
    let mut command = scarcity.shell(Path::new(directory), bytes, &format!("{LOOK}\n{script}"));
    for (name, value) in shoal.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(place.path(".")).env("SHOAL", shoal.get_program()).env("ARCHIVE", format!("debian={}", place.server.uri(ROOT)));
    command.output().expect("a shell can be started")
}

/// What was there in the directory that a script looked at.
fn left(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("left: ")).collect()
}

/// Whether a file was in the cache.
fn has(text: &str, file: &[u8]) -> bool {
    let digest = Digest::of(file).to_string();
    left(text).iter().any(|path| path.starts_with("cache/objects/") && path.ends_with(&digest))
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
}

/// Nothing of a step or a session, and no object that is not whole.
#[track_caller]
fn is_clean(text: &str) {
    let left = left(text);
    let half = |path: &&str| path.contains(".running") || path.contains("sessions/") || path.contains("steps/");
    assert!(!left.is_empty() && !left.iter().any(half), "{text}");
}

const BUILD: &str = "\"$SHOAL\" build tiny.toml --arch amd64 --mirror \"$ARCHIVE\" --out new/deep";

#[test]
fn a_cache_that_is_full_during_a_download_says_how_much_is_missing() {
    for scarcity in Scarcity::all() {
        let place = place(false);
        std::fs::remove_dir_all(place.path("cache")).expect("locking has made it");
        std::fs::create_dir(place.path("cache")).expect("it is gone");
        let before = place.everything();
        let text = said(&run(&place, scarcity, "cache", LITTLE_ROOM, &format!("{BUILD}; look cache")));
        says(&text, &["status 1", "cannot keep debian/linux-image:amd64"]);
        if scarcity == Scarcity::FileSystem {
            says(
                &text,
                &["no space left on the file system", "/cache (", "MiB are needed", "`shoal cache prune`", "--cache", "os error 28"],
            );
        }
        is_clean(&text);
        assert!(!has(&text, &kernel(KERNEL_BYTES, false)), "half of it counts: {text}");
        assert!(place.everything() == before, "something is left outside the cache");
    }
}

#[test]
fn a_cache_that_is_full_during_a_step_is_named_and_keeps_what_was_whole() {
    for scarcity in Scarcity::all() {
        let place = place(true);
        let before = place.everything();
        let text = said(&run(&place, scarcity, "cache", LITTLE_ROOM, &format!("{BUILD}; look cache")));
        says(&text, &["status 1", "step kernel.amd64"]);
        if scarcity == Scarcity::FileSystem {
            says(&text, &["no space left on the file system", "/cache (0 MiB available)", "`shoal cache prune`", "--cache", "os error 28"]);
        }
        is_clean(&text);
        assert!(has(&text, &kernel(KERNEL_BYTES, true)), "the package is gone: {text}");
        assert!(place.everything() == before, "something is left outside the cache");
        // With room, the same build comes to the first package that is none.
        let text = said(&run(&place, scarcity, "cache", MUCH_ROOM, &format!("{BUILD}; look cache")));
        says(&text, &["status 1", "debian/crun:amd64 is not a Debian package"]);
        assert!(!text.contains("no space"), "{text}");
    }
}

#[test]
fn pruning_makes_room_in_a_file_system_that_is_full_to_the_brim() {
    let Some(scarcity) = Scarcity::file_system() else { return };
    let place = place(true);
    let script = format!(
        "{BUILD}; look cache\n\
         mount -o remount,nr_inodes=$(($(find cache | wc -l) + 20)) cache\n\
         dd if=/dev/zero of=cache/brim bs=4096 2>/dev/null\n\
         number=0; while mkdir cache/brim-$number 2>/dev/null; do number=$((number + 1)); done\n\
         mkdir cache/sessions/test 2>/dev/null || echo full\n\
         \"$SHOAL\" cache prune --all; look cache"
    );
    let text = said(&run(&place, scarcity, "cache", LITTLE_ROOM, &script));
    let (before, after) = text.split_once("full\n").expect("the script comes to its middle");
    assert!(has(before, &kernel(KERNEL_BYTES, true)), "{text}");
    says(after, &["status 0", "removed"]);
    assert!(!has(after, &kernel(KERNEL_BYTES, true)), "{text}");
}

#[test]
fn a_cache_that_cannot_even_be_opened_for_want_of_space_is_named() {
    let Some(scarcity) = Scarcity::file_system() else { return };
    let place = place(true);
    let script = format!("dd if=/dev/zero of=cache/brim bs=4096 2>/dev/null\n{BUILD}; look cache");
    let text = said(&run(&place, scarcity, "cache", LITTLE_ROOM, &script));
    says(&text, &["status 1", "no space left on the file system", "/cache (0 MiB available)", "--cache"]);
    is_clean(&text);
}

#[test]
fn an_output_directory_without_space_is_found_out_before_anything_is_fetched() {
    let Some(scarcity) = Scarcity::file_system() else { return };
    let place = place(true);
    place.server.take_asked();
    // No inode is left.
    let script = "mount -o remount,nr_inodes=1 room\n\"$SHOAL\" build tiny.toml --mirror \"$ARCHIVE\" --out room/deep; look room";
    std::fs::create_dir(place.path("room")).expect("there is none");
    let text = said(&run(&place, scarcity, "room", LITTLE_ROOM, script));
    says(&text, &["status 1", "no space left on the file system", "/room (no further file can be made)", "--out"]);
    assert!(left(&text).is_empty() && place.server.take_asked().is_empty(), "{text}");
}

#[test]
fn a_lock_that_there_is_no_space_for_leaves_the_old_one() {
    // Where files may not grow, a lock is one that is too large; all else is in the cache.
    const LESS_THAN_A_LOCK: u64 = 512;
    for scarcity in Scarcity::all() {
        let place = place(true);
        std::fs::create_dir(place.path("room")).expect("there is none");
        place.write("tiny.lock", format!("{}# old\n", place.read("tiny.lock")).as_bytes());
        for name in ["tiny.toml", "tiny.lock", "archive.asc"] {
            std::fs::copy(place.path(name), place.path("room").join(name)).expect("there is room");
        }
        let (bytes, prepare) = match scarcity {
            // The new file system hides the copies.
            Scarcity::FileSystem => {
                (LITTLE_ROOM, "cp tiny.toml tiny.lock archive.asc room/; dd if=/dev/zero of=room/brim bs=512 2>/dev/null")
            }
            Scarcity::Files => (LESS_THAN_A_LOCK, ""),
        };
        let script = format!("{prepare}\n\"$SHOAL\" lock room/tiny.toml --mirror \"$ARCHIVE\"; look room; tail -n 1 room/tiny.lock");
        let text = said(&run(&place, scarcity, "room", bytes, &script));
        says(&text, &["status 1", "tiny.lock", "# old"]);
        if scarcity == Scarcity::FileSystem {
            says(&text, &["no space left on the file system", "/room (0 MiB available); 1 MiB are needed: free some", "os error 28"]);
        }
        let mut names = left(&text);
        names.retain(|name| *name != "room/brim");
        names.sort_unstable();
        assert_eq!(names, ["room/archive.asc", "room/tiny.lock", "room/tiny.toml"]);
    }
}
