//! The socket by which other commands reach the keeper of a cluster. One word a connection: `stages` is answered with a JSON array of strings, one a box; `end` with
//! nothing, and the end of the connection says that it was heard.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream as Blocking;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::keeper::Stages;
use super::place::Place;

const STAGES: &str = "stages";
const END: &str = "end";
/// Bytes of a word, at most.
const WORD_BYTES_MAX: u64 = 16;
/// How long a keeper may take to answer: it has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// The keeper's end.
#[derive(Debug)]
pub(crate) struct Control {
    asked: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The socket by a short name: the path of a socket has 107 bytes at most (unix(7)), and that of a home directory as many as it likes.
fn short(place: &Place) -> io::Result<(File, PathBuf)> {
    let directory = File::open(place.directory())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/control", directory.as_raw_fd()));
    Ok((directory, path))
}

impl Control {
    pub(crate) fn open(place: &Place, stages: Stages) -> Result<Self> {
        // One of a keeper that was killed may be there; nobody else has the cluster.
        let _ = std::fs::remove_file(place.file("control"));
        let (_directory, path) = short(place).context("the cluster's directory cannot be opened")?;
        let listener = UnixListener::bind(path).context("the keeper's socket cannot be made")?;
        let (end, asked) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, stages.clone(), end.clone()));
            }
        });
        Ok(Self { asked, task })
    }

    /// Returns when somebody has asked for the end.
    pub(crate) async fn asked_to_end(&mut self) {
        self.asked.recv().await;
    }
}

async fn answer(mut stream: UnixStream, stages: Stages, end: mpsc::Sender<()>) {
    let mut word = String::new();
    let mut limited = (&mut stream).take(WORD_BYTES_MAX);
    match limited.read_to_string(&mut word).await.map(|_| word.as_str()) {
        Ok(STAGES) => {
            let text = serde_json::to_string(&stages.all()).unwrap_or_default();
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Ok(END) => drop(end.send(()).await),
        _ => {}
    }
}

/// What each box of a cluster that is up is at.
pub(crate) fn stages(place: &Place) -> Result<Vec<String>> {
    Ok(serde_json::from_str(&ask(place, STAGES)?)?)
}

/// Asks the keeper to end.
pub(crate) fn end(place: &Place) -> Result<()> {
    ask(place, END).map(drop)
}

fn ask(place: &Place, word: &str) -> Result<String> {
    let asked = || -> io::Result<String> {
        let (_directory, path) = short(place)?;
        let mut stream = Blocking::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(word.as_bytes())?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().with_context(|| format!("the keeper of the cluster {} does not answer", place.name()))
}
