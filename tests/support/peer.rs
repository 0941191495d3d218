//! A scripted client: what it sends and what it expects, frame by frame.

use std::cell::RefCell;
use std::rc::Rc;

use leveret::auth::External;
use leveret::protocol::frame::{FRAME_OVERHEAD, PROTOCOL_HEADER, write_heartbeat, write_method};
use leveret::protocol::method::{channel, connection};
use leveret::protocol::{ChannelNumber, FieldTable, FieldValue, Method, MethodId};

use super::Shared;
use super::link::Link;
use super::received::Received;

/// What a client asks for in the handshake.
#[derive(Clone, Debug)]
pub struct Client {
    pub mechanism: &'static str,
    pub response: Vec<u8>,
    pub capabilities: Vec<&'static str>,
    /// What it calls itself.
    pub product: Option<&'static str>,
    pub vhost: &'static str,
    pub frame_max: u32,
    pub channel_max: u16,
    /// In seconds; 0 keeps timers out of the way.
    pub heartbeat: u16,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            mechanism: "PLAIN",
            response: b"\0guest\0guest".to_vec(),
            capabilities: vec![
                "consumer_cancel_notify",
                "connection.blocked",
                "authentication_failure_close",
            ],
            product: None,
            vhost: "/",
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat: 0,
        }
    }
}

/// A client that does what the test says. Dropping it is a lost connection.
pub struct Peer {
    shared: Rc<Shared>,
    link: Rc<RefCell<Link>>,
}

/// The method that a close blames.
#[must_use]
pub struct Blamed(MethodId);

impl Peer {
    pub(super) fn new(shared: Rc<Shared>, is_loopback: bool, external: External) -> Self {
        let link = Link::new(shared.services.clone(), is_loopback, external, shared.now.get());
        let link = Rc::new(RefCell::new(link));
        shared.links.borrow_mut().push(Rc::downgrade(&link));
        Self { shared, link }
    }

    // The handshake, as a whole and in steps.

    #[track_caller]
    pub fn handshake(&self, client: &Client) {
        self.send_header();
        self.expect_start();
        self.send_start_ok(client);
        self.expect_tune();
        self.send_tune_ok(client);
        self.send_open(client.vhost);
        self.expect(0, connection::OpenOk {});
    }

    pub fn send_header(&self) {
        self.send_bytes(&PROTOCOL_HEADER);
    }

    #[track_caller]
    pub fn expect_start(&self) -> Received {
        let start = self.recv();
        let is_start = matches!(start.method(), Method::Connection(connection::Method::Start(_)));
        assert!(is_start, "expected connection.start, got {start:?}");
        start
    }

    pub fn send_start_ok(&self, client: &Client) {
        let capabilities = client.capabilities.iter().map(|name| (*name, FieldValue::Bool(true)));
        let mut client_properties = FieldTable::new();
        client_properties.insert("capabilities", FieldValue::Table(capabilities.collect()));
        if let Some(product) = client.product {
            client_properties.insert("product", product);
        }
        let start_ok = connection::StartOk {
            client_properties,
            mechanism: client.mechanism,
            response: &client.response,
            locale: "en_US",
        };
        self.send(0, start_ok);
    }

    #[track_caller]
    pub fn expect_tune(&self) -> connection::Tune {
        match self.recv().method() {
            Method::Connection(connection::Method::Tune(tune)) => tune,
            other => panic!("expected connection.tune, got {other:?}"),
        }
    }

    pub fn send_tune_ok(&self, client: &Client) {
        let Client { frame_max, channel_max, heartbeat, .. } = *client;
        self.link.borrow_mut().frame_max = frame_max;
        self.send(0, connection::TuneOk { channel_max, frame_max, heartbeat });
    }

    pub fn send_open(&self, virtual_host: &str) {
        self.send(0, connection::Open { virtual_host });
    }

    // What the client sends.

    pub fn send<'m>(&self, channel: u16, method: impl Into<Method<'m>>) {
        let mut bytes = Vec::new();
        write_method(&mut bytes, ChannelNumber(channel), &method.into());
        self.send_bytes(&bytes);
    }

    /// Sends all of it in one packet.
    pub fn send_bytes(&self, bytes: &[u8]) {
        self.link.borrow_mut().send(bytes);
        self.shared.settle();
    }

    pub fn send_heartbeat(&self) {
        let mut bytes = Vec::new();
        write_heartbeat(&mut bytes);
        self.send_bytes(&bytes);
    }

    /// The client's end of the connection is gone, without a word.
    pub fn hang_up(&self) {
        self.link.borrow_mut().close(self.shared.now.get());
        self.shared.settle();
    }

    /// The client takes nothing of what is written to it any more.
    pub fn stop_reading(&self) {
        self.link.borrow_mut().deaf = true;
    }

    pub fn resume_reading(&self) {
        self.link.borrow_mut().deaf = false;
        self.shared.settle();
    }

    /// How much of a body fits into a frame.
    pub fn payload_max(&self) -> usize {
        self.link.borrow().frame_max as usize - FRAME_OVERHEAD
    }

    /// Bytes that were sent and that the session does not read, for now.
    pub fn unread(&self) -> usize {
        self.link.borrow().unread()
    }

    // What the client expects.

    /// What came next.
    #[track_caller]
    pub fn recv(&self) -> Received {
        let next = self.link.borrow_mut().inbox.pop_front();
        next.unwrap_or_else(|| panic!("nothing came (closed: {})", self.link.borrow().closed))
    }

    /// How many methods have come that nobody has looked at.
    pub fn unseen(&self) -> usize {
        self.link.borrow().inbox.len()
    }

    /// Exactly this comes next.
    #[track_caller]
    pub fn expect<'m>(&self, channel: u16, method: impl Into<Method<'m>>) {
        let (received, expected) = (self.recv(), method.into());
        assert_eq!((received.channel, received.method()), (channel, expected));
    }

    #[track_caller]
    pub fn expect_nothing(&self) {
        let link = self.link.borrow();
        assert!(link.inbox.is_empty(), "expected nothing, got {:?}", link.inbox);
        assert!(link.arrived.is_empty(), "half a frame: {:?}", link.arrived);
    }

    /// The server closes the channel; the answer is [`close_ok`](Self::close_ok)'s to send.
    #[track_caller]
    pub fn expect_channel_error(&self, channel: u16, code: u16, text: &str) -> Blamed {
        let received = self.recv();
        let Method::Channel(channel::Method::Close(close)) = received.method() else {
            panic!("expected channel.close {code} {text}, got {received:?}");
        };
        let found = (received.channel, close.reply_code, close.reply_text);
        assert_eq!(found, (channel, code, text));
        Blamed(MethodId::new(close.class_id, close.method_id))
    }

    /// The server closes the connection, blaming the method of those numbers.
    #[track_caller]
    pub fn expect_connection_error(&self, code: u16, text: &str, class: u16, method: u16) {
        let received = self.recv();
        let Method::Connection(connection::Method::Close(close)) = received.method() else {
            panic!("expected connection.close {code} {text}, got {received:?}");
        };
        let found =
            (received.channel, close.reply_code, close.reply_text, close.class_id, close.method_id);
        assert_eq!(found, (0, code, text, class, method));
    }

    /// The server has closed the socket, and wrote nothing before that the test did not expect.
    #[track_caller]
    pub fn expect_end(&self) {
        self.expect_nothing();
        assert!(self.is_closed(), "the socket is open");
    }

    pub fn is_closed(&self) -> bool {
        self.link.borrow().closed
    }

    /// The bytes that came, which are not frames. To be asked for before they come.
    pub fn expect_raw(&self) {
        self.link.borrow_mut().raw = true;
    }

    /// What came since [`expect_raw`](Self::expect_raw).
    pub fn take_raw(&self) -> Vec<u8> {
        std::mem::take(&mut self.link.borrow_mut().arrived)
    }

    /// Heartbeats that came since the last time somebody asked.
    pub fn take_heartbeats(&self) -> usize {
        std::mem::take(&mut self.link.borrow_mut().heartbeats)
    }
}

impl Blamed {
    /// Behaviour B0.2: a close names the client's method that caused it.
    #[track_caller]
    pub fn for_method(self, class: u16, method: u16) {
        assert_eq!(self.0, MethodId::new(class, method), "the method that is blamed");
    }
}
