//! A client that writes and reads bytes over a real socket, as badly as the test wants.

// Every test file is a crate of its own and uses a part of this; whatever fails here fails a test.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::net::SocketAddr;

use leveret::protocol::frame::{
    PROTOCOL_HEADER, parse_frame, write_body, write_header, write_method,
};
use leveret::protocol::method::{basic, channel, connection, queue};
use leveret::protocol::{ChannelNumber, FieldTable, FieldValue, FrameKind, Method};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::{PATIENCE, soon};

pub struct Socket<S> {
    pub stream: S,
    received: Vec<u8>,
}

/// A frame that came, heartbeats left out.
pub struct Received {
    pub kind: FrameKind,
    pub channel: u16,
    pub payload: Vec<u8>,
}

impl Received {
    #[track_caller]
    pub fn method(&self) -> Method<'_> {
        assert_eq!(self.kind, FrameKind::Method);
        Method::decode(&self.payload).unwrap()
    }
}

impl Socket<TcpStream> {
    pub async fn dial(address: SocketAddr) -> Self {
        let stream = soon(TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::new(stream)
    }

    /// Logged in, with channel 1 open.
    pub async fn open(address: SocketAddr) -> Self {
        let mut socket = Self::dial(address).await;
        socket.log_in().await;
        socket
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, received: Vec::new() }
    }

    /// The whole handshake, and channel 1.
    pub async fn log_in(&mut self) {
        self.send(&handshake()).await;
        for _ in 0..3 {
            assert_eq!(self.frame().await.channel, 0, "start, tune and open-ok");
        }
        self.call(1, channel::Open {}, channel::OpenOk {}).await;
    }

    /// The server may have hung up: what it thinks is to be read.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = soon(self.stream.write_all(bytes)).await;
        let _ = soon(self.stream.flush()).await;
    }

    /// The server takes it in, if perhaps not soon.
    pub async fn send_patiently(&mut self, bytes: &[u8]) {
        let sent = tokio::time::timeout(PATIENCE * 4, self.stream.write_all(bytes)).await;
        sent.expect("it is taken in some time").unwrap();
    }

    pub async fn say<'m>(&mut self, channel: u16, method: impl Into<Method<'m>>) {
        self.send(&frame_of(channel, method)).await;
    }

    pub async fn call<'m, 'a>(
        &mut self,
        channel: u16,
        request: impl Into<Method<'m>>,
        answer: impl Into<Method<'a>>,
    ) {
        self.say(channel, request).await;
        let received = self.frame().await;
        assert_eq!((received.channel, received.method()), (channel, answer.into()));
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Received {
        self.maybe_frame().await.expect("the server hung up")
    }

    /// The next frame, or `None` at the end.
    pub async fn maybe_frame(&mut self) -> Option<Received> {
        loop {
            if let Some((frame, rest)) = parse_frame(&self.received, u32::MAX - 8).unwrap() {
                let (kind, channel, payload) =
                    (frame.kind, frame.channel.0, frame.payload.to_vec());
                self.received = rest.to_vec();
                if kind != FrameKind::Heartbeat {
                    return Some(Received { kind, channel, payload });
                }
                continue;
            }
            if self.read().await == 0 {
                return None;
            }
        }
    }

    async fn read(&mut self) -> usize {
        self.received.reserve(64 * 1024);
        // Reset is an end like another.
        soon(self.stream.read_buf(&mut self.received)).await.unwrap_or(0)
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.read().await > 0 {}
        std::mem::take(&mut self.received)
    }

    /// The server closes the connection: the code and the text it gives.
    pub async fn refusal(&mut self) -> (u16, String) {
        let received = self.frame().await;
        match received.method() {
            Method::Connection(connection::Method::Close(close)) => {
                (close.reply_code, close.reply_text.to_owned())
            }
            other => panic!("expected connection.close, got {other:?}"),
        }
    }

    pub async fn declare(&mut self, name: &str) {
        let declare = queue::Declare { queue: name, ..queue::Declare::default() };
        self.say(1, declare).await;
        let ok = self.frame().await;
        assert!(matches!(ok.method(), Method::Queue(queue::Method::DeclareOk(_))));
    }

    pub async fn publish(&mut self, queue: &str, body: &[u8]) {
        self.send(&publish(queue, body)).await;
    }

    pub async fn consume(&mut self, queue: &str, no_ack: bool) {
        let consume = basic::Consume { queue, no_ack, ..basic::Consume::default() };
        self.say(1, consume).await;
        let ok = self.frame().await;
        assert!(matches!(ok.method(), Method::Basic(basic::Method::ConsumeOk(_))));
    }

    /// The body of the next message that is delivered or was got, and its delivery tag.
    pub async fn message(&mut self) -> (u64, Vec<u8>) {
        let delivery_tag = match self.frame().await.method() {
            Method::Basic(basic::Method::Deliver(deliver)) => deliver.delivery_tag,
            Method::Basic(basic::Method::GetOk(ok)) => ok.delivery_tag,
            other => panic!("expected a message, got {other:?}"),
        };
        let header = self.frame().await;
        assert_eq!(header.kind, FrameKind::Header);
        let size = u64::from_be_bytes(header.payload[4..12].try_into().unwrap()) as usize;
        let mut body = Vec::new();
        while body.len() < size {
            let frame = self.frame().await;
            assert_eq!(frame.kind, FrameKind::Body);
            body.extend(frame.payload);
        }
        (delivery_tag, body)
    }
}

pub fn frame_of<'m>(channel: u16, method: impl Into<Method<'m>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_method(&mut bytes, ChannelNumber(channel), &method.into());
    bytes
}

/// Any frame, good or bad.
pub fn raw_frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend((payload.len() as u32).to_be_bytes());
    bytes.extend(payload);
    bytes.push(0xCE);
    bytes
}

/// Protocol header to connection.open, as from a client that does not wait.
pub fn handshake() -> Vec<u8> {
    handshake_of("PLAIN", b"\0guest\0guest")
}

/// The same with another way to log in.
pub fn handshake_of(mechanism: &str, response: &[u8]) -> Vec<u8> {
    let capabilities: FieldTable =
        [("authentication_failure_close", FieldValue::Bool(true))].into_iter().collect();
    let mut client_properties = FieldTable::new();
    client_properties.insert("capabilities", FieldValue::Table(capabilities));
    let locale = "en_US";
    [
        PROTOCOL_HEADER.to_vec(),
        frame_of(0, connection::StartOk { client_properties, mechanism, response, locale }),
        frame_of(0, connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 0 }),
        frame_of(0, connection::Open { virtual_host: "/" }),
    ]
    .concat()
}

/// A message for a queue, on channel 1.
pub fn publish(queue: &str, body: &[u8]) -> Vec<u8> {
    let publish = basic::Publish {
        exchange_and_key: &[],
        exchange: b"",
        routing_key: queue.as_bytes(),
        mandatory: false,
        immediate: false,
    };
    let mut bytes = frame_of(1, publish);
    write_header(&mut bytes, ChannelNumber(1), body.len() as u64, &[0, 0]);
    for payload in body.chunks(131_064) {
        write_body(&mut bytes, ChannelNumber(1), payload);
    }
    bytes
}
