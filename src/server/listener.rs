//! Accepting clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use super::connection;
use super::{Keepalive, Listen, ServerError, Shared};
use crate::auth::{External, Reason};
use crate::broker::{ClientCertificate, TlsClient};
use crate::session::{Peer, Session};
use crate::transport::proxy::{Origin, read_header};
use crate::transport::tls::{self, Identity};

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A pause when accepting fails, mostly because the process has no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
                prepare(&socket, listen.keepalive);
                let ends = Ends::of(&socket, peer);
                // Two kinds of task, so that a connection in the clear does not pay for TLS's size.
                if listen.tls.is_none() && !listen.behind_proxy {
                    let task = run(socket, ends.peer(), Arc::clone(&shared));
                    shared.connections.spawn(task);
                } else {
                    let task = serve_wrapped(socket, ends, listen.clone(), Arc::clone(&shared));
                    shared.connections.spawn(task);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn prepare(socket: &TcpStream, keepalive: Option<Keepalive>) {
    // Answers are written whole: waiting for more to send would only delay them.
    let _ = socket.set_nodelay(true);
    // Dead peers without heartbeats are noticed by the system.
    if let Some(Keepalive { idle, interval, probes }) = keepalive {
        let keepalive =
            TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes);
        if let Err(error) = SockRef::from(socket).set_tcp_keepalive(&keepalive) {
            tracing::debug!(%error, "cannot switch TCP keepalive on");
        }
    }
}

/// The addresses of both ends of a connection.
#[derive(Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    local: Option<SocketAddr>,
    /// Whether the peer's is that of a client.
    is_known: bool,
}

impl Ends {
    fn of(socket: &TcpStream, peer: SocketAddr) -> Self {
        Self { peer, local: socket.local_addr().ok(), is_known: true }
    }

    /// As the proxy says. When it does not, nobody is taken for somebody on this machine.
    fn told(self, origin: Origin) -> Self {
        match origin {
            Origin::Client { source, destination } => {
                Self { peer: source, local: Some(destination), is_known: true }
            }
            Origin::Proxy => self,
            Origin::Unknown => Self { is_known: false, ..self },
        }
    }

    fn peer(self) -> Peer {
        let local = self.local.map_or_else(|| "unknown".to_owned(), |local| local.to_string());
        Peer {
            name: format!("{} -> {local}", self.peer),
            is_loopback: self.is_known && self.peer.ip().to_canonical().is_loopback(),
            external: External::NotOffered,
            tls: None,
        }
    }
}

/// Serves a client that has something to say before AMQP: its proxy, TLS, or both.
async fn serve_wrapped(mut socket: TcpStream, ends: Ends, listen: Listen, shared: Arc<Shared>) {
    let patience = shared.services.offer.handshake_timeout;
    let mut peer = ends.peer();
    if listen.behind_proxy {
        let told = tokio::select! {
            told = tokio::time::timeout(patience, read_header(&mut socket)) => told,
            () = shared.stop_listening.cancelled() => return,
        };
        match told {
            Ok(Ok(origin)) => peer = ends.told(origin).peer(),
            Ok(Err(error)) => return tracing::info!(peer = peer.name, %error, "no client"),
            Err(_) => return tracing::info!(peer = peer.name, "the PROXY header timed out"),
        }
    }
    let Some(tls) = &listen.tls else { return run(socket, peer, shared).await };
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
            peer.tls = Some(Arc::new(client_of(tls::details(stream.get_ref().1))));
            drop((tls, listen));
            run(stream, peer, shared).await;
        }
        Ok(Err(error)) => tracing::info!(peer = peer.name, %error, "TLS handshake failed"),
        Err(_) => tracing::info!(peer = peer.name, "TLS handshake timed out"),
    }
}

fn client_of(details: tls::Details) -> TlsClient {
    let tls::Details { protocol, key_exchange, cipher, hash, certificate } = details;
    let certificate = certificate.map(|tls::Certificate { subject, issuer, validity }| {
        ClientCertificate { subject, issuer, validity }
    });
    TlsClient { protocol, key_exchange, cipher, hash, certificate }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keepalive_is_set_as_it_is_wanted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let seconds = Duration::from_secs;
        let wanted = Keepalive { idle: seconds(17), interval: seconds(3), probes: 5 };
        for keepalive in [Some(wanted), None] {
            let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            prepare(&socket, keepalive);
            let socket = SockRef::from(&socket);
            let idle = socket.tcp_keepalive_time().unwrap();
            let (interval, probes) =
                (socket.tcp_keepalive_interval().unwrap(), socket.tcp_keepalive_retries().unwrap());
            assert_eq!(socket.keepalive().unwrap(), keepalive.is_some());
            let found = Keepalive { idle, interval, probes };
            assert!(keepalive.is_none_or(|wanted| wanted == found), "{found:?}");
        }
    }
}
