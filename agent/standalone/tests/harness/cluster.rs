//! Several members that form a cluster.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Process, client::Client, folder, program, reserve};

/// Members by name.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    scheme: &'static str,
    flags: Vec<String>,
    members: BTreeMap<String, Slot>,
}

struct Slot {
    peer: SocketAddr,
    client: SocketAddr,
    state: &'static str,
    process: Option<Process>,
}

impl Slot {
    fn new(state: &'static str) -> Self {
        Self { peer: reserve(), client: reserve(), state, process: None }
    }
}

impl Cluster {
    /// Starts members `n1`, `n2`, … and waits until all of them are ready.
    pub(crate) fn start(size: usize, flags: &[&str]) -> Self {
        Self::start_in(folder(), size, "http", flags)
    }

    pub(crate) fn start_in(folder: TempDir, size: usize, scheme: &'static str, flags: &[&str]) -> Self {
        let members = (1..=size).map(|number| (format!("n{number}"), Slot::new("new")));
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut cluster = Self { folder, scheme, flags, members: members.collect() };
        let names = cluster.names();
        names.iter().for_each(|name| cluster.spawn(name));
        names.iter().for_each(|name| cluster.process(name).wait_ready());
        cluster
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// Makes room for one more member, which was added as this one.
    pub(crate) fn prepare(&mut self, name: &str) -> String {
        self.members.insert(name.to_owned(), Slot::new("existing"));
        self.peer_url(name)
    }

    fn url(&self, address: SocketAddr) -> String {
        format!("{}://{address}", self.scheme)
    }

    pub(crate) fn peer_url(&self, name: &str) -> String {
        self.url(self.members[name].peer)
    }

    pub(crate) fn client_url(&self, name: &str) -> String {
        self.url(self.members[name].client)
    }

    pub(crate) fn client(&self, name: &str) -> Client {
        Client::new(&self.client_url(name))
    }

    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a member is started with.
    pub(crate) fn flags(&self, name: &str) -> Vec<String> {
        let slot = &self.members[name];
        let list: Vec<String> = self.members.keys().map(|name| format!("{name}={}", self.peer_url(name))).collect();
        let mut flags = vec![
            format!("--name={name}"),
            format!("--data-dir={}", self.data_dir(name).display()),
            format!("--listen-client-urls={}", self.client_url(name)),
            format!("--listen-peer-urls={}", self.peer_url(name)),
            format!("--initial-advertise-peer-urls={}", self.peer_url(name)),
            format!("--initial-cluster={}", list.join(",")),
            format!("--initial-cluster-state={}", slot.state),
        ];
        flags.extend(self.flags.iter().cloned());
        flags
    }

    /// Starts a member, or starts it again, and does not wait for anything.
    pub(crate) fn spawn(&mut self, name: &str) {
        let flags = self.flags(name);
        let process = Process::spawn(program().current_dir(self.folder.path()).args(flags));
        self.members.get_mut(name).expect("it is a member").process = Some(process);
    }

    pub(crate) fn process(&mut self, name: &str) -> &mut Process {
        self.members.get_mut(name).expect("it is a member").process.as_mut().expect("it runs")
    }

    /// Takes a member's process out: it is down, or about to be.
    pub(crate) fn take(&mut self, name: &str) -> Process {
        self.members.get_mut(name).expect("it is a member").process.take().expect("it runs")
    }

    /// Kills a member as a power cut would, but for what the system has cached.
    pub(crate) fn kill(&mut self, name: &str) {
        self.take(name).end(Signal::KILL);
    }
}
