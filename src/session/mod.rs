//! What frames mean, for one client.
//!
//! A [`Session`] is the protocol state machine of one connection. Bytes and the time go in, bytes come
//! out; there is no socket, no task and no clock in this room, so a test can be a client by writing
//! frames and reading frames.
//!
//! ```text
//! handshake ──open──▶ open ──close, error──▶ closing ──▶ over
//!     └──────────── violation, refusal ──▶ doomed ───────┘
//! ```
//!
//! The owner calls, in a loop: [`ready`](Session::ready) and [`receive`](Session::receive) when bytes
//! came, [`pump`](Session::pump) when the outbox rang or output was written,
//! [`tick`](Session::tick) at [`deadline`](Session::deadline), and [`end`](Session::end) once at the
//! end, which gives everything unsettled back to its queues.
//!
//! Reading order: `handshake`, `open` (frames to handlers, deliveries to bytes), `channel`, `content`,
//! `class` (the handlers), then what they work with: `context`, `source`, `unacked`, `ages`,
//! `ack_timeout`, `delivery_count`, `confirm`, `rights`, `secret`, `throttle`, `transaction`,
//! `farewell`, `report`, `output`, `timers`.

mod ack_timeout;
mod ages;
pub mod channel;
mod class;
pub mod confirm;
mod content;
mod context;
mod delivery_count;
mod farewell;
mod handshake;
mod open;
pub mod output;
mod report;
mod rights;
mod secret;
mod source;
mod throttle;
mod timers;
mod transaction;
pub mod unacked;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::handshake::{Door, Handshake, Step};
use self::open::{Open, Turn};
use self::output::Output;
use self::timers::Timers;
use crate::auth::{Authenticator, External};
use crate::broker::{Broker, ConnectionStats, LoginProtocol, Source, TlsClient};
use crate::delivery::{Outbox, Outgoing};
use crate::names::AUDIT;
use crate::protocol::frame::{FRAME_SIZE_BEFORE_TUNE, Greeting, PROTOCOL_HEADER, Ready, greeting};
use crate::protocol::frame::{first_frame, parse_frame, whole_frames};
use crate::protocol::method::connection;
use crate::protocol::wire::put;
use crate::protocol::{AmqpError, ChannelNumber, FrameKind, Method, ReplyCode};
use crate::queue::ConnectionId;
use crate::time::Time;

/// How long a connection that broke the rules before it was open is kept dangling (B1.2).
const PENALTY: Duration = Duration::from_secs(3);

/// How long we wait for the answer to our close at most; a heartbeat interval may be less (B0.4).
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(30);

/// What the server proposes in `connection.tune`, and how patient it is (B2.9, B1.2).
#[derive(Clone, Debug)]
pub struct Offer {
    pub frame_max: u32,
    pub channel_max: u16,
    pub heartbeat_seconds: u16,
    pub handshake_timeout: Duration,
    /// How long a client may take nothing of what waits for it; `None` is as long as it likes.
    pub send_timeout: Option<Duration>,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat_seconds: 60,
            handshake_timeout: Duration::from_secs(10),
            send_timeout: Some(Duration::from_secs(15)),
        }
    }
}

/// What all sessions of a server share.
pub struct Services {
    pub broker: Arc<Broker>,
    pub authenticator: Arc<Authenticator>,
    pub offer: Offer,
}

/// Who is at the other end.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// `peer_ip:port -> local_ip:port`, the connection's name (B2.4).
    pub name: String,
    pub is_loopback: bool,
    /// Who its TLS certificate says it is.
    pub external: External,
    /// `None` where it speaks in the clear.
    pub tls: Option<Arc<TlsClient>>,
}

/// What a client said it can do (B2.3), and expects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capabilities {
    pub consumer_cancel_notify: bool,
    pub connection_blocked: bool,
    pub authentication_failure_close: bool,
    /// `basic.qos` without `global` is for the whole channel, as the specification has it. So says
    /// py-amqp, the client of Celery, of every broker whose product is not RabbitMQ: a worker raises its
    /// prefetch count for each task that waits for its time, and would get no other one if that
    /// counted for consumers to come only.
    pub channel_qos: bool,
}

enum Stage {
    Handshake(Box<Handshake>),
    Open(Box<Open>),
    /// We sent `connection.close` and wait for the answer, until then at most.
    Closing {
        until: Time,
        reading: bool,
    },
    /// The client gets no more frames, only the end of the connection, at that time (B1.2).
    Doomed {
        until: Time,
    },
    /// The socket is to be closed as soon as the output is written, at that time at the latest.
    Over {
        until: Time,
    },
}

pub struct Session {
    services: Arc<Services>,
    id: ConnectionId,
    peer: Peer,
    outbox: Arc<Outbox>,
    stats: Arc<ConnectionStats>,
    stage: Stage,
    /// Before and after the connection is open; meanwhile the open connection has it.
    output: Output,
    timers: Timers,
}

impl Session {
    pub fn new(services: Arc<Services>, peer: Peer, now: Time) -> Self {
        let id = services.broker.next_connection_id();
        let outbox = Arc::new(Outbox::new(services.broker.limits.outbox_bytes_high()));
        let until = now + services.offer.handshake_timeout;
        tracing::debug!(connection = id.0, peer = peer.name, "accepted");
        Self {
            services,
            id,
            peer,
            outbox,
            stats: Arc::default(),
            stage: Stage::Handshake(Box::new(Handshake::new(until))),
            output: Output::default(),
            timers: Timers::new(0, None, 0, now),
        }
    }

    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Rings when [`pump`](Self::pump) has something to do.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// So many bytes were read in one go.
    #[inline]
    pub fn count_read(&self, bytes: usize) {
        self.stats.received_octets.add(bytes as u64);
        self.stats.received_packets.add(1);
    }

    /// So much memory is kept for what is read.
    pub fn note_input(&self, bytes: usize) {
        self.stats.input_bytes.set(bytes as u64);
    }

    /// So many bytes were written in one go.
    #[inline]
    pub fn count_written(&self, bytes: usize) {
        self.stats.sent_octets.add(bytes as u64);
        self.stats.sent_packets.add(1);
    }

    pub fn output(&mut self) -> &mut Output {
        match &mut self.stage {
            Stage::Open(open) => &mut open.ctx.output,
            _ => &mut self.output,
        }
    }

    /// How much of what was read [`receive`](Self::receive) can take now. To be asked when bytes came:
    /// any of them is a sign of life, also those of a frame that is not whole yet (B1.5).
    pub fn ready(&mut self, input: &[u8]) -> Ready {
        self.timers.received();
        match &self.stage {
            Stage::Handshake(handshake) if matches!(handshake.step, Step::Header) => {
                let whole = if greeting(input) == Greeting::Incomplete { 0 } else { 8 };
                Ready { whole, wanted: 8 }
            }
            // A client need not wait for answers, and its next frame may be as large as was agreed on.
            Stage::Handshake(_) => first_frame(input, FRAME_SIZE_BEFORE_TUNE),
            Stage::Open(open) => whole_frames(input, open.ctx.frame_max),
            Stage::Closing { .. } => whole_frames(input, self.services.offer.frame_max),
            Stage::Doomed { .. } | Stage::Over { .. } => Ready { whole: input.len(), wanted: 0 },
        }
    }

    /// Takes bytes that [`ready`](Self::ready) counted, in as many pieces as it likes. Returns how many
    /// it took. When it takes none it does not want input any more; the rest is to be kept, and
    /// offered again when it does.
    pub fn receive(&mut self, chunk: &Bytes, now: Time) -> usize {
        match &mut self.stage {
            Stage::Handshake(_) => self.receive_handshake(chunk, now),
            Stage::Open(open) => {
                let received = open.receive(chunk, now);
                let taken = received.as_ref().map_or(chunk.len(), |(_, taken)| *taken);
                self.turn(received.map(|(turn, _)| turn), now);
                taken
            }
            Stage::Closing { .. } => {
                self.receive_closing(chunk, now);
                chunk.len()
            }
            Stage::Doomed { .. } | Stage::Over { .. } => chunk.len(),
        }
    }

    fn receive_handshake(&mut self, chunk: &Bytes, now: Time) -> usize {
        let Stage::Handshake(handshake) = &mut self.stage else {
            return 0;
        };
        if matches!(handshake.step, Step::Header) {
            if greeting(chunk) == Greeting::Accepted {
                handshake.start(&self.peer, &mut self.output);
            } else {
                // Whatever this is, it learns what we speak (B1.1).
                tracing::info!(peer = self.peer.name, "not AMQP 0-9-1");
                self.output.bytes(&PROTOCOL_HEADER);
                self.stage = over(now);
                return chunk.len();
            }
            return PROTOCOL_HEADER.len();
        }
        match parse_frame(chunk, FRAME_SIZE_BEFORE_TUNE) {
            Ok(None) => 0,
            Ok(Some((frame, rest))) => {
                let taken = chunk.len() - rest.len();
                self.handshake_frame(&frame, now);
                taken
            }
            Err(error) => {
                self.doom(&error.reply_text(), now);
                chunk.len()
            }
        }
    }

    fn handshake_frame(&mut self, frame: &crate::protocol::Frame<'_>, now: Time) {
        let Stage::Handshake(handshake) = &mut self.stage else {
            return;
        };
        if frame.kind == FrameKind::Heartbeat {
            return;
        }
        if frame.kind != FrameKind::Method || frame.channel != ChannelNumber::CONNECTION {
            return self.doom("a frame out of place during the handshake", now);
        }
        let method = match Method::decode(frame.payload) {
            Ok(Method::Connection(method)) => method,
            Ok(other) => {
                return self.doom(&format!("method {} during the handshake", other.id()), now);
            }
            Err(error) => return self.doom(&error.reply_text(), now),
        };
        match (&handshake.step, method) {
            (Step::StartOk, connection::Method::StartOk(start_ok)) => {
                let door =
                    Door { services: &self.services, peer: &self.peer, outbox: &self.outbox };
                let result = handshake.start_ok(start_ok, &door, &mut self.output, now);
                self.login(result, now);
            }
            (Step::TuneOk, connection::Method::TuneOk(tune_ok)) => {
                if let Err(error) = handshake.tune_ok(&tune_ok, &self.services.offer) {
                    self.close(&error, now);
                }
            }
            (Step::Open, connection::Method::Open(open)) => self.open(open.virtual_host, now),
            (_, connection::Method::Close(_)) => {
                let ok = connection::Method::CloseOk(connection::CloseOk {});
                self.output.method(ChannelNumber::CONNECTION, &Method::Connection(ok));
                self.stage = over(now);
            }
            (_, method) => {
                let id = Method::Connection(method).id();
                self.doom(&format!("method {id} at the wrong moment of the handshake"), now);
            }
        }
    }

    /// Behaviour B2.6 and B2.7.
    fn login(&mut self, result: Result<(), handshake::LoginFailure>, now: Time) {
        match result {
            Ok(()) => {
                let Stage::Handshake(handshake) = &self.stage else { return };
                if matches!(handshake.step, Step::Keys(_)) {
                    return;
                }
                self.services.broker.churn.login_succeeded.add(1);
                self.count_attempt(handshake.user_name(), true);
                let _who = who(&self.peer, handshake.user_name()).entered();
                tracing::info!(target: AUDIT, "login accepted");
            }
            Err(handshake::LoginFailure::Malformed(why)) => self.doom(&why, now),
            Err(handshake::LoginFailure::Refused { user, why, answer }) => {
                let peer = &self.peer.name;
                tracing::warn!(peer, why, "login refused");
                self.services.broker.churn.login_failed.add(1);
                self.count_attempt(put::cut(user.as_str(), 255), false);
                let _who = who(&self.peer, put::cut(user.as_str(), 255)).entered();
                tracing::warn!(target: AUDIT, why = put::cut(&why, 400), "login refused");
                if let Some(error) = answer {
                    self.write_close(&error);
                }
                self.stage = Stage::Doomed { until: now + PENALTY };
            }
        }
    }

    fn count_attempt(&self, user: &str, succeeded: bool) {
        let (peer, _) = self.peer.name.split_once(" -> ").unwrap_or((&self.peer.name, ""));
        let address = peer.parse::<SocketAddr>();
        let host =
            address.map_or_else(|_| peer.to_owned(), |at| at.ip().to_canonical().to_string());
        let source = Source { protocol: LoginProtocol::Amqp, host, user: user.to_owned() };
        self.services.broker.attempts.count(source, succeeded);
    }

    fn open(&mut self, vhost: &str, now: Time) {
        let Stage::Handshake(handshake) = &self.stage else {
            return;
        };
        let (outbox, stats) = (&self.outbox, &self.stats);
        let opened = handshake.open(vhost, &self.services, self.id, outbox, stats, now);
        let _who = who(&self.peer, handshake.user_name()).entered();
        match opened {
            Err(error) => {
                let why = error.reply_text();
                tracing::warn!(target: AUDIT, vhost, why = &*why, "vhost refused");
                self.close(&error, now);
            }
            Ok(mut ctx) => {
                tracing::info!(target: AUDIT, vhost, "vhost entered");
                ctx.peer = self.peer.clone();
                std::mem::swap(&mut ctx.output, &mut self.output);
                let ok = Method::Connection(connection::Method::OpenOk(connection::OpenOk {}));
                ctx.send(ChannelNumber::CONNECTION, &ok);
                let written = ctx.output.written() + ctx.output.len() as u64;
                let send_timeout = self.services.offer.send_timeout;
                self.timers = Timers::new(handshake.heartbeat, send_timeout, written, now);
                let peer = &self.peer.name;
                // It opens once.
                let _ = self.stats.name.set(peer.as_str().into());
                let user = &ctx.user;
                tracing::info!(
                    connection = self.id.0,
                    peer,
                    "accepting AMQP connection: user '{user}' authenticated and granted access to \
                     vhost '{vhost}'"
                );
                self.stage = Stage::Open(Box::new(Open::new(ctx)));
            }
        }
    }

    /// What a batch of work means for the connection.
    fn turn(&mut self, result: Result<Turn, AmqpError>, now: Time) {
        match result {
            Ok(Turn::GoOn) => {}
            Ok(Turn::Closed) => {
                let peer = &self.peer.name;
                tracing::info!(connection = self.id.0, peer, "closing AMQP connection ({peer})");
                // Everything is back and exclusive names are free before close-ok says so (B2.11).
                self.leave();
                let ok = connection::Method::CloseOk(connection::CloseOk {});
                self.output.method(ChannelNumber::CONNECTION, &Method::Connection(ok));
                self.stage = over(now);
            }
            Ok(Turn::Shutdown(reason)) => {
                self.close(&AmqpError::new(ReplyCode::ConnectionForced, reason), now);
            }
            Err(error) => self.close(&error, now),
        }
    }

    /// Ends the connection with `connection.close` (B0.4).
    fn close(&mut self, error: &AmqpError, now: Time) {
        let peer = &self.peer.name;
        tracing::info!(connection = self.id.0, peer, %error, "closing AMQP connection ({peer})");
        self.leave();
        self.write_close(error);
        let heartbeat = self.timers.interval().unwrap_or(CLOSE_WAIT_MAX);
        let wait = if error.stop_reading { PENALTY } else { heartbeat.min(CLOSE_WAIT_MAX) };
        self.stage = Stage::Closing { until: now + wait, reading: !error.stop_reading };
    }

    fn write_close(&mut self, error: &AmqpError) {
        let text = error.reply_text();
        let close = connection::Close {
            reply_code: error.code.number(),
            reply_text: &text,
            class_id: error.method.class,
            method_id: error.method.method,
        };
        let close = Method::Connection(connection::Method::Close(close));
        self.output.method(ChannelNumber::CONNECTION, &close);
    }

    /// Silence for three seconds, then the end: what RabbitMQ does to those who break the rules before
    /// they have logged in, so that trying is slow (B1.2).
    fn doom(&mut self, why: &str, now: Time) {
        tracing::warn!(connection = self.id.0, peer = self.peer.name, why, "handshake failed");
        self.stage = Stage::Doomed { until: now + PENALTY };
    }

    fn receive_closing(&mut self, chunk: &Bytes, now: Time) {
        let mut input = &chunk[..];
        while let Ok(Some((frame, rest))) = parse_frame(input, self.services.offer.frame_max) {
            input = rest;
            if frame.kind != FrameKind::Method || frame.channel != ChannelNumber::CONNECTION {
                continue;
            }
            match Method::decode(frame.payload) {
                Ok(Method::Connection(connection::Method::CloseOk(_))) => {
                    self.stage = over(now);
                    return;
                }
                Ok(Method::Connection(connection::Method::Close(_))) => {
                    // It crossed ours on the wire (B0.4).
                    let ok = connection::Method::CloseOk(connection::CloseOk {});
                    self.output.method(ChannelNumber::CONNECTION, &Method::Connection(ok));
                }
                _ => {}
            }
        }
    }

    /// Encodes what queues and the broker have for this client.
    pub fn pump(&mut self, now: Time) {
        match &mut self.stage {
            Stage::Open(open) => {
                let result = open.pump(now);
                self.turn(result, now);
            }
            Stage::Handshake(handshake) => {
                let door =
                    Door { services: &self.services, peer: &self.peer, outbox: &self.outbox };
                if let Some(result) = handshake.look_for_keys(&door, &mut self.output, now) {
                    self.login(result, now);
                }
                let mut entries = Vec::new();
                self.outbox.take(&mut entries, &mut Vec::new());
                // Nobody but the broker itself knows this connection yet.
                if entries.iter().any(|entry| matches!(entry, Outgoing::Shutdown(_))) {
                    self.drop_everything();
                }
            }
            _ => {}
        }
    }

    /// Whether the socket should be read.
    pub fn wants_input(&self) -> bool {
        match &self.stage {
            Stage::Handshake(handshake) => !matches!(handshake.step, Step::Keys(_)),
            Stage::Open(open) => open.wants_input(),
            Stage::Closing { reading, .. } => *reading,
            // What comes is thrown away; but who hangs up need not be kept.
            Stage::Doomed { .. } => true,
            Stage::Over { .. } => false,
        }
    }

    /// The socket is to be closed once the output is written.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over { .. })
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Time {
        match &self.stage {
            Stage::Handshake(handshake) => handshake.until,
            Stage::Open(open) => {
                let timers = self.timers.deadline(open.ctx.output.len());
                let timers = timers.min(open.ctx.look_for_overdue).min(open.ctx.throttled_until());
                timers.min(open.ctx.expires)
            }
            Stage::Closing { until, .. } | Stage::Doomed { until } | Stage::Over { until } => {
                *until
            }
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Time) {
        let peer = &self.peer.name;
        match &mut self.stage {
            Stage::Handshake(handshake) if now >= handshake.until => {
                tracing::info!(peer, "handshake timed out");
                self.drop_everything();
            }
            Stage::Closing { until, .. } | Stage::Doomed { until } | Stage::Over { until }
                if now >= *until =>
            {
                self.drop_everything();
            }
            Stage::Open(open) => {
                let (written, waiting) = (open.ctx.output.written(), open.ctx.output.len());
                let due = self.timers.tick(written, waiting, open.wants_input(), now);
                if let Some(throttle) = &mut open.ctx.throttle {
                    throttle.look(now);
                }
                if due.send_heartbeat {
                    open.ctx.output.heartbeat();
                }
                if let Some(why) = due.give_up {
                    tracing::info!(
                        connection = self.id.0,
                        peer,
                        "closing AMQP connection ({peer}): {why}"
                    );
                    self.leave();
                    self.drop_everything();
                } else if now >= open.ctx.expires {
                    // Behaviour B2.13.
                    let text = "credential expired";
                    self.close(&AmqpError::new(ReplyCode::ConnectionForced, text), now);
                } else if now >= open.ctx.look_for_overdue {
                    let result = open.look_for_overdue(now).map(|()| Turn::GoOn);
                    self.turn(result, now);
                }
            }
            _ => {}
        }
    }

    /// Nothing more is written, not even what waits.
    fn drop_everything(&mut self) {
        self.output = Output::default();
        self.stage = Stage::Over { until: Time::NEVER };
    }

    /// The socket is gone, or is about to be: what is unsettled goes back to its queues.
    pub fn end(&mut self, now: Time) {
        if let Stage::Open(open) = &mut self.stage {
            open.ctx.now = now;
            let peer = &self.peer.name;
            tracing::warn!(
                connection = self.id.0,
                peer,
                "closing AMQP connection ({peer}): client unexpectedly closed TCP connection"
            );
        }
        self.leave();
        self.stage = over(now);
    }

    /// Leaves the open stage, taking the output along.
    fn leave(&mut self) {
        if let Stage::Open(open) = &mut self.stage {
            let Open { ctx, channels, .. } = &mut **open;
            ctx.end_all(channels);
            if ctx.is_blocked {
                self.services.broker.alarms.forget(self.id);
                ctx.count_blocked();
            }
            self.services.broker.disconnect(self.id);
            self.output = std::mem::take(&mut ctx.output);
            self.stage = over(ctx.now);
        }
    }

    /// Gives back what steady traffic keeps, when there has been none for a while.
    pub fn shrink(&mut self) {
        if let Stage::Open(open) = &mut self.stage {
            open.shrink();
        }
    }
}

/// The span in which a client's doings are said to the audit log.
fn who(peer: &Peer, user: &str) -> tracing::Span {
    tracing::info_span!(target: AUDIT, "client", interface = "amqp", peer = peer.name, user)
}

/// Who does not take the last bytes is not waited for.
fn over(now: Time) -> Stage {
    Stage::Over { until: now + CLOSE_WAIT_MAX }
}

impl Drop for Session {
    /// Whatever happened to the connection's task, its messages are not lost with it.
    fn drop(&mut self) {
        self.leave();
    }
}
