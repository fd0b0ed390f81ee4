//! Downloads: everything that a build takes from the network comes through here, and comes verified.
//!
//! This crate is a shell. What a mirror's files mean is judged by `shoal-debian`; where they are kept is `shoal-cache`'s business. It decides
//! nothing but how to get bytes whose digest is known:
//!
//! | module | what it does |
//! |---|---|
//! | [`mirror`] | which mirrors this machine uses, from its own apt sources; no host name is written in this project |
//! | [`proxy`] | which proxy this machine uses, from apt's configuration and the environment |
//! | [`download`] | several downloads at once, resumed, repeated, limited in size, into the cache |
//! | [`archive`] | a Debian archive: signed release, then the package indices it vouches for |
//! | [`progress`] | what a caller can draw meanwhile |
//!
//! It does not draw, does not choose versions, and trusts no transport: `http` and `https` are the same to it, because everything is
//! checked against a digest or a signature.
//!
//! Proxies are asked as they expect it: for `http` in absolute form, so that they can cache, and for `https` by `CONNECT`. A redirect is asked for through
//! the proxy of where it leads.

mod absolute_form;
pub mod archive;
pub mod download;
pub mod mirror;
pub mod progress;
pub mod proxy;
mod request;
#[cfg(test)]
mod server;

pub use archive::{ArchiveError, ArchiveSource, FetchedArchive};
pub use download::{DownloadError, Downloader, FetchError, Wanted};
pub use mirror::{MirrorError, Mirrors};
pub use progress::{Outcome, Progress, Silent};
pub use proxy::Proxies;
pub use request::RequestError;
