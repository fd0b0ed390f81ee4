//! What independent tools say about the formats `shoal-format` writes. Each check makes its own files, and panics with the tool's words
//! when the tool finds a fault.
//!
//! `run` runs a tool by name with arguments and gives its output; where the tools come from is the caller's business.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Output;

use shoal_format::epoch::Epoch;
use shoal_format::fat::{self, Variant, Volume};
use shoal_format::gpt::{self, Partition};
use shoal_format::iso::{self, Bios, Iso};
use shoal_format::sector;
use shoal_format::sparse::{CHUNK, SparseImage};
use shoal_format::tree::{NodeKind, Tree};
use shoal_format::uki::{self, Parts};
use shoal_format::{cpio, qcow2, tar};
use tempfile::TempDir;
use uuid::{Uuid, uuid};

/// Runs a tool.
pub(crate) type Run<'tools> = dyn Fn(&str, &[&str]) -> Output + 'tools;

const DISK: Uuid = uuid!("3c2f9a10-7a3e-5d61-8b0e-2f1f64d3a001");
const EPOCH: Epoch = Epoch::from_seconds(1_763_866_861);

/// Runs a tool that must succeed; what it printed on both streams.
fn succeed(run: &Run<'_>, tool: &str, arguments: &[&str]) -> String {
    let output = run(tool, arguments);
    let text = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].join("\n");
    assert!(output.status.success(), "{tool} {arguments:?} ended with {}:\n{text}", output.status);
    text
}

/// A scratch directory and a file in it by name.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(TempDir::new().expect("a scratch directory can be made"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn image(&self, name: &str, image: &SparseImage) -> String {
        let path = self.path(name);
        let file = File::create(&path).expect("a scratch file can be made");
        file.set_len(image.len()).expect("its length can be set");
        image.write_sparse(file).expect("it can be written");
        text(&path)
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("scratch paths are UTF-8").to_owned()
}

/// Files of all the kinds an image has: long names, an empty directory, lengths around a cluster, a directory of many entries.
fn files() -> Tree {
    let mut tree = Tree::new();
    let mut put = |path: &str, length: usize| {
        let contents: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        tree.insert_file(path, 0o644, contents).expect("the paths differ");
    };
    put("/EFI/BOOT/BOOTX64.EFI", 124_000);
    put("/EFI/Linux/shoal_1.0.0+3-0.efi", 3_000_001);
    put("/loader/loader.conf", 10);
    put("/empty file", 0);
    for number in 0..200 {
        put(&format!("/many/a rather long name of a file, number {number}.txt"), number * 7);
    }
    tree.insert_dir("/loader/entries", 0o755).expect("nothing is there");
    tree
}

/// `fsck.vfat` finds nothing to repair in FAT16 and FAT32 volumes.
pub(crate) fn check_fat(run: &Run<'_>) {
    for (name, variant, bytes) in
        [("fat16", Variant::Fat16, 24 << 20), ("fat32", Variant::Fat32, 256 << 20), ("fat32-64", Variant::Fat32, 64 << 20)]
    {
        let scratch = Scratch::new();
        let volume = Volume { variant, bytes, label: "SHOAL", serial: 0x1234_abcd, epoch: EPOCH, disk_offset: 1 << 20 };
        let image = fat::write(&files(), &volume).expect("the files fit");
        let path = scratch.image(name, &image);
        let report = succeed(run, "fsck.vfat", &["-n", "-v", &path]);
        for complaint in ["Dirty bit", "differences", "Orphaned", "Wrong", "Bad "] {
            assert!(!report.contains(complaint), "{name}: {report}");
        }
    }
}

/// `sgdisk -v` finds no problems in a disk's partition table, and reads our GUIDs and names.
pub(crate) fn check_gpt(run: &Run<'_>) {
    let scratch = Scratch::new();
    let mut disk = SparseImage::new(64 << 20);
    let partition = |type_guid, name: &str, first_sector, sectors| Partition {
        type_guid,
        unique_guid: Uuid::new_v5(&DISK, name.as_bytes()),
        name: name.to_owned(),
        first_sector,
        sectors,
        attributes: 0,
    };
    let partitions = [
        partition(gpt::TYPE_BIOS_BOOT, "bios", 34, 2014),
        partition(gpt::TYPE_ESP, "esp", 2048, 65_536),
        partition(gpt::TYPE_LINUX_DATA, "shoal-state", 2048 + 65_536, 4096),
    ];
    gpt::write(&mut disk, DISK, &partitions).expect("the partitions fit");
    let path = scratch.image("disk", &disk);
    let report = succeed(run, "sgdisk", &["-v", &path]);
    assert!(report.contains("No problems found"), "{report}");
    let listed = succeed(run, "sgdisk", &["-p", "-i", "2", &path]).to_lowercase();
    assert!(listed.contains(&DISK.to_string()), "{listed}");
    assert!(listed.contains(&partitions[1].unique_guid.to_string()), "{listed}");
    assert!(listed.contains("partition name: 'esp'"), "{listed}");
}

/// xorriso reads the files back and finds both boot entries, and sgdisk a sound partition table, in a hybrid ISO.
pub(crate) fn check_iso(run: &Run<'_>) {
    let scratch = Scratch::new();
    let volume = Volume { variant: Variant::Fat32, bytes: 40 << 20, label: "SHOAL", serial: 1, epoch: EPOCH, disk_offset: 0 };
    let uefi = fat::write(&files(), &volume).expect("the files fit");
    let mut boot_hybrid = vec![0xeb; 512];
    boot_hybrid[510..].copy_from_slice(&[0x55, 0xaa]);
    let eltorito = vec![0xcc; 150_000];
    let mut tree = Tree::new();
    tree.insert_file("/boot/grub/grub.cfg", 0o644, *b"set default=0\n").expect("nothing is there");
    let bios = Some(Bios { eltorito: &eltorito, boot_hybrid: &boot_hybrid });
    let image =
        iso::write(&Iso { volume_id: "SHOAL", tree: &tree, uefi: &uefi, bios, config: &[7; sector::BYTES], disk_guid: DISK, epoch: EPOCH })
            .expect("all parts are whole");
    let path = scratch.image("iso", &image);

    let report = succeed(run, "xorriso", &["-indev", &path, "-report_el_torito", "plain", "-report_system_area", "plain"]);
    let entry = |platform: &str| {
        report.lines().any(|line| line.starts_with("El Torito boot img") && line.contains(platform) && line.contains(" y "))
    };
    assert!(entry(" BIOS ") && entry(" UEFI "), "{report}");
    assert!(report.to_lowercase().contains("gpt disk guid"), "{report}");
    assert!(report.contains("SHOAL"), "{report}");
    let extracted = scratch.path("efi.img");
    succeed(run, "xorriso", &["-osirrox", "on", "-indev", &path, "-extract", iso::UEFI_IMAGE, &text(&extracted)]);
    assert!(fs::read(&extracted).expect("xorriso has extracted it") == uefi.to_vec(), "the UEFI image comes out as it went in");

    let report = succeed(run, "sgdisk", &["-v", &path]);
    assert!(report.contains("No problems found"), "{report}");
    let listed = succeed(run, "sgdisk", &["-p", &path]).to_lowercase();
    assert!(listed.contains(&DISK.to_string()) && listed.contains("ef00"), "{listed}");
}

/// `qemu-img` finds no errors in qcow2 files, and the same disk as in the raw one.
pub(crate) fn check_qcow2(run: &Run<'_>) {
    let scratch = Scratch::new();
    let mut disk = SparseImage::new((5 << 30) + 512);
    for (offset, byte) in [(0, 1), (CHUNK as u64 * 3 - 1, 2), (600 << 20, 3), (4 << 30, 4), ((5 << 30) + 511, 5)] {
        disk.write_at(offset, &[byte]).expect("it lies on the disk");
    }
    let raw = scratch.image("raw", &disk);
    let path = scratch.path("qcow2");
    qcow2::write(&disk, File::create(&path).expect("a scratch file can be made")).expect("it can be written");
    let report = succeed(run, "qemu-img", &["check", "-f", "qcow2", &text(&path)]);
    assert!(report.contains("No errors were found"), "{report}");
    let report = succeed(run, "qemu-img", &["compare", "-f", "raw", "-F", "qcow2", &raw, &text(&path)]);
    assert!(report.contains("Images are identical"), "{report}");
}

/// `mkfs.erofs` reads our tar, `fsck.erofs` finds no fault in what it made of it, and every file is in there as it was.
pub(crate) fn check_tar_into_erofs(run: &Run<'_>) {
    let scratch = Scratch::new();
    let mut tree = files();
    tree.insert_file(&format!("/{}/{}", "d".repeat(120), "f".repeat(200)), 0o600, *b"long").expect("nothing is there");
    tree.insert_symlink("/link", &format!("{}target", "../".repeat(60))).expect("nothing is there");
    tree.insert_file("/setuid", 0o4755, *b"s").expect("nothing is there");
    let (archive, image, extracted) = (scratch.path("root.tar"), scratch.path("root.erofs"), scratch.path("extracted"));
    tar::write(&tree, EPOCH, File::create(&archive).expect("a scratch file can be made")).expect("it can be written");
    succeed(run, "mkfs.erofs", &["--tar=f", "--all-root", "--quiet", &text(&image), &text(&archive)]);
    succeed(run, "fsck.erofs", &["--no-preserve", &format!("--extract={}", text(&extracted)), &text(&image)]);
    for (path, node) in &tree {
        let place = extracted.join(path.trim_start_matches('/'));
        match &node.kind {
            NodeKind::Directory => assert!(place.is_dir(), "{path}"),
            NodeKind::File(contents) => assert_eq!(fs::read(&place).expect(path), **contents, "{path}"),
            NodeKind::Symlink(target) => assert_eq!(fs::read_link(&place).expect(path), Path::new(target), "{path}"),
        }
    }
}

/// GNU cpio lists every entry of an initramfs, with its mode and owner.
pub(crate) fn check_cpio(run: &Run<'_>) {
    let scratch = Scratch::new();
    let mut tree = files();
    tree.insert_symlink("/link", "target").expect("nothing is there");
    let path = scratch.path("initrd");
    cpio::write(&tree, EPOCH, File::create(&path).expect("a scratch file can be made")).expect("it can be written");
    let listed = succeed(run, "cpio", &["-itv", "--numeric-uid-gid", "-F", &text(&path)]);
    for (path, node) in &tree {
        let name = path.trim_start_matches('/');
        let line = listed.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name} is missing:\n{listed}"));
        let kind = match node.kind {
            NodeKind::Directory => 'd',
            NodeKind::File(_) => '-',
            NodeKind::Symlink(_) => 'l',
        };
        assert!(line.starts_with(kind), "{line}");
        assert!(line.split_whitespace().skip(2).take(2).eq(["0", "0"]), "{line}");
    }
}

/// `ukify inspect` finds the sections in an image made of a real stub and kernel, with our contents.
pub(crate) fn check_uki(run: &Run<'_>, stub: &[u8], linux: &[u8]) {
    let scratch = Scratch::new();
    let initrd = vec![7; 1 << 20];
    let parts = Parts {
        stub,
        os_release: "ID=shoal\nVERSION_ID=1.0.0\n",
        command_line: "console=ttyS0",
        kernel_release: "6.12.107",
        initrd: &initrd,
        linux,
    };
    let image = uki::build(&parts).expect("the parts fit");
    let path = scratch.path("shoal.efi");
    fs::write(&path, &image.bytes).expect("a scratch file can be written");
    let report = succeed(run, "ukify", &["inspect", &text(&path)]);
    for expected in [".osrel:", ".cmdline:", ".uname:", ".initrd:", ".linux:", "console=ttyS0", "6.12.107", "VERSION_ID=1.0.0"] {
        assert!(report.contains(expected), "no {expected} in:\n{report}");
    }
    assert!(report.contains("size: 1048576 bytes"), "the initramfs has its length:\n{report}");
}
