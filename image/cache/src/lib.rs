//! The content-addressed cache that builds share.
//!
//! Downloads are kept under the SHA-256 of their bytes, and the result of a build step under a key: the SHA-256 of everything that the step
//! reads. Nothing in the cache is ever changed once it counts, so whoever finds something by its digest can use it without asking anybody.
//!
//! ```text
//! <root>/objects/ab/ab12…       a file by its SHA-256, mode 0444
//! <root>/partial/ab12…          the beginning of a download; locked while somebody writes to it
//! <root>/steps/ab12…/output/    what a step made; `name` beside it says which step it was
//! <root>/steps/ab12….running/   a step at work, or what a killed one left; tells by the lock of its key
//! <root>/locks/ab12…            the lock of a step's key
//! <root>/shared/<name>/         a directory that a tool keeps safe itself (Go's module and build caches, Cargo's target directories)
//! <root>/sessions/<random>/     one open cache: `holds` is locked for its life and names what it uses; its temporary files lie beside
//! <root>/gate                   shared by who looks something up, exclusive while pruning decides
//! ```
//!
//! **Two builds at once.** A step runs under an exclusive lock of its key, a download under one of its file. Locks are `flock`s: the kernel
//! drops them with the process.
//!
//! **kill -9, and power cuts.** What counts appears by one `rename` of something that was flushed to the disk. Whatever else lies about is
//! worth nothing but a resumed download, and pruning removes it. A full disk leaves nothing else either, and the error says which it is.
//!
//! **Pruning while a build runs.** Every open cache writes down what it looked up before it hands out the path; pruning keeps what a living
//! one wrote down. Looking up takes the gate shared, pruning takes it alone, so neither sees the other half-way.
//!
//! It does not know what a step does, does not compress, and does not keep to a size: `prune` is called by people.

mod cache;
mod digest;
mod error;
mod lock;
mod object;
mod partial;
mod prune;
mod session;
mod space;
mod step;
mod tree;
mod usage;

pub use cache::Cache;
pub use digest::{Digest, ParseDigestError};
pub use error::{CacheError, NO_SPACE_ADVICE};
pub use partial::{FinishError, Partial};
pub use prune::{PrunePolicy, Pruned};
pub use space::{FileSystem, is_no_space, needed};
pub use step::{Step, StepError};
pub use usage::{Amount, Usage};
