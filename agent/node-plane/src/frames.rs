//! Frames in a stream: two bytes of length, and as many bytes. What is no frame ends the session.

use std::{io, time::Duration};

use shoal_formation_wire::{FRAME_BYTES_MAX, Frame};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::limits::WRITE_TIMEOUT;

const _: () = assert!(FRAME_BYTES_MAX <= u16::MAX as usize, "two bytes say the length of every frame");

/// The next frame; none when the peer has ended the session between two.
///
/// # Errors
/// If it is none, the peer is silent for too long, or the connection fails.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), idle: Duration) -> io::Result<Option<Frame>> {
    timeout(idle, read_one(stream)).await.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer says nothing")))
}

async fn read_one(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut length = [0; 2];
    match stream.read_exact(&mut length).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let length = usize::from(u16::from_be_bytes(length));
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer announces a frame that is too long"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Frame::decode(&bytes).map(Some).map_err(io::Error::other)
}

/// Writes a frame.
///
/// # Errors
/// If the peer takes nothing for too long, or the connection fails.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let Ok(length) = u16::try_from(frame.len()) else { return Err(io::Error::other("the frame is too long")) };
    let bytes = [&length.to_be_bytes(), frame].concat();
    let write = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    timeout(WRITE_TIMEOUT, write).await.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
}
