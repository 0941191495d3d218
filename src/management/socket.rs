//! Connections: HTTP/1.1 on sockets, and the limits that keep a slow or hostile client from holding
//! what others need.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use tracing::field::Empty;

use super::convention;
use crate::names::AUDIT;
use crate::transport::proxy::{Origin, read_header};
use crate::transport::tls::Tls;

/// Connections at once; more wait to be accepted until one ends, which an idle one soon does.
const CONNECTIONS_MAX: usize = 512;

/// How long a client has to send a request's head, from the connection's start or the last answer.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// How long an answer may wait for a client that does not read.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of a request's head, and of what is read ahead. A password cannot be longer, so hashing it
/// takes well under a millisecond.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long requests that have begun may take when the broker stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A pause when accepting fails, mostly because the process has no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end; every request carries it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub address: SocketAddr,
    /// Whether the address is that of a client, not of a proxy that does not say whom it speaks for.
    is_known: bool,
}

impl Peer {
    pub fn at(address: SocketAddr) -> Self {
        Self { address, is_known: true }
    }

    fn told(self, origin: Origin) -> Self {
        match origin {
            Origin::Client { source, .. } => Self::at(source),
            Origin::Proxy => self,
            Origin::Unknown => Self { is_known: false, ..self },
        }
    }

    pub fn is_loopback(self) -> bool {
        self.is_known && self.address.ip().to_canonical().is_loopback()
    }
}

/// A listener, and what its clients have to say before HTTP.
pub(super) struct Wrapped {
    pub listener: TcpListener,
    pub tls: Option<Arc<Tls>>,
    pub behind_proxy: bool,
}

/// Serves all listeners, which share the room for connections.
/// What is asked for stands behind `prefix`, which may be empty.
pub(super) async fn serve(
    listeners: Vec<Wrapped>,
    prefix: Arc<str>,
    router: Router,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    for Wrapped { listener, tls, behind_proxy } in listeners {
        let server = Server {
            tls,
            behind_proxy,
            prefix: Arc::clone(&prefix),
            router: router.clone(),
            stop: stop.clone(),
            connections: connections.clone(),
            room: Arc::clone(&room),
        };
        tokio::spawn(server.accept(listener));
    }
    stop.cancelled().await;
    connections.close();
    if tokio::time::timeout(DRAIN_MAX, connections.wait()).await.is_err() {
        tracing::warn!("some HTTP requests did not end in time");
    }
}

/// What the connections of one listener work with.
#[derive(Clone)]
struct Server {
    tls: Option<Arc<Tls>>,
    behind_proxy: bool,
    prefix: Arc<str>,
    router: Router,
    stop: CancellationToken,
    connections: TaskTracker,
    room: Arc<Semaphore>,
}

impl Server {
    /// Accepts clients until it is told to stop.
    async fn accept(self, listener: TcpListener) {
        let accept = async {
            loop {
                let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((socket, address)) => {
                        let connection = self.clone().receive(socket, Peer::at(address));
                        self.connections.spawn(async move {
                            connection.await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept an HTTP connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn receive(self, mut socket: TcpStream, mut peer: Peer) {
        // Answers are written whole: waiting for more to send would only delay them.
        let _ = socket.set_nodelay(true);
        if self.behind_proxy {
            let told = tokio::select! {
                told = tokio::time::timeout(HEAD_TIME_MAX, read_header(&mut socket)) => told,
                () = self.stop.cancelled() => return,
            };
            let address = peer.address;
            match told {
                Ok(Ok(origin)) => peer = peer.told(origin),
                Ok(Err(error)) => return tracing::info!(peer = %address, %error, "no client"),
                Err(_) => return tracing::info!(peer = %address, "the PROXY header timed out"),
            }
        }
        let Some(tls) = &self.tls else { return self.converse(socket, peer).await };
        let tls = tls.current();
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(HEAD_TIME_MAX, tls.https.accept(socket)) => accepted,
            () = self.stop.cancelled() => return,
        };
        let peer_name = peer.address;
        match accepted {
            Ok(Ok(stream)) => self.converse(stream, peer).await,
            Ok(Err(error)) => {
                tracing::info!(peer = %peer_name, %error, "TLS handshake failed, for HTTP");
            }
            Err(_) => tracing::info!(peer = %peer_name, "TLS handshake timed out, for HTTP"),
        }
    }

    /// Serves one connection to its end, or until it has answered what it has begun to read.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, peer: Peer) {
        let service = service_fn(|request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            let (router, prefix) = (self.router.clone(), Arc::clone(&self.prefix));
            let address = peer.address.to_string();
            let who = tracing::info_span!(
                target: AUDIT, "client", interface = "http", peer = address.as_str(), user = Empty
            );
            async move { Ok::<_, Infallible>(convention::answer(router, &prefix, request).await) }
                .instrument(who)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Socket { stream, stalled: None }), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %peer.address, %error, "HTTP connection ended");
        }
    }
}

/// A socket whose peer has to read: writing fails when it has not for a while.
struct Socket<S> {
    stream: S,
    /// Set while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Socket<S> {
    /// Passes on what a write came to, unless it has been waiting for too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_TIME_MAX)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
