//! Several nodes in one process, on loopback, with files of their own.

mod cluster;

mod elections;
mod full_disk;
mod lagging;
mod leases;
mod linearizable;
mod membership;
mod old_checkpoint;
mod restarts;
mod space;
mod tls;
mod unreachable;
