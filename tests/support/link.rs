//! Between a peer and its session: moves bytes as the server's connection task does, and in the same
//! order, with vectors for the socket.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::{Bytes, BytesMut};
use leveret::auth::External;
use leveret::protocol::frame::{FRAME_OVERHEAD, parse_frame};
use leveret::protocol::{ContentHeader, FrameKind, Method};
use leveret::session::{self, Services, Session};
use leveret::time::Time;

use super::received::{Content, Received};

pub struct Link {
    pub session: Session,
    /// Sent by the peer and not yet read by the session.
    input: BytesMut,
    /// Something was sent that the session has not been shown.
    fresh: bool,
    /// Written by the session and not yet a whole frame.
    pub arrived: Vec<u8>,
    /// Whole methods with their content, in order.
    pub inbox: VecDeque<Received>,
    /// Methods whose content has not come as a whole, by channel.
    incomplete: HashMap<u16, (Received, u64)>,
    pub heartbeats: usize,
    /// The largest frame that may come.
    pub frame_max: u32,
    /// The peer does not take what is written.
    pub deaf: bool,
    /// What comes is not frames (behaviour B1.1).
    pub raw: bool,
    /// The socket is closed.
    pub closed: bool,
}

impl Link {
    pub fn new(services: Arc<Services>, is_loopback: bool, external: External, now: Time) -> Self {
        let name = "127.0.0.1:50000 -> 127.0.0.1:5672".to_owned();
        let frame_max = services.offer.frame_max;
        let peer = session::Peer { name, is_loopback, external, tls: None };
        Self {
            session: Session::new(services, peer, now),
            input: BytesMut::new(),
            fresh: false,
            arrived: Vec::new(),
            inbox: VecDeque::new(),
            incomplete: HashMap::new(),
            heartbeats: 0,
            frame_max,
            deaf: false,
            raw: false,
            closed: false,
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.fresh = true;
    }

    /// How much the session has not read yet.
    pub fn unread(&self) -> usize {
        self.input.len()
    }

    /// One round. True when something happened.
    pub fn step(&mut self, now: Time) -> bool {
        if self.closed {
            return false;
        }
        let rung = self.session.outbox().poll_rung(&mut Context::from_waker(Waker::noop()));
        if rung.is_ready() {
            self.session.pump(now);
        }
        let written = self.write();
        if self.session.is_over() && self.session.output().is_empty() {
            self.close(now);
            return true;
        }
        if written {
            self.session.pump(now);
        }
        let read = self.read(now);
        rung.is_ready() || written || read
    }

    pub fn deadline(&self) -> Time {
        if self.closed { Time::NEVER } else { self.session.deadline() }
    }

    pub fn tick(&mut self, now: Time) {
        self.session.tick(now);
    }

    /// The socket is closed, by whomever.
    pub fn close(&mut self, now: Time) {
        self.session.end(now);
        self.closed = true;
    }

    fn write(&mut self) -> bool {
        if self.deaf || self.session.output().is_empty() {
            return false;
        }
        let bytes = self.session.output().drain();
        self.arrived.extend_from_slice(&bytes);
        if !self.raw {
            self.parse();
        }
        true
    }

    fn read(&mut self, now: Time) -> bool {
        if !self.fresh || !self.session.wants_input() {
            return false;
        }
        self.fresh = false;
        loop {
            let ready = self.session.ready(&self.input);
            if ready.whole == 0 {
                return true;
            }
            let mut chunk: Bytes = self.input.split_to(ready.whole).freeze();
            while !chunk.is_empty() {
                let taken = self.session.receive(&chunk, now);
                let _ = chunk.split_to(taken);
                if taken == 0 || !chunk.is_empty() && !self.session.wants_input() {
                    let behind = std::mem::replace(&mut self.input, BytesMut::from(&chunk[..]));
                    self.input.extend_from_slice(&behind);
                    self.fresh = true;
                    return true;
                }
            }
        }
    }

    fn parse(&mut self) {
        let arrived = std::mem::take(&mut self.arrived);
        let mut input = &arrived[..];
        while let Some((frame, rest)) = parse_frame(input, u32::MAX).expect("good frames") {
            input = rest;
            // Behaviour B1.4: never more than was agreed on.
            let size = frame.payload.len() + FRAME_OVERHEAD;
            assert!(size <= self.frame_max as usize, "{size} > {}", self.frame_max);
            self.frame(frame.kind, frame.channel.0, frame.payload);
        }
        self.arrived = input.to_vec();
    }

    /// Puts contents together. Nothing may come between the frames of one (behaviour B1.7).
    fn frame(&mut self, kind: FrameKind, channel: u16, payload: &[u8]) {
        match kind {
            FrameKind::Heartbeat => self.heartbeats += 1,
            FrameKind::Method => {
                assert!(!self.incomplete.contains_key(&channel), "a method within a content");
                let received = Received { channel, payload: payload.to_vec(), content: None };
                if Method::decode(payload).expect("a good method").has_content() {
                    self.incomplete.insert(channel, (received, 0));
                } else {
                    self.inbox.push_back(received);
                }
            }
            FrameKind::Header => {
                let (mut received, _) = self.incomplete.remove(&channel).expect("a method first");
                assert!(received.content.is_none(), "two headers");
                let header = ContentHeader::parse(payload).expect("a good header");
                let properties = header.properties.to_vec();
                received.content = Some(Content { properties, body: vec![], frames: vec![] });
                self.content(received, header.body_size);
            }
            FrameKind::Body => {
                let (mut received, missing) = self.incomplete.remove(&channel).expect("a method");
                let content = received.content.as_mut().expect("a header first");
                content.body.extend_from_slice(payload);
                content.frames.push(payload.len());
                self.content(received, missing - payload.len() as u64);
            }
        }
    }

    fn content(&mut self, received: Received, missing: u64) {
        if missing == 0 {
            self.inbox.push_back(received);
        } else {
            self.incomplete.insert(received.channel, (received, missing));
        }
    }
}
