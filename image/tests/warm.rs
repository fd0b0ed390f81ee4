//! What a rebuild does again: nothing, or only what depends on what was changed. Read from the events of the build.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use shoal::events::Event;
use shoal::project::Project;
use shoal::run::build_into;
use shoal_contract::Arch;
use shoal_recipe::model::Format;
use tempfile::TempDir;

const FORMATS: [Format; 3] = [Format::Img, Format::Iso, Format::Kernel];

/// A copy of the recipe base that compresses fast, for nobody downloads what is built from it.
fn recipe() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory can be made");
    let recipes = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes"));
    fs::copy(recipes.join("base.lock"), directory.path().join("base.lock")).expect("the recipe is locked");
    fs::copy(recipes.join("base.toml"), directory.path().join("base.toml")).expect("the recipe is part of the project");
    change(&directory, "zstd-level = 19", "zstd-level = 1");
    change(&directory, "erofs-compression = \"zstd,level=12\"", "erofs-compression = \"lz4hc,level=3\"");
    directory
}

/// Replaces text that must be there.
fn change(directory: &TempDir, old: &str, new: &str) {
    let path = directory.path().join("base.toml");
    let text = fs::read_to_string(&path).expect("it was copied");
    assert!(text.contains(old), "the recipe base has no {old:?} any more");
    fs::write(path, text.replacen(old, new, 1)).expect("it can be written");
}

/// What a build did.
#[derive(Debug, Default)]
struct Done {
    /// Key of each step by its name.
    keys: BTreeMap<String, String>,
    /// Steps that ran.
    ran: BTreeSet<String>,
    /// The image's id.
    id: String,
    /// The part of the initramfs that is packed: PID 1 and what it is told, one behind the other.
    initramfs: Vec<u8>,
}

fn build(directory: &TempDir) -> Done {
    let session = common::session();
    let project = Project::open(directory.path().join("base.toml").to_str().expect("it is UTF-8")).expect("the recipe has no faults");
    let written = build_into(&session, &project, &[Arch::Amd64], &FORMATS, &directory.path().join("out")).expect("the recipe can be built");
    let read = |suffix: &str| {
        let path = written.iter().find(|path| path.to_string_lossy().ends_with(suffix)).expect("a build writes it");
        fs::read(path).expect("it was written")
    };
    let manifest: serde_json::Value = serde_json::from_slice(&read(".manifest.json")).expect("it is JSON");
    let mut done = Done { id: manifest["id"].to_string(), ..Done::default() };
    // Before the packed archive there is one with the configuration, and behind it one that is not packed, which is none of zstd's business.
    let initrd = read("-initrd");
    let begin = initrd.windows(4).position(|bytes| bytes == [0x28, 0xb5, 0x2f, 0xfd]).expect("an archive of it is packed");
    let mut packed = zstd::Decoder::new(&initrd[begin..]).expect("a packed archive begins there").single_frame();
    packed.read_to_end(&mut done.initramfs).expect("it can be unpacked");
    for event in session.reporter.events() {
        match event {
            Event::StepStarted { step } => {
                done.ran.insert(step);
            }
            Event::StepFinished { step, cached, key, .. } => {
                assert_eq!(cached, !done.ran.contains(&step), "{step} tells both that it ran and that it did not");
                done.keys.insert(step, key);
            }
            _ => {}
        }
    }
    done
}

#[test]
fn a_rebuild_runs_no_step_and_a_changed_line_only_those_that_depend_on_it() {
    let directory = recipe();
    let first = build(&directory);
    let again = build(&directory);
    assert!(again.ran.is_empty(), "nothing has changed, and yet these ran: {:?}", again.ran);
    assert_eq!((&again.keys, &again.id), (&first.keys, &first.id));

    // What services there are, and what the box is called, is told to PID 1 in the initramfs. The root, which takes longest, stays.
    let forms =
        ["disk", "hash.disk.img", "compress.disk.img", "hash.disk.img.zst", "iso", "hash.cd.iso", "compress.cd.iso", "hash.cd.iso.zst"];
    let initrd = [&["initrd", "hash.initrd", "uki", "manifest"], &forms[..]].concat();
    let limit = format!("memory-max = {}", 384 << 20);
    for (old, new, told) in [
        ("memory-max = \"512 MiB\"", "memory-max = \"384 MiB\"", limit.as_str()),
        ("hostname = \"shoal\"", "hostname = \"minnow\"", "hostname = \"minnow\""),
    ] {
        change(&directory, old, new);
        let changed = build(&directory);
        assert_depends(&changed, &first, &initrd);
        let says = |done: &Done| done.initramfs.windows(told.len()).any(|bytes| bytes == told.as_bytes());
        assert!(says(&changed) && !says(&first), "PID 1 is not told {told:?}");
        change(&directory, new, old);
    }

    // What a file says lies in the root.
    let root = [&["root"], &initrd[..]].concat();
    change(&directory, "PRETTY_NAME=\"Shoal\"", "PRETTY_NAME=\"Minnow\"");
    assert_depends(&build(&directory), &first, &root);
    change(&directory, "PRETTY_NAME=\"Minnow\"", "PRETTY_NAME=\"Shoal\"");

    // Which modules there are decides over the kernel's part of the root, too; programs and packages stay.
    change(&directory, "  \"xen-blkfront\",\n", "");
    assert_depends(&build(&directory), &first, &[&["kernel", "kernel-early", "hash.vmlinuz"], &root[..]].concat());
}

/// Exactly `steps` have other inputs than in the build `before`, and no others ran. A step with other inputs need not run: an earlier run of this test has
/// left its result.
#[track_caller]
fn assert_depends(now: &Done, before: &Done, steps: &[&str]) {
    let expected: BTreeSet<String> = steps.iter().map(|step| format!("{step}.amd64")).collect();
    let changed: BTreeSet<String> =
        now.keys.iter().filter(|(step, key)| before.keys.get(*step) != Some(key)).map(|(step, _)| step.clone()).collect();
    assert_eq!(changed, expected);
    assert_ne!(now.id, before.id, "two images have one id");
    assert!(now.ran.is_subset(&expected), "{:?} ran for nothing", now.ran);
    assert!(now.keys.keys().eq(before.keys.keys()), "a build has the same steps");
}
