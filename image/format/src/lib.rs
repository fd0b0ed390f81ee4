//! Bytes in, bytes out: the formats an appliance image is made of.
//!
//! A core. It knows no files, clocks, randomness or programs: what a format would take from those (times, GUIDs, serial numbers) the
//! caller gives, so the same arguments always give the same bytes. Each format is held against an independent tool by the integration
//! tests of the `shoal` command; here are the tests that need none.
//!
//! | module | writes | from |
//! |---|---|---|
//! | [`tree`] | | a file tree in memory, which the others take |
//! | [`sparse`] | | a disk image in memory without its zeros, which the others give |
//! | [`tar`], [`cpio`] | archives | a tree |
//! | [`fat`], [`iso`] | file systems | a tree |
//! | [`gpt`], [`grub`] | partition table, BIOS boot code | into a disk image |
//! | [`uki`] | a unified kernel image | stub, kernel, initramfs |
//! | [`qcow2`] | QEMU's disk format | a disk image |
//! | [`oci`] | a container image | a tree |
//! | [`sbom`] | CycloneDX JSON | a list of components |
//! | [`modinfo`] | nothing; reads | a kernel module |
//! | [`sector`] | nothing; finds the configuration's place | an image of any form |
//!
//! It does not compress, sign or make EROFS: those are other crates and tools.

pub mod cpio;
pub mod epoch;
pub mod fat;
pub mod gpt;
pub mod grub;
pub mod iso;
pub mod modinfo;
pub mod oci;
pub mod pe;
pub mod purl;
pub mod qcow2;
pub mod sbom;
pub mod sector;
pub mod sparse;
pub mod tar;
pub mod tree;
pub mod uki;
