//! From a connection to a session: TLS, join proofs, introductions. What a peer can make this node read before it has proven to be of the fleet is TLS's
//! own handshake and 37 bytes.

use std::{io, net::SocketAddr, sync::Arc};

use shoal_formation::BootId;
use shoal_formation_wire::introduction::{INTRODUCTION_BYTES, Introduction};
use shoal_trust::{
    join_proof::{self, JOIN_PROOF_BYTES, JoinProofError},
    key::{NodeKey, PublicKeyError},
    schedule::FleetKeys,
    session::{EXPORTER_BYTES, End, JOIN_EXPORTER_LABEL, Session},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector, TlsStream,
    rustls::{ClientConfig, CommonState, Error, pki_types::ServerName},
};

use crate::{
    limits::UNACKNOWLEDGED_TIMEOUT,
    tls::{ALPN_FORMATION, ALPN_RAFT, Tls},
};

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Formation,
    Raft,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum GreetingError {
    /// No connection.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// No TLS, not with a key of a node, or not to the end.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// It wants to speak something else.
    #[error("the peer does not say that it speaks what nodes speak")]
    Protocol,
    /// It shows a key that is none. TLS has refused it already.
    #[error("the peer has shown no key of a node")]
    Key(#[source] PublicKeyError),
    /// TLS has nothing to bind a proof to.
    #[error("TLS exports nothing")]
    Exporter(#[source] Error),
    /// It went away, or the connection failed.
    #[error("the peer has gone before it had proven anything")]
    Gone(#[source] io::Error),
    /// It has not proven to be of the fleet.
    #[error("the peer is not let in")]
    Proof(#[source] JoinProofError),
    /// It is another process with this node's own key.
    #[error("the peer runs with this node's own key: one of the two is a copy")]
    Double(BootId),
    /// It is this process.
    #[error("this node has connected to itself")]
    Myself,
    /// It took too long.
    #[error("the peer took too long")]
    TooSlow,
    /// This plane ends, has another key now, or has no room for this peer.
    #[error("there is no place for this session")]
    NoPlace,
}

/// What this end says and knows.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) tls: Tls,
    pub(crate) keys: Arc<FleetKeys>,
    pub(crate) introduction: Introduction,
}

/// A session that has begun.
#[derive(Debug)]
pub(crate) struct Greeted<S> {
    pub(crate) stream: S,
    pub(crate) purpose: Purpose,
    pub(crate) key: NodeKey,
    pub(crate) introduction: Introduction,
    /// What both ends know of this session and nobody else, and of no other session.
    pub(crate) exporter: [u8; EXPORTER_BYTES],
}

pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let milliseconds = u32::try_from(UNACKNOWLEDGED_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)?;
    Ok(())
}

/// As the one who was connected to.
pub(crate) async fn accept(
    stream: TcpStream,
    own: &Own,
    is_member: impl Fn(&NodeKey) -> bool,
) -> Result<Greeted<TlsStream<TcpStream>>, GreetingError> {
    tune(&stream).map_err(GreetingError::Connect)?;
    let stream = TlsAcceptor::from(own.tls.server.clone()).accept(stream).await.map_err(GreetingError::Tls)?;
    let state: &CommonState = stream.get_ref().1;
    let (shown, purpose) = shown(state)?;
    let mut exporter = [0; EXPORTER_BYTES];
    stream.get_ref().1.export_keying_material(&mut exporter, JOIN_EXPORTER_LABEL, None).map_err(GreetingError::Exporter)?;
    let session = Session { end: End::Server, exporter, own: own.tls.own, peer: shown };
    greet(TlsStream::Server(stream), purpose, session, own, is_member).await
}

/// As the one who connects.
pub(crate) async fn connect(
    address: SocketAddr,
    purpose: Purpose,
    own: &Own,
    is_member: impl Fn(&NodeKey) -> bool,
) -> Result<Greeted<TlsStream<TcpStream>>, GreetingError> {
    let stream = TcpStream::connect(address).await.map_err(GreetingError::Connect)?;
    tune(&stream).map_err(GreetingError::Connect)?;
    let config: &Arc<ClientConfig> = match purpose {
        Purpose::Formation => &own.tls.client[0],
        Purpose::Raft => &own.tls.client[1],
    };
    // Nobody looks at the name: who is there is told by the key.
    let name = ServerName::IpAddress(address.ip().into());
    let stream = TlsConnector::from(config.clone()).connect(name, stream).await.map_err(GreetingError::Tls)?;
    let state: &CommonState = stream.get_ref().1;
    let (shown, agreed) = shown(state)?;
    if agreed != purpose {
        return Err(GreetingError::Protocol);
    }
    let mut exporter = [0; EXPORTER_BYTES];
    stream.get_ref().1.export_keying_material(&mut exporter, JOIN_EXPORTER_LABEL, None).map_err(GreetingError::Exporter)?;
    let session = Session { end: End::Client, exporter, own: own.tls.own, peer: shown };
    greet(TlsStream::Client(stream), purpose, session, own, is_member).await
}

/// The peer's key, and what was agreed on.
fn shown(state: &CommonState) -> Result<(NodeKey, Purpose), GreetingError> {
    let purpose = match state.alpn_protocol() {
        Some(ALPN_FORMATION) => Purpose::Formation,
        Some(ALPN_RAFT) => Purpose::Raft,
        _ => return Err(GreetingError::Protocol),
    };
    let shown = state.peer_certificates().and_then(<[_]>::first).map_or(&[][..], |shown| shown.as_ref());
    Ok((NodeKey::from_spki(shown).map_err(GreetingError::Key)?, purpose))
}

/// Both proofs, and then both introductions. Each end says its own before it reads the other's: a proof tells nothing to whom it is not for.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    purpose: Purpose,
    session: Session,
    own: &Own,
    is_member: impl Fn(&NodeKey) -> bool,
) -> Result<Greeted<S>, GreetingError> {
    say(&mut stream, &join_proof::prove(&own.keys, &session)).await?;
    let proof: [u8; JOIN_PROOF_BYTES] = hear(&mut stream).await?;
    let is_double = match join_proof::verify(&own.keys, &session, &proof) {
        Ok(_) => false,
        // TLS has proven that it has this node's secret key: it is this process, or a copy. Which one, its introduction says.
        Err(JoinProofError::OwnKey) => true,
        // A member whose stick, or whose peer's, has an older join secret. Its key is what counts, and this is how it learns the new one.
        Err(JoinProofError::OtherGeneration { .. }) if is_member(&session.peer) => false,
        Err(error) => return Err(GreetingError::Proof(error)),
    };
    say(&mut stream, &own.introduction.encode()).await?;
    let introduction = Introduction::decode(&hear::<INTRODUCTION_BYTES>(&mut stream).await?);
    match (is_double, introduction.boot == own.introduction.boot) {
        (false, _) => Ok(Greeted { stream, purpose, key: session.peer, introduction, exporter: session.exporter }),
        (true, true) => Err(GreetingError::Myself),
        (true, false) => Err(GreetingError::Double(introduction.boot)),
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), GreetingError> {
    stream.write_all(bytes).await.map_err(GreetingError::Gone)?;
    stream.flush().await.map_err(GreetingError::Gone)
}

async fn hear<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> Result<[u8; N], GreetingError> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(GreetingError::Gone)?;
    Ok(bytes)
}
