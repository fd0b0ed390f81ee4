//! Servers of etcd's API as processes: started with the same flags, killed, and looked at from outside.

use std::{
    fmt, fs, io,
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use shoal_store_bench::process;
use tokio::process::{Child, Command};

use crate::connection::Connection;

/// How long a server may take until it answers.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How often a server is started that lost the race for its port to somebody else.
const START_ATTEMPTS: usize = 3;

/// How long a server may take to end when it is told to.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// What is measured. The discriminants are places in a pair of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Etcd = 0,
    Shoal = 1,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Etcd => "etcd",
            Self::Shoal => "shoal-store",
        })
    }
}

/// What to start, and where its data go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Path,
    pub(crate) directory: &'a Path,
    pub(crate) show_pid: bool,
}

impl Launch<'_> {
    /// Starts one member alone and waits until it answers.
    pub(crate) async fn one(&self) -> anyhow::Result<Server> {
        Ok(self.cluster(1).await?.remove(0))
    }

    /// Starts members of one cluster and waits until each of them answers.
    pub(crate) async fn cluster(&self, members: usize) -> anyhow::Result<Vec<Server>> {
        let mut attempt = 1;
        loop {
            match self.try_cluster(members).await {
                Ok(servers) => return Ok(servers),
                Err(error) if attempt == START_ATTEMPTS => return Err(error),
                Err(_) => {
                    attempt += 1;
                    for member in 0..members {
                        let _ = fs::remove_dir_all(self.directory.join(member.to_string()));
                    }
                }
            }
        }
    }

    async fn try_cluster(&self, members: usize) -> anyhow::Result<Vec<Server>> {
        let urls: Vec<(String, String)> = (0..members).map(|_| Ok((free_url()?, free_url()?))).collect::<io::Result<_>>()?;
        let all: Vec<String> = urls.iter().enumerate().map(|(member, (_, peer))| format!("{member}={peer}")).collect();
        let mut servers = Vec::new();
        for (member, (client, peer)) in urls.iter().enumerate() {
            let arguments = vec![
                format!("--name={member}"),
                format!("--data-dir={}", self.directory.join(member.to_string()).display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={}", all.join(",")),
                // Both keep the 100,000 objects with room to spare.
                format!("--quota-backend-bytes={}", 8_u64 << 30),
                "--log-level=error".to_owned(),
            ];
            let mut server = Server {
                program: self.program.to_owned(),
                arguments,
                log: self.directory.join(format!("{member}.log")),
                endpoint: client.clone(),
                show_pid: self.show_pid,
                child: None,
            };
            server.spawn()?;
            servers.push(server);
        }
        for server in &mut servers {
            server.wait_ready().await?;
        }
        Ok(servers)
    }
}

/// A member; its process is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    program: std::path::PathBuf,
    arguments: Vec<String>,
    log: std::path::PathBuf,
    /// Where it is reached, as a URL.
    pub(crate) endpoint: String,
    show_pid: bool,
    child: Option<Child>,
}

impl Server {
    fn spawn(&mut self) -> anyhow::Result<()> {
        let log = fs::File::create(&self.log).context("cannot make a log")?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        if let (true, Some(pid)) = (self.show_pid, child.id()) {
            eprintln!("{} is process {pid}", self.program.display());
        }
        self.child = Some(child);
        Ok(())
    }

    async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let connection = Connection::new(&self.endpoint)?;
        let child = self.child.as_mut().context("the server has been stopped")?;
        let outcome = tokio::select! {
            ready = tokio::time::timeout(START_DEADLINE, connection.until_ready()) => ready.map_err(|_| "does not answer".to_owned()),
            ended = child.wait() => Err(format!("ended: {ended:?}")),
        };
        outcome.map_err(|what| {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            anyhow::anyhow!("{} {what}; it said:\n{said}", self.program.display())
        })
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.child.as_ref().and_then(Child::id).context("the server has ended by itself")
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.pid()?);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }

    /// Processor time so far, in seconds.
    pub(crate) fn processor_seconds(&self) -> anyhow::Result<f64> {
        let ticks = process::processor_ticks(&self.read("stat")?).context("/proc/PID/stat has no processor time")?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Bytes that it has caused to be written to media so far.
    pub(crate) fn written_bytes(&self) -> anyhow::Result<f64> {
        Ok(process::written_bytes(&self.read("io")?).context("/proc/PID/io does not tell what was written")? as f64)
    }

    /// Memory of its own, and with what it has mapped of files, both in bytes: `RssAnon` and `VmRSS`.
    pub(crate) fn memory_bytes(&self) -> anyhow::Result<(f64, f64)> {
        let status = self.read("status")?;
        let of = |name| process::memory_bytes(&status, name).with_context(|| format!("/proc/PID/status has no {name}"));
        Ok((of("RssAnon")? as f64, of("VmRSS")? as f64))
    }

    /// Kills it as a power cut would, as far as a process can see.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the server has been stopped")?;
        child.kill().await.context("cannot kill the server")
    }

    /// Asks it to end, and waits.
    async fn stop(&mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw).context("the process id is no process id")?;
        let mut child = self.child.take().context("the server has been stopped")?;
        kill_process(pid, Signal::TERM).context("cannot stop the server")?;
        tokio::time::timeout(STOP_DEADLINE, child.wait())
            .await
            .context("the server does not end")?
            .context("cannot wait for the server")?;
        Ok(())
    }

    /// Stops it, starts it on the same data, and returns how long it took from the start until it answered, in seconds.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<f64> {
        self.stop().await?;
        let start = Instant::now();
        self.spawn()?;
        self.wait_ready().await?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// A URL whose port was free a moment ago.
fn free_url() -> io::Result<String> {
    Ok(format!("http://{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?))
}
