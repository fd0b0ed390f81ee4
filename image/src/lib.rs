//! The `shoal` command: builds bootable images from recipes, and boots them.
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`] | the command line, its help, completions and man pages |
//! | [`project`] | finds a recipe, its lock and the workspace |
//! | [`lock`] | resolves a recipe's sources and pins them |
//! | [`sources`] | fetches what a lock pins |
//! | [`toolbox`] | unpacks the pinned tools |
//! | [`build`], [`steps`], [`step`] | the steps of a build, and how they are cached |
//! | [`outputs`], [`manifest`], [`sbom`] | what a build leaves in the output directory |
//! | [`inspect`] | what an image is made of |
//! | [`fleet`], [`stamp`] | fleet files, and whose an image is |
//! | [`kubeconfig`] | how kubectl gets into a cluster of the owner's |
//! | [`boot`] | boots an image in an emulated box |
//! | [`up`] | clusters of emulated boxes on this machine |
//! | [`bench`] | measures how an image boots |
//! | [`events`] | progress: bars, lines, or JSON |
//! | [`interrupt`] | Ctrl-C and its like |
//! | [`space`] | full file systems |
//!
//! It is a shell: decisions about recipes, formats and archives are taken in `shoal-recipe`, `shoal-format` and `shoal-debian`. It deliberately has no
//! configuration of its own: mirrors and proxies are apt's, cargo's and go's.

pub mod bench;
pub mod boot;
pub mod build;
pub mod cli;
pub mod events;
pub mod fleet;
pub mod inspect;
pub mod interrupt;
pub mod kubeconfig;
pub mod lock;
pub mod manifest;
pub mod outputs;
pub mod project;
pub mod run;
pub mod sbom;
#[cfg(test)]
#[path = "../tests/small/mod.rs"]
mod small;
pub mod sources;
pub mod space;
pub mod stamp;
pub mod step;
pub mod steps;
pub mod toolbox;
pub mod up;
