//! What must not outlive this process: the programs it started, and the files it has not finished.
//!
//! | how the process ends | programs ([`ProcessTree`]) | files ([`Unfinished`], [`TemporaryDirectory`]) |
//! |---|---|---|
//! | it returns, or unwinds | their owner is dropped, and ends them | their owner is dropped, and removes them |
//! | somebody calls [`begin`]: Ctrl-C, a closed terminal | are killed at once | are removed at once |
//! | SIGKILL, abort, a panic in the kernel | a watcher of each kills them | stay, and count for nothing: whoever made them says who removes them later |
//!
//! It is a shell, and the one place of a program that uses it that knows all of these: a list for the whole process, because signals are for the whole
//! process. It deliberately handles no signal itself, and says nothing: that is for the program.

mod list;
mod process;
mod temporary;
mod tree;
mod unfinished;

pub use list::{Teardown, begin};
pub use process::ProcessTree;
pub use temporary::TemporaryDirectory;
pub use tree::{or_gone, remove};
pub use unfinished::Unfinished;
