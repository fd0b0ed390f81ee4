//! A small HTTP server on the loopback interface, for this crate's tests: it answers as it is told, right or wrong. It can be taken for a proxy, too.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `GET` or `CONNECT`.
    pub(crate) method: String,
    /// Path, or host and port for `CONNECT`, or a whole URI.
    pub(crate) target: String,
    /// Header lines.
    pub(crate) headers: Vec<String>,
    /// First byte of the range that is asked for.
    pub(crate) from: Option<usize>,
}

type Answer = dyn Fn(&Asked) -> Vec<u8> + Send + Sync;

/// A running server; it stops when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Asked>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server that sends what `answer` returns, byte for byte, and closes the connection. Connections are served in parallel.
    pub(crate) fn new(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let address = listener.local_addr().expect("address");
        let stopping = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        let thread = thread::spawn({
            let (stopping, asked) = (Arc::clone(&stopping), Arc::clone(&asked));
            move || {
                for stream in listener.incoming() {
                    if stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
                    thread::spawn(move || serve(stream.expect("connection"), &answer, &asked));
                }
            }
        });
        Self { address, stopping, asked, thread: Some(thread) }
    }

    /// A proxy as most are: it asks servers by `http` itself (`answer`), and opens tunnels to port 443 alone. They lead nowhere.
    pub(crate) fn proxy(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::new(move |asked| match asked.method.as_str() {
            "CONNECT" if asked.target.ends_with(":443") => b"HTTP/1.1 200 Connected\r\n\r\n".to_vec(),
            "CONNECT" => self::answer("403 Forbidden", &["Content-Length: 0".to_owned()], b""),
            _ => answer(asked),
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked for so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is to stop.
        drop(TcpStream::connect(self.address));
        self.thread.take().expect("it is taken once").join().expect("no panic");
    }
}

fn serve(stream: TcpStream, answer: &Arc<Answer>, asked: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("handle"));
    let mut stream = stream;
    if let Some(request) = read(&mut reader) {
        asked.lock().expect("no panic").push(request.clone());
        // The client may have had enough, and closed.
        if stream.write_all(&answer(&request)).is_ok() {
            drop(stream.shutdown(Shutdown::Write));
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ').map(ToOwned::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let from = lines.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok());
    Some(Asked { method, target, headers: lines.split_off(1), from })
}

/// An answer with this status, these further header lines and this body.
pub(crate) fn answer(status: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    let head: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    [format!("HTTP/1.1 {status}\r\n{head}Connection: close\r\n\r\n").as_bytes(), body].concat()
}

/// The whole file.
pub(crate) fn whole(file: &[u8]) -> Vec<u8> {
    answer("200 OK", &[format!("Content-Length: {}", file.len())], file)
}

/// What a well-behaved server answers.
pub(crate) fn proper(asked: &Asked, file: &[u8]) -> Vec<u8> {
    match asked.from {
        None => whole(file),
        Some(from) if from >= file.len() => {
            answer("416 Range Not Satisfiable", &[format!("Content-Range: bytes */{}", file.len()), "Content-Length: 0".to_owned()], b"")
        }
        Some(from) => {
            let range = format!("Content-Range: bytes {from}-{}/{}", file.len() - 1, file.len());
            answer("206 Partial Content", &[range, format!("Content-Length: {}", file.len() - from)], &file[from..])
        }
    }
}

/// There is no such file.
pub(crate) fn not_found() -> Vec<u8> {
    answer("404 Not Found", &["Content-Length: 0".to_owned()], b"")
}
