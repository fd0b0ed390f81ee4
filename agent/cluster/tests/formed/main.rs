//! Clusters that form themselves, several nodes in one process: what a formation core is promised at the seam.

mod fleet;

mod changing;
mod cores;
mod dissolving;
mod forming;
mod hearing;
mod remembering;
