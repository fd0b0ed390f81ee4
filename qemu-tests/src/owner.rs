//! The owner of boxes, on this machine: a way to a box's API, and the image's own kubectl with what `shoal kubeconfig` has made.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use shoal::cli::KubeconfigArgs;
use shoal::kubeconfig::server::{API_PORT, Server};
use shoal_lab::Net;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout_at};

use crate::images::Image;

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(3);

/// A port of this machine's loopback address that leads to the API of a box, for as long as it is kept.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Api {
    /// That of the box with this address, through the lab's host.
    ///
    /// # Errors
    /// If this machine has no free port.
    pub async fn of(net: &Net, address: Ipv4Addr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port is free")?;
        let (own, net) = (listener.local_addr()?, net.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let net = net.clone();
                tokio::spawn(async move {
                    // A box that does not take it yet: the client sees its connection end, and tries again.
                    if let Ok(mut server) = net.connect(address.into(), API_PORT).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Ok(Self { address: own, task })
    }

    /// A kubeconfig in `file`, as the owner with this fleet file gets it.
    ///
    /// # Errors
    /// As `shoal kubeconfig`.
    pub async fn kubeconfig(&self, fleet: &Path, file: PathBuf, timeout: Duration) -> Result<()> {
        let server = Server::parse(&self.address.to_string()).map_err(anyhow::Error::msg)?;
        let fleet = fleet.to_str().context("the lab's directory is text")?.to_owned();
        let args = KubeconfigArgs { server, fleet: Some(fleet), out: Some(file), hours: 1, timeout };
        spawn_blocking(move || shoal::kubeconfig::run(&args)).await.context("shoal kubeconfig panicked")?
    }
}

/// What the image's own kubectl says on this machine, which has nothing but that kubeconfig. It is asked again until it has gone well: an API that is started
/// anew may still have answered, and be gone then.
///
/// # Errors
/// What kubectl said last, if it has not gone well within that time.
pub async fn kubectl(image: &Image, kubeconfig: &Path, arguments: &[&str], within: Duration) -> Result<String> {
    let until = Instant::now() + within;
    loop {
        match once(image, kubeconfig, arguments).await {
            Err(_) if Instant::now() < until => sleep(PAUSE).await,
            said => return said,
        }
    }
}

/// Asks until what kubectl says has `word` in it.
///
/// # Errors
/// As [`kubectl`]; with what was said last.
pub async fn says(image: &Image, kubeconfig: &Path, arguments: &[&str], word: &str, within: Duration) -> Result<()> {
    let until = Instant::now() + within;
    loop {
        let said = kubectl(image, kubeconfig, arguments, until.saturating_duration_since(Instant::now())).await?;
        if said.contains(word) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "kubectl {arguments:?} said {said:?}, and never {word:?}");
        sleep(PAUSE).await;
    }
}

/// What is answered to `GET /` behind a port that `kubectl port-forward` opens to `target`, by the deadline, however often that takes.
///
/// # Errors
/// If it opens none, or nothing is answered.
pub async fn forwarded(image: &Image, kubeconfig: &Path, target: &str, port: u16, within: Duration) -> Result<String> {
    let until = Instant::now() + within;
    loop {
        match timeout_at(until, forwarded_once(image, kubeconfig, target, port)).await.context("what was forwarded is not answered")? {
            Err(_) if Instant::now() < until => sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

async fn forwarded_once(image: &Image, kubeconfig: &Path, target: &str, port: u16) -> Result<String> {
    let mut command = command(image, kubeconfig, &["port-forward", target, &format!(":{port}")])?;
    let mut kubectl = command.stdout(Stdio::piped()).spawn().context("kubectl cannot be started")?;
    let mut said = BufReader::new(kubectl.stdout.take().context("it is piped")?);
    let mut line = String::new();
    said.read_line(&mut line).await?;
    // `Forwarding from 127.0.0.1:40423 -> 8080`
    let address = line.split_whitespace().nth(2).with_context(|| format!("kubectl port-forward said {line:?}"))?;
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("nobody listens on {address}"))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn once(image: &Image, kubeconfig: &Path, arguments: &[&str]) -> Result<String> {
    let output = command(image, kubeconfig, arguments)?.output().await.context("kubectl cannot be started")?;
    ensure!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn command(image: &Image, kubeconfig: &Path, arguments: &[&str]) -> Result<Command> {
    let program = image.kube.as_ref().context("the image has no Kubernetes")?;
    let home = kubeconfig.parent().context("a kubeconfig lies in a directory")?;
    let mut command = Command::new(program);
    command.arg0("kubectl").env_clear().env("HOME", home).arg("--kubeconfig").arg(kubeconfig).args(arguments).kill_on_drop(true);
    Ok(command)
}
