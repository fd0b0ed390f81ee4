//! Debian archives, read and judged: signed releases, package indices, closures of dependencies, and `.deb` files.
//!
//! This crate is a core. It takes bytes and gives values: it opens no file and no socket, and it never asks for the time. Who downloads,
//! caches and unpacks is up to its callers.
//!
//! The path from an archive to files, and who guards each step:
//!
//! | step | module | what is checked |
//! |---|---|---|
//! | `InRelease` | [`release`] | an OpenPGP signature by a pinned key, the hash it uses, the key's validity, the suite, the age |
//! | `Packages` | [`packages`] | its digest is in the release (by the caller); every field that is used later is present and well formed |
//! | what to take | [`closure`] | every dependency is met, with its version, or the error names the chain that leads to it |
//! | `.deb` | [`deb`] | its digest is in the index (by the caller); no path leaves the root, no size is absurd |
//!
//! What it deliberately does not do: solve (the closure is greedy and predictable, see [`closure`]), honour `Conflicts` and `Breaks`
//! (packages are unpacked into an image, not configured on a running system), run maintainer scripts, or speak to mirrors.

pub mod closure;
pub mod compression;
pub mod deb;
pub mod deb822;
mod keyring;
pub mod packages;
pub mod relation;
pub mod release;

pub use debversion::Version;
