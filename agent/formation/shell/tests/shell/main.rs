//! Nodes on real sockets, with the real core and a model of raft; and their files under power cuts.

mod files;
mod forming;
mod node;
mod raft;
