//! Accepting clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use super::connection;
use super::{Acceptor, ServerError, Shared};
use crate::session::{Peer, Session};

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A pause when accepting fails, mostly because the process has no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Dead peers without heartbeats are noticed by the system.
const KEEPALIVE: Duration = Duration::from_secs(30);

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bind().map_err(|source| ServerError::Bind { address, source })
}

pub(super) async fn accept(listener: TcpListener, acceptor: Option<Acceptor>, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop_listening.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                let task = serve(socket, peer, acceptor.clone(), Arc::clone(&shared));
                shared.connections.spawn(task);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    acceptor: Option<Acceptor>,
    shared: Arc<Shared>,
) {
    // Answers are written whole: waiting for more to send would only delay them.
    let _ = socket.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    let _ = SockRef::from(&socket).set_tcp_keepalive(&keepalive);
    let local =
        socket.local_addr().map_or_else(|_| "unknown".to_owned(), |local| local.to_string());
    let peer = Peer {
        name: format!("{peer} -> {local}"),
        is_loopback: peer.ip().to_canonical().is_loopback(),
    };
    match acceptor {
        None => run(socket, peer, shared).await,
        Some(acceptor) => {
            let patience = shared.services.offer.handshake_timeout;
            match tokio::time::timeout(patience, acceptor.accept(socket)).await {
                Ok(Ok(stream)) => run(stream, peer, shared).await,
                Ok(Err(error)) => tracing::info!(peer = peer.name, %error, "TLS handshake failed"),
                Err(_) => tracing::info!(peer = peer.name, "TLS handshake timed out"),
            }
        }
    }
}

async fn run<S>(stream: S, peer: Peer, shared: Arc<Shared>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let session = Session::new(Arc::clone(&shared.services), peer, shared.clock.now());
    let id = session.id();
    let _entry = Entry::new(&shared, id.0, &session);
    connection::run(stream, session, shared.clock).await;
}

/// A connection's place in the list of all, for as long as its task lives.
struct Entry<'a> {
    shared: &'a Shared,
    id: u64,
}

impl<'a> Entry<'a> {
    fn new(shared: &'a Shared, id: u64, session: &Session) -> Self {
        shared.outboxes.lock().insert(id, Arc::clone(session.outbox()));
        Self { shared, id }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.shared.outboxes.lock().remove(&self.id);
    }
}
