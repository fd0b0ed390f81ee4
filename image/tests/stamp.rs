//! `shoal fleet` and `shoal stamp`, as people type them.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use shoal_contract::INITRAMFS_CONFIG_PATH;
use shoal_format::epoch::Epoch;
use shoal_format::gpt::{self, Partition};
use shoal_format::sparse::SparseImage;
use shoal_format::{qcow2, sector};
use shoal_trust::config::{Config, Owner};
use shoal_trust::fleet::{Admission, Build, Policy};
use tempfile::TempDir;
use uuid::Uuid;

const NAME: &str = "shoal.config";
const BUILD: Build = Build { id: [5; 32], time: 1_700_000_000 };

/// A directory with an unclaimed image of each form, and a home in which there is nothing.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        assert_eq!(INITRAMFS_CONFIG_PATH.trim_start_matches('/'), NAME);
        let config = Config { build: BUILD, policy: Policy::default(), seeds: Vec::new(), owner: Owner::Unclaimed };
        let config = config.encode().expect("it has nothing wrong");
        let mut disk = SparseImage::new(4 << 20);
        let partition = Partition {
            type_guid: gpt::TYPE_CONFIG,
            unique_guid: Uuid::from_u128(1),
            name: "config".into(),
            first_sector: 2040,
            sectors: 8,
            attributes: 0,
        };
        gpt::write(&mut disk, Uuid::from_u128(2), &[partition]).expect("there is room for a table");
        disk.write_at(2040 * gpt::SECTOR, &config).expect("the disk is long enough");
        let place = Self(TempDir::new().expect("a temporary directory can be made"));
        fs::write(place.path("edge.img"), disk.to_vec()).expect("it can be written");
        let mut packed = Vec::new();
        qcow2::write(&disk, &mut packed).expect("memory takes everything");
        fs::write(place.path("edge.qcow2"), packed).expect("it can be written");
        fs::write(place.path("initrd"), sector::archive(NAME, &config, Epoch::from_seconds(1))).expect("it can be written");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn shoal(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shoal"));
        command.current_dir(self.0.path()).env_remove("XDG_CONFIG_HOME").env("HOME", self.path("home")).args(arguments);
        command.output().expect("shoal can be started")
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.shoal(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it is text")
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.shoal(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        String::from_utf8(output.stderr).expect("it is text")
    }

    fn config(&self, image: &str) -> Config {
        let bytes = fs::read(self.path(image)).expect("it is there");
        let place = sector::find(&mut Cursor::new(&bytes), NAME).expect("it has one");
        Config::parse(&bytes[place.offset as usize..][..sector::BYTES]).expect("it is whole")
    }
}

/// What of a file differs, as a range of bytes.
fn difference(one: &[u8], other: &[u8]) -> std::ops::Range<usize> {
    assert_eq!(one.len(), other.len());
    let differs = |at: &usize| one[*at] != other[*at];
    let first = (0..one.len()).find(differs).expect("something is different");
    first..(0..one.len()).rev().find(differs).expect("something is different") + 1
}

const IMAGES: [&str; 3] = ["edge.img", "edge.qcow2", "initrd"];

#[test]
fn a_stamp_changes_one_sector_of_every_form_and_goes_away_again() {
    let place = Place::new();
    let before: Vec<Vec<u8>> = IMAGES.iter().map(|image| fs::read(place.path(image)).expect("it is there")).collect();
    let told = place.succeeds(&["fleet", "new", "site1"]);
    assert!(told.contains("site1.fleet") && told.contains("keep it secret"), "{told}");
    let told = place.succeeds(&[&["stamp"], &IMAGES[..], &["--fleet", "site1.fleet", "--expect", "3", "--admission", "guarded"]].concat());
    let shown = place.succeeds(&["fleet", "show", "site1.fleet"]);
    for (image, before) in IMAGES.iter().zip(&before) {
        let config = place.config(image);
        let Owner::Fleet(stamp) = &config.owner else { panic!("{image} is nobody's") };
        assert!(told.contains(&format!("{image}: fleet {}", stamp.fleet)) && shown.contains(&stamp.fleet.to_string()), "{told}\n{shown}");
        assert_eq!((config.build, config.policy.admission), (BUILD, Admission::Guarded));
        assert_eq!(config.policy.expect.map(|nodes| nodes.get()), Some(3));
        let after = fs::read(place.path(image)).expect("it is there");
        let changed = difference(before, &after);
        assert!(changed.len() <= sector::BYTES, "{image}: {changed:?}");
    }
    let file = fs::read_to_string(place.path("site1.fleet")).expect("it was written");
    let secrets: Vec<&str> = file.split('"').filter(|text| text.contains("-secret-1-")).collect();
    assert_eq!(secrets.len(), 2, "{} lines", file.lines().count());
    assert!(secrets.iter().all(|secret| !told.contains(secret) && !shown.contains(secret)), "a secret is shown");
    // The policy stays until somebody says otherwise.
    place.succeeds(&[&["stamp", "--unclaimed"], &IMAGES[..]].concat());
    assert_eq!(place.config("edge.img").policy.admission, Admission::Guarded);
    place.succeeds(&[&["stamp", "--unclaimed", "--expect", "0", "--admission", "open"], &IMAGES[..]].concat());
    for (image, before) in IMAGES.iter().zip(&before) {
        assert!(fs::read(place.path(image)).expect("it is there") == *before, "{image} is not as it was built");
    }
}

#[test]
fn without_a_fleet_there_is_a_default_one_made_once() {
    let place = Place::new();
    let first = place.succeeds(&["stamp", "edge.img"]);
    let path = place.path("home/.config/shoal/default.fleet");
    assert!(path.is_file() && first.contains(path.to_str().expect("it is UTF-8")), "{first}");
    let again = place.succeeds(&["stamp", "edge.qcow2"]);
    assert!(!again.contains("made your default fleet"), "{again}");
    assert_eq!(place.config("edge.img").owner, place.config("edge.qcow2").owner);
    assert!(place.succeeds(&["fleet", "show"]).contains("default"));
}

#[test]
fn one_wrong_image_keeps_all_from_being_stamped() {
    let place = Place::new();
    place.succeeds(&["fleet", "new", "site1"]);
    fs::write(place.path("notes.txt"), "no image").expect("it can be written");
    fs::write(place.path("edge.img.zst"), [0x28, 0xb5, 0x2f, 0xfd, 0]).expect("it can be written");
    for (wrong, word) in [("notes.txt", "none of the images"), ("edge.img.zst", "zstd -d"), ("missing.img", "No such file")] {
        let said = place.fails(&["stamp", "edge.img", wrong, "--fleet", "site1.fleet"]);
        assert!(said.contains(wrong) && said.contains(word), "{said}");
        assert_eq!(place.config("edge.img").owner, Owner::Unclaimed);
    }
}

#[test]
fn a_fleet_file_that_is_none_or_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.succeeds(&["fleet", "new", "site1"]);
    assert!(place.fails(&["fleet", "new", "site1"]).contains("it is there already"));
    assert!(place.fails(&["fleet", "new", "Site 1"]).contains("is no name of a fleet"));
    assert!(place.fails(&["stamp", "edge.img", "--fleet", "site2.fleet"]).contains("shoal fleet new"));
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    mode(&place.path("site1.fleet"), 0o644);
    assert!(place.fails(&["stamp", "edge.img", "--fleet", "site1.fleet"]).contains("chmod 600"));
    fs::write(place.path("torn.fleet"), "version = 1\n").expect("it can be written");
    mode(&place.path("torn.fleet"), 0o600);
    assert!(place.fails(&["stamp", "edge.img", "--fleet", "torn.fleet"]).contains("no fleet file"));
    mode(&place.path("site1.fleet"), 0o600);
    assert!(place.fails(&["stamp", "edge.img", "--fleet", "site1.fleet", "--expect", "100000"]).contains("--expect takes 1 to 256"));
    assert_eq!(place.config("edge.img").owner, Owner::Unclaimed);
}
