//! A TFTP server for reading. Every transfer has its own port and its own task.

mod packet;
mod transfer;

use std::io;
use std::net::SocketAddr;

use tokio::time::Instant;

use super::datagram::Datagrams;
use super::files::{Files, Reader};
use super::{Net, NetError};
use packet::{ErrorCode, Request};
use transfer::{Effect, Transfer};

/// RFC 1350, 4.
const PORT: u16 = 69;

/// Serves until the returned future is dropped.
pub(crate) async fn serve(net: Net, requests: Datagrams, files: Files) {
    let mut transfers = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            (bytes, client) = requests.receive() => {
                if let (Some(request), Ok(socket)) = (Request::parse(&bytes), net.datagrams(None)) {
                    transfers.spawn(answer(socket, client, request, files.clone()));
                }
            }
            Some(_) = transfers.join_next() => {}
        }
    }
}

pub(crate) fn open(net: &Net) -> Result<Datagrams, NetError> {
    net.datagrams(Some(PORT))
}

async fn answer(socket: Datagrams, client: SocketAddr, request: Request, files: Files) {
    let refusal = match request {
        Request::Acknowledge(_) | Request::Error => return,
        Request::Write => packet::error(ErrorCode::IllegalOperation, "this server only reads"),
        Request::Read { mode, .. } if mode != "octet" => packet::error(ErrorCode::IllegalOperation, "ask for mode octet"),
        Request::Read { file, options, .. } => match files.open(&file) {
            Ok(Some(reader)) => {
                tracing::info!(file, %client, "tftp");
                if let Err(error) = transfer(&socket, client, &reader, &options).await {
                    tracing::warn!(file, %error, "tftp");
                    socket.send(&packet::error(ErrorCode::NotDefined, "cannot read it"), client).await;
                }
                return socket.sent().await;
            }
            Ok(None) => packet::error(ErrorCode::FileNotFound, "no such file"),
            Err(_) => packet::error(ErrorCode::AccessViolation, "cannot open it"),
        },
    };
    socket.send(&refusal, client).await;
    socket.sent().await;
}

async fn transfer(socket: &Datagrams, client: SocketAddr, reader: &Reader, options: &[(String, String)]) -> io::Result<()> {
    let started = Instant::now();
    let (mut transfer, mut effects) = Transfer::new(started.elapsed(), reader.length(), options);
    loop {
        for effect in effects {
            let packet = match effect {
                Effect::AcknowledgeOptions(agreed) => packet::option_acknowledgement(&agreed),
                Effect::Block { number, offset, bytes } => packet::data(number, &reader.read(offset, bytes)?),
                Effect::End => return Ok(()),
            };
            socket.send(&packet, client).await;
        }
        effects = tokio::select! {
            (bytes, from) = socket.receive() => match Request::parse(&bytes) {
                _ if from != client => Vec::new(),
                Some(Request::Acknowledge(number)) => transfer.acknowledge(started.elapsed(), number),
                Some(Request::Error) => return Ok(()),
                _ => Vec::new(),
            },
            () = tokio::time::sleep_until(started + transfer.deadline()) => transfer.expire(started.elapsed()),
        };
    }
}
