//! The steps of a build, one file each. Every function takes what earlier steps made and gives a [`crate::step::Built`].

pub mod config;
pub mod crates;
pub mod disk;
pub mod images;
pub mod initrd;
pub mod iso;
pub mod kernel;
pub mod kernel_step;
pub mod loaders;
pub mod packages;
pub mod programs;
pub mod root;
pub mod trees;
