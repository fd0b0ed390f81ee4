//! An HTTP server on the loopback interface that serves files from memory, and cuts answers short or stops in their middle when it is told to.

#![allow(dead_code, reason = "every test program compiles it, and uses a part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// A request for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// First byte of the range that was asked for.
    pub(crate) from: Option<usize>,
}

/// What the server's threads share with the test.
#[derive(Debug, Default)]
struct Shared {
    /// By path.
    files: BTreeMap<String, Vec<u8>>,
    /// The path of which nothing is sent behind so many bytes, although more is promised.
    cut: Option<(String, usize)>,
    /// Where to tell it when the connection stays open then.
    stalled: Option<Sender<()>>,
    asked: Vec<Asked>,
}

/// A running server; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves nothing yet.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (shared, stopping) = (Arc::<Mutex<Shared>>::default(), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (shared, stopping) = (Arc::clone(&shared), Arc::clone(&stopping));
            move || {
                // Each connection has a thread, for clients ask for several files at once.
                for stream in listener.incoming().flatten() {
                    if stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || serve(stream, &shared));
                }
            }
        });
        Self { address, shared, stopping, thread: Some(thread) }
    }

    /// The URI of a directory.
    pub(crate) fn uri(&self, directory: &str) -> String {
        format!("http://{}{directory}", self.address)
    }

    /// Serves these files from now on, and no others.
    pub(crate) fn serve(&self, files: BTreeMap<String, Vec<u8>>) {
        lock(&self.shared).files = files;
    }

    /// Sends no more than the first `bytes` of a file from now on; none: sends all.
    pub(crate) fn cut(&self, cut: Option<(&str, usize)>) {
        let mut shared = lock(&self.shared);
        (shared.cut, shared.stalled) = (cut.map(|(path, bytes)| (path.to_owned(), bytes)), None);
    }

    /// Sends no more than the first `bytes` of a file from now on, and does not close the connection: the client waits for the rest. Each time it has come so
    /// far, the receiver hears of it.
    pub(crate) fn stall(&self, path: &str, bytes: usize) -> Receiver<()> {
        let mut shared = lock(&self.shared);
        let (sender, receiver) = channel();
        (shared.cut, shared.stalled) = (Some((path.to_owned(), bytes)), Some(sender));
        receiver
    }

    /// What was asked for since this was last called.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.shared).asked)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is to stop.
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request and closes the connection.
fn serve(mut stream: TcpStream, shared: &Mutex<Shared>) {
    let Some(asked) = stream.try_clone().ok().and_then(|stream| read(BufReader::new(stream))) else { return };
    let (answer, stalled) = {
        let mut shared = lock(shared);
        shared.asked.push(asked.clone());
        let is_cut = shared.cut.as_ref().is_some_and(|(path, _)| *path == asked.path);
        (answer(&shared, &asked), shared.stalled.clone().filter(|_| is_cut))
    };
    // The client may have had enough, and closed.
    if stream.write_all(&answer).is_ok() {
        if let Some(stalled) = stalled {
            let _ = stalled.send(());
            // Until the client is gone.
            drop(stream.read(&mut [0]));
        }
        drop(stream.shutdown(Shutdown::Write));
    }
}

fn read(reader: impl BufRead) -> Option<Asked> {
    let lines: Vec<String> = reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let from = lines.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok());
    Some(Asked { path, from })
}

fn answer(shared: &Shared, asked: &Asked) -> Vec<u8> {
    let Some(file) = shared.files.get(&asked.path) else {
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    };
    let from = asked.from.unwrap_or(0).min(file.len());
    let status = match asked.from {
        Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", file.len() - 1, file.len()),
        None => "200 OK".to_owned(),
    };
    let end = shared.cut.as_ref().filter(|(path, _)| *path == asked.path).map_or(file.len(), |(_, bytes)| *bytes);
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", file.len() - from);
    [head.as_bytes(), &file[from..end.max(from)]].concat()
}
