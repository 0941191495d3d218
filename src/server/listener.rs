//! Accepting clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use super::connection;
use super::{Listen, ServerError, Shared};
use crate::auth::{External, Reason};
use crate::session::{Peer, Session};
use crate::transport::tls::{Identity, Tls};

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

pub(super) async fn accept(listener: TcpListener, listen: Listen, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop_listening.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                let peer = prepare(&socket, peer);
                // Two kinds of task, so that a connection in the clear does not pay for TLS's size.
                match &listen.tls {
                    None => shared.connections.spawn(run(socket, peer, Arc::clone(&shared))),
                    Some(tls) => {
                        let task = serve_tls(socket, peer, Arc::clone(tls), Arc::clone(&shared));
                        shared.connections.spawn(task)
                    }
                };
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Sets the socket up and says who is at the other end.
fn prepare(socket: &TcpStream, peer: SocketAddr) -> Peer {
    // Answers are written whole: waiting for more to send would only delay them.
    let _ = socket.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    let _ = SockRef::from(socket).set_tcp_keepalive(&keepalive);
    let local =
        socket.local_addr().map_or_else(|_| "unknown".to_owned(), |local| local.to_string());
    let is_loopback = peer.ip().to_canonical().is_loopback();
    let external = External::NotOffered;
    Peer { name: format!("{peer} -> {local}"), is_loopback, external }
}

async fn serve_tls(socket: TcpStream, mut peer: Peer, tls: Arc<Tls>, shared: Arc<Shared>) {
    let patience = shared.services.offer.handshake_timeout;
    let tls = tls.current();
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(patience, tls.amqps.accept(socket)) => accepted,
        () = shared.stop_listening.cancelled() => return,
    };
    match accepted {
        Ok(Ok(stream)) => {
            peer.external = match tls.identity(stream.get_ref().1) {
                Identity::NotAsked => External::NotOffered,
                Identity::NoCertificate => External::Nobody(Reason::NoCertificate),
                Identity::NoName => External::Nobody(Reason::NoName),
                Identity::Name(name) => External::User(name.into()),
            };
            drop(tls);
            run(stream, peer, shared).await;
        }
        Ok(Err(error)) => tracing::info!(peer = peer.name, %error, "TLS handshake failed"),
        Err(_) => tracing::info!(peer = peer.name, "TLS handshake timed out"),
    }
}

fn run<S>(stream: S, peer: Peer, shared: Arc<Shared>) -> impl Future<Output = ()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let session = Session::new(Arc::clone(&shared.services), peer, shared.clock.now());
    let clock = shared.clock;
    let entry = Entry::new(shared, &session);
    let connection = connection::Connection::new(stream, session, clock);
    async move {
        let _entry = entry;
        connection.run().await;
    }
}

/// A connection's place in the list of all, for as long as its task lives.
struct Entry {
    shared: Arc<Shared>,
    id: u64,
}

impl Entry {
    fn new(shared: Arc<Shared>, session: &Session) -> Self {
        let id = session.id().0;
        shared.outboxes.lock().insert(id, Arc::clone(session.outbox()));
        // Whoever stops the server cancels first and then tells those in the list: this one is either
        // there by then, or sees that it is late.
        if shared.stop_listening.is_cancelled() {
            super::shut_down(session.outbox());
        }
        Self { shared, id }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared.outboxes.lock().remove(&self.id);
    }
}
