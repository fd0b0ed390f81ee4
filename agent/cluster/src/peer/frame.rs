//! Messages on a stream of bytes: each behind its length, four bytes, big endian.

use std::{io, sync::Arc};

use bytes::{Buf, BufMut, BytesMut};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::{Traffic, transport::Stream};

/// Bytes of one message, at most: some entries, of which one may be as large as the log takes (8 MiB), with what is around them. Whoever
/// announces more is hung up on.
pub(crate) const FRAME_BYTES_MAX: usize = 12 << 20;

const LENGTH_BYTES: usize = 4;

/// Why no message came, or went.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("cannot read or write")]
    Io(#[from] io::Error),
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    #[error("a message cannot be understood")]
    Malformed(#[from] prost::DecodeError),
    #[error("the other end hung up")]
    Ended,
    #[error("the other end is not heard any more")]
    NotHeard,
}

/// Both directions of a connection.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) reader: FrameReader,
    pub(crate) writer: FrameWriter,
}

/// Says whether the other end is still heard.
#[derive(Clone)]
pub(crate) struct Guard(pub(crate) Arc<dyn Fn() -> bool + Send + Sync>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Guard")
    }
}

#[derive(Debug)]
pub(crate) struct FrameReader {
    half: ReadHalf<Stream>,
    buffer: BytesMut,
    guard: Option<Guard>,
    traffic: Arc<Traffic>,
}

#[derive(Debug)]
pub(crate) struct FrameWriter {
    half: WriteHalf<Stream>,
    buffer: BytesMut,
    guard: Option<Guard>,
    traffic: Arc<Traffic>,
}

impl Frames {
    pub(crate) fn new(stream: Stream, traffic: Arc<Traffic>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader: FrameReader { half: reader, buffer: BytesMut::new(), guard: None, traffic: traffic.clone() },
            writer: FrameWriter { half: writer, buffer: BytesMut::new(), guard: None, traffic },
        }
    }

    pub(crate) async fn send(&mut self, message: &impl Message) -> Result<(), FrameError> {
        self.writer.send(message).await
    }

    pub(crate) async fn receive<M: Message + Default>(&mut self) -> Result<Option<M>, FrameError> {
        self.reader.receive().await
    }

    /// Asks this before each message that comes, and before anything more is written.
    pub(crate) fn guard_by(&mut self, guard: Option<Guard>) {
        self.reader.guard = guard.clone();
        self.writer.guard = guard;
    }

    /// Counts the bytes for another peer, once it is known which it is.
    pub(crate) fn count_for(&mut self, traffic: Arc<Traffic>) {
        self.reader.traffic = traffic.clone();
        self.writer.traffic = traffic;
    }
}

impl FrameReader {
    /// The next message; `None` if the other end hung up in between. Giving up waiting loses nothing: what came is kept for the next call.
    pub(crate) async fn receive<M: Message + Default>(&mut self) -> Result<Option<M>, FrameError> {
        loop {
            if let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() {
                let length = u32::from_be_bytes(*length) as usize;
                if length > FRAME_BYTES_MAX {
                    return Err(FrameError::TooLong(length));
                }
                if self.buffer.len() >= LENGTH_BYTES + length {
                    if self.guard.as_ref().is_some_and(|Guard(hears)| !hears()) {
                        return Err(FrameError::NotHeard);
                    }
                    self.buffer.advance(LENGTH_BYTES);
                    // What is decoded shares this memory.
                    return Ok(Some(M::decode(self.buffer.split_to(length).freeze())?));
                }
                self.buffer.reserve(LENGTH_BYTES + length - self.buffer.len());
            }
            let read = self.half.read_buf(&mut self.buffer).await?;
            self.traffic.received(read);
            if read == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) };
            }
        }
    }
}

impl FrameWriter {
    /// Puts a message behind those that wait to be written.
    pub(crate) fn queue(&mut self, message: &impl Message) -> Result<(), FrameError> {
        let length = message.encoded_len();
        if length > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(length));
        }
        self.buffer.reserve(LENGTH_BYTES + length);
        self.buffer.put_u32(u32::try_from(length).expect("a frame is shorter"));
        message.encode_raw(&mut self.buffer);
        Ok(())
    }

    /// Bytes that wait to be written.
    pub(crate) fn queued(&self) -> usize {
        self.buffer.len()
    }

    /// Writes what waits. Giving up in between loses nothing: the next call goes on.
    pub(crate) async fn flush(&mut self) -> Result<(), FrameError> {
        if !self.buffer.is_empty() && self.guard.as_ref().is_some_and(|Guard(hears)| !hears()) {
            return Err(FrameError::NotHeard);
        }
        while !self.buffer.is_empty() {
            let written = self.half.write_buf(&mut self.buffer).await?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            self.traffic.sent(written);
        }
        self.half.flush().await?;
        Ok(())
    }

    pub(crate) async fn send(&mut self, message: &impl Message) -> Result<(), FrameError> {
        self.queue(message)?;
        self.flush().await
    }
}
