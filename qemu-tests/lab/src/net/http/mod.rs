//! An HTTP/1.1 file server for network boot.

mod exchange;

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::{Connection, Listener};
use super::files::{Files, Reader};
use exchange::{Parsed, Request, Response};

/// Bytes read from a file at a time: a quarter of a connection's send buffer, so that it never runs dry.
const CHUNK_BYTES: usize = 256 * 1024;

/// Serves until the returned future is dropped.
pub(crate) async fn serve(mut listener: Listener, files: Files) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            connection = listener.accept() => {
                connections.spawn(converse(connection, files.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(mut connection: Connection, files: Files) {
    let peer = connection.peer();
    if let Err(error) = answer_all(&mut connection, &files).await {
        tracing::debug!(?peer, %error, "http");
    }
    // A guest that is gone cannot take the rest; the stack's own time limit ends it.
    let _ = connection.shutdown().await;
}

async fn answer_all(connection: &mut Connection, files: &Files) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        match exchange::parse(&buffer) {
            Parsed::Partial => {
                if connection.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            Parsed::Malformed => {
                return connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            }
            Parsed::Request(request, taken) => {
                buffer.drain(..taken);
                answer(connection, &request, files).await?;
                if !request.keep_alive {
                    return Ok(());
                }
            }
        }
    }
}

async fn answer(connection: &mut Connection, request: &Request, files: &Files) -> io::Result<()> {
    let file = files.open(&request.path)?;
    let Response { status, body: (mut offset, mut left), head } = exchange::respond(request, file.as_ref().map(Reader::length));
    tracing::info!(method = request.method, path = request.path, status, bytes = left, "http");
    connection.write_all(head.as_bytes()).await?;
    while let Some(file) = file.as_ref().filter(|_| left > 0) {
        let chunk = file.read(offset, CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES)))?;
        connection.write_all(&chunk).await?;
        offset += chunk.len() as u64;
        left -= chunk.len() as u64;
    }
    Ok(())
}
