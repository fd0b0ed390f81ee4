//! Bad input on both ports of a real member: it is answered with etcd's error or a closed connection, it takes bounded memory, and other clients do
//! not notice.

#[path = "../harness/mod.rs"]
mod harness;

mod connections;
mod requests;
mod streams;
mod witness;

use std::path::PathBuf;

use harness::{Process, folder};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// A member with a port for clients and one for peers.
struct Member {
    process: Process,
    /// Where peers reach it.
    peers: String,
    _folder: TempDir,
}

impl Member {
    fn start(flags: &[&str]) -> Self {
        let folder = folder();
        let mut process = Process::start(folder.path(), flags);
        let line = process.wait_line("serving peers address=");
        let (_, peers) = line.split_once("://").expect("it is a URL");
        Self { peers: peers.trim_end_matches('"').to_owned(), process, _folder: folder }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.process.address)).expect("it is a URL")
    }

    /// A connection of its own.
    fn channel(&self) -> Channel {
        self.endpoint().connect_lazy()
    }

    /// Bytes of memory that it has now (`VmRSS` of proc(5)).
    fn memory(&self) -> u64 {
        let path = PathBuf::from(format!("/proc/{}/status", self.process.id()));
        let status = std::fs::read_to_string(path).expect("it runs");
        let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kibibytes.expect("the kernel says so") << 10
    }
}
