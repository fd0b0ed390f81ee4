//! Pinned tools: Debian packages unpacked in the cache and run from there.
//!
//! A build uses nothing of its host but the kernel and `/bin/sh`: QEMU, mkfs.erofs, the C and Rust compilers and the Go toolchain are inputs like every
//! other, with their digests in the lock. A *tool root* is a directory with the packages of a tool and all they depend on. Programs in it run as an
//! ordinary user, without namespaces, on any amd64 host whatever its C library, because they were changed to find their loader and
//! libraries in the root. So they can be started by their path, by us or by each other, and no variable leaks from a tool to what it runs.
//!
//! | module | what it is for |
//! |---|---|
//! | [`root`] | unpacking a tool root, starting programs of it |
//! | [`cc`] | the C compilers: static programs, and the linker of the Rust compiler |
//! | [`rust`] | crates of a workspace, static, the same bits wherever anything lies |
//! | [`go`] | the pinned Go toolchain, modules, static programs |
//! | [`qemu`] | where QEMU and the firmware of its machines lie |
//! | [`run`] | running a tool, its messages line by line |
//!
//! What it deliberately does not do: download packages (it is given files), configure them (no maintainer script ever runs), or offer tools
//! of an architecture other than amd64.

pub mod cc;
mod elf;
pub mod go;
mod links;
pub mod qemu;
pub mod root;
pub mod run;
pub mod rust;
mod script;
mod unpack;

pub use elf::ElfError;
pub use root::{Deb, MissingTool, ToolRoot, UnpackError};
pub use run::RunError;
