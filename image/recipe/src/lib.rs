//! Recipes: strict TOML to a checked [`Recipe`], and its [`Lock`].
//!
//! A core: it opens no file. [`resolve()`] asks its caller for the text of a recipe and of those it inherits, and gives a [`Recipe`] with no
//! choice left in it, or a [`ResolveError`] with *every* mistake, each pointing at file, line and column and saying what to write instead.
//!
//! ```text
//! text --tree--> places --inherit--> one table --resolve--> Recipe --expand--> /etc/shoal/recipe.toml
//!                                                              \--sources--> digest in the lock
//! ```
//!
//! The language is described for those who write it in `recipes/README.md`; the rules of inheritance stand at the head of `inherit.rs`.
//! What this crate deliberately does not know: which packages an archive has, which modules a kernel has, what a build does with any of it.

mod expand;
mod inherit;
pub mod lock;
pub mod model;
mod path;
mod problem;
mod read;
mod resolve;
mod scalar;
mod sources;
mod tree;

pub use expand::ExpandedError;
pub use lock::Lock;
pub use model::Recipe;
pub use problem::{Problem, RecipeProblem, ResolveError};
pub use resolve::resolve;
