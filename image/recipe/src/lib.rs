//! Recipes: strict TOML to a checked [`Recipe`], and its [`lock::Lock`]. A core: it opens no file; the caller hands it texts.

pub mod lock;
pub mod model;

pub use lock::Lock;
pub use model::Recipe;
