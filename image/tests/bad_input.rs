//! Bad input: the `shoal` command refuses it with a message that names the thing and says what to do, ends with status 1, and leaves everything but the
//! cache as it was.

mod archive;
mod loopback;
mod place;

use std::collections::BTreeMap;

use archive::{Release, deb_path, files};
use loopback::Asked;
use place::{Place, said};

/// All of `words` are in `text`, line breaks and the margins of a drawn message aside.
#[track_caller]
fn says(text: &str, words: &[&str]) {
    let flat = text.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(flat.contains(word), "no {word:?} in:\n{text}");
    }
}

#[test]
fn a_mistake_in_a_recipe_is_shown_where_it_is() {
    let cases = [
        ("packages = [", "pakcages = [", "tiny.toml:4:1", "did you mean `packages`?"),
        ("\"1.0.0\"", "5", "tiny.toml:2:11", "expected a text, found a whole number"),
        ("[\"crun\"]", "[{ name = \"crun\", arch = [\"riscv64\"] }]", "tiny.toml:4:38", "write one of: \"amd64\", \"arm64\""),
    ];
    for (old, new, at, advice) in cases {
        let place = Place::new();
        place.replace("tiny.toml", old, new);
        for command in ["build", "lock"] {
            says(&place.refuses(&[command, "tiny.toml"]), &[at, advice]);
        }
    }
}

#[test]
fn a_recipe_that_is_not_there_is_named_with_those_that_are() {
    let place = Place::new();
    says(&place.refuses(&["build", "tyni.toml"]), &["there is no recipe tyni.toml"]);
    says(&place.refuses(&["build", "tyni"]), &["there is no recipe `tyni`", "shoal", "dev"]);
}

#[test]
fn an_architecture_that_is_not_ours_is_refused_by_name() {
    let place = Place::locked();
    let output = place.run(&["build", "tiny.toml", "--arch", "riscv64"]);
    // clap's own status for a command line that cannot be read.
    assert_eq!(output.status.code(), Some(2));
    says(&said(&output), &["riscv64", "amd64", "arm64"]);
}

#[test]
fn a_package_that_the_archive_does_not_have_is_named_and_no_lock_is_written() {
    let place = Place::new();
    place.replace("tiny.toml", "\"crun\"", "\"crnu\"");
    says(&place.refuses(&["lock", "tiny.toml"]), &["root.amd64", "crnu"]);
}

#[test]
fn a_build_without_a_lock_says_how_to_write_it() {
    says(&Place::new().refuses(&["build", "tiny.toml"]), &["tiny.lock does not exist", "run `shoal lock"]);
}

#[test]
fn a_lock_older_than_its_recipe_is_refused() {
    let place = Place::locked();
    place.replace("tiny.toml", "[\"crun\"]", "[\"crun\", \"linux-image\"]");
    says(&place.refuses(&["build", "tiny.toml"]), &["tiny.lock is older than the recipe", "run `shoal lock"]);
}

#[test]
fn other_dependencies_than_the_lock_knows_are_refused_and_locked_without_moving_another_pin() {
    let place = Place::locked();
    let before = place.read("tiny.lock");
    let pin = before.lines().find(|line| line.starts_with("cargo = ")).expect("it is pinned").to_owned();
    place.replace("tiny.lock", &pin, &format!("cargo = \"{}\"", "0".repeat(64)));
    says(&place.refuses(&["build", "tiny.toml"]), &["Cargo.lock is not the one of the lock", "run `shoal lock", "keeps all other pins"]);
    // Whatever the archive has by now: nobody asked for that.
    place.server.serve(BTreeMap::new());
    let output = place.run(&["lock", "tiny.toml"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(place.read("tiny.lock"), before);
    assert!(place.server.take_asked().is_empty(), "the archive was asked");
}

#[test]
fn a_lock_check_that_fails_changes_nothing() {
    let place = Place::locked();
    place.replace("tiny.toml", "[\"crun\"]", "[\"crun\", \"linux-image\"]");
    says(&place.refuses(&["lock", "tiny.toml", "--check"]), &["tiny.lock does not fit the recipe", "run `shoal lock"]);
}

#[test]
fn a_lock_that_is_no_lock_is_named() {
    let place = Place::locked();
    place.write("tiny.lock", b"format = \"new\"\n");
    says(&place.refuses(&["build", "tiny.toml"]), &["tiny.lock is malformed", "run `shoal lock"]);
}

#[test]
fn a_package_with_another_hash_than_the_lock_says_is_refused() {
    let place = Place::locked();
    let served = &files(Release::Good)[&deb_path("crun", "amd64")];
    let wrong = "0".repeat(64);
    place.replace("tiny.lock", &shoal_cache::Digest::of(served).to_string(), &wrong);
    says(
        &place.refuses(&["build", "tiny.toml", "--arch", "amd64"]),
        &["cannot download debian/crun:amd64", &wrong, "run `shoal lock --update`"],
    );
}

#[test]
fn a_package_that_is_gone_is_named_with_the_command_that_takes_the_newest() {
    let place = Place::locked();
    let mut files = files(Release::Good);
    files.remove(&deb_path("crun", "amd64"));
    place.server.serve(files);
    says(
        &place.refuses(&["build", "tiny.toml", "--arch", "amd64"]),
        &["the archive no longer has debian/crun:amd64 1.0-1", "tiny.toml --update`"],
    );
}

#[test]
fn without_network_all_that_is_missing_is_named() {
    let place = Place::locked();
    let text = place.refuses(&["build", "tiny.toml", "--arch", "amd64", "--offline"]);
    says(&text, &["debian/crun:amd64", "debian/linux-image:amd64", "debian/systemd-boot-efi:amd64", "without `--offline`"]);
    assert!(place.server.take_asked().is_empty(), "nothing is asked for offline");
}

#[test]
fn a_release_that_nobody_vouches_for_is_refused() {
    let cases = [
        (Release::Unsigned, "the release is not signed"),
        (Release::Changed, "the release was changed after key"),
        (Release::Foreign, "none of these keys is pinned"),
        (Release::Expired, "the release was valid until Wed, 1 Jan 2020"),
    ];
    for (kind, message) in cases {
        let place = Place::new();
        place.server.serve(files(kind));
        says(&place.refuses(&["lock", "tiny.toml"]), &["the archive `debian` cannot be used", message]);
    }
}

#[test]
fn an_index_that_the_release_does_not_vouch_for_is_refused() {
    let place = Place::new();
    let mut files = files(Release::Good);
    let index = files.keys().find(|path| path.ends_with("amd64/Packages.gz")).cloned().expect("the archive has it");
    files.get_mut(&index).expect("it is there")[0] ^= 1;
    place.server.serve(files);
    says(&place.refuses(&["lock", "tiny.toml"]), &["the archive `debian` cannot be used", "SHA-256", "was expected"]);
}

#[test]
fn a_download_that_was_cut_off_is_resumed_by_the_next_run() {
    const CUT: usize = 1000;
    let place = Place::locked();
    let path = deb_path("crun", "amd64");
    place.server.cut(Some((&path, CUT)));
    let build = ["build", "tiny.toml", "--arch", "amd64"];
    says(&place.refuses(&build), &["cannot download debian/crun:amd64", "the connection was cut", "run the same command again"]);

    place.server.cut(None);
    place.server.take_asked();
    let text = place.refuses(&build);
    assert!(!text.contains("cannot download"), "{text}");
    let asked: Vec<Asked> = place.server.take_asked().into_iter().filter(|asked| asked.path == path).collect();
    assert_eq!(asked, [Asked { path, from: Some(CUT) }]);
    // The made-up packages are none, and that is said of one of them by name.
    says(&text, &["step kernel.amd64 failed", "linux-image"]);
}

#[test]
fn an_output_directory_that_cannot_be_made_is_found_out_before_anything_is_fetched() {
    let place = Place::locked();
    place.write("file", b"in the way");
    says(
        &place.refuses(&["build", "tiny.toml", "--out", "file/out"]),
        &["cannot create the output directory file/out", "choose another with --out"],
    );
    assert!(place.server.take_asked().is_empty(), "nothing is asked for");
}

#[test]
fn a_build_that_fails_leaves_no_output_directory_where_there_was_none() {
    let place = Place::locked();
    says(&place.refuses(&["build", "tiny.toml", "--out", "new/deep", "--offline"]), &["without `--offline`"]);
}

#[test]
fn a_cache_that_cannot_be_made_is_named() {
    let place = Place::locked();
    place.write("file", b"in the way");
    says(
        &place.refuses(&["build", "tiny.toml", "--cache", "file/cache"]),
        &["the cache file/cache cannot be used", "choose another with --cache"],
    );
}
