//! Does what [`shoal_formation`] decides, and has no opinion of its own.
//!
//! | part | is |
//! |---|---|
//! | [`state`] | the node's files: who it is, what it is, what it was |
//! | [`raft`] | the seam to raft, which stays outside |
//! | [`discovery`] | the seam to whoever finds peers |
//! | [`driver`] | one task: an input, its effects in order, the next input |
//! | [`status`] | what the node says of itself to whoever shows it |
//!
//! # What it owes the core, and how it pays
//! - **Effects in order, the next input after the last.** There is one task, and it waits for each effect. Files are written on a thread for blocking work,
//!   and the task waits for it; raft and sessions go on meanwhile.
//! - **Persist, then send.** Follows from that. A file that cannot be made durable ends the node: nothing is sent that is not true of its disk.
//! - **Authenticated input.** Senders are who their sessions prove. A statement is verified with the key that the node's own log has for its signer, and a
//!   removal only believed of a member that the node's own log knows.
//! - **Raft hears whom the core lets it hear.** [`raft::Gate`] asks the core, and is what raft's transport is given.
//!
//! # What it does not do
//! It knows no certificate of a cluster yet: a node that was removed, and whose log knows none of today's members, is not told so. In a box
//! it is started by `shoal-node`.

pub mod clock;
pub mod discovery;
pub mod driver;
pub mod raft;
mod signatures;
pub mod state;
pub mod status;
