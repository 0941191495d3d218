//! What must hold whatever clients send: no panic, every answer is a legal sequence of frames, and when
//! all clients are gone no queue counts anything as delivered, nor has it lost a message.
//!
//! The input is a list of choices: which client does what next, in which order bytes, commits and the
//! clock move. So a fuzzer's mutations of it are other stories rather than broken frames; breaking
//! frames is one of the choices.
//!
//! Used by the fuzz target and, over random inputs and the committed seeds, by
//! `tests/session_fuzz.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::BytesMut;
use leveret::auth::Authenticator;
use leveret::broker::{Broker, Limits};
use leveret::protocol::frame::{
    PROTOCOL_HEADER, parse_frame, write_body, write_header, write_heartbeat, write_method,
};
use leveret::protocol::method::{
    access, basic, channel, confirm, connection, exchange, queue as queue_method, tx,
};
use leveret::protocol::{
    ChannelNumber, ContentHeader, FieldTable, FieldValue, Frame, FrameKind, Headers, Method,
    OwnedProperties, Properties,
};
use leveret::queue::{ConnectionId, Counts, Effects, Got, Queue};
use leveret::session::{Offer, Peer, Services, Session};
use leveret::storage::StoreError;
use leveret::storage::memory::{HeldStore, MemoryDefinitions, MemoryMessages, Record};
use leveret::time::Time;

const QUEUES: [&str; 3] = ["a", "b", "c"];
const EXCHANGES: [&str; 7] = ["", "amq.direct", "amq.fanout", "amq.topic", "amq.headers", "x", "y"];
const KEYS: [&str; 6] = ["a", "b", "c", "a.b", "#", "*.b"];
const CHANNELS: u16 = 3;
const CLIENTS: usize = 3;
const FRAME_MAX: u32 = 4096;

/// What is promised beyond not panicking decides what clients may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Promise {
    /// Anything goes, broken frames included.
    Survive,
    /// Nobody settles or drops anything: at the end every message a queue took in is ready in it.
    LoseNothing,
    /// Everything is acknowledged in the end: then nothing waits in a queue that has a consumer.
    StarveNobody,
}

pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let mut story = Story::new(&mut choices);
    while !choices.0.is_empty() {
        story.step(&mut choices);
    }
    story.end();
}

/// Numbers from the input; zeros when it is over.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        usize::from(*first) % count
    }

    /// True once in `times`.
    fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        let index = self.below(all.len());
        *all.get(index).expect("the index is below the length")
    }
}

struct Story {
    promise: Promise,
    services: Arc<Services>,
    held: Arc<HeldStore>,
    /// The broker's store is `held`, not one that is always done at once.
    is_held: bool,
    clients: Vec<Client>,
    now: Time,
}

struct Client {
    session: Session,
    /// Written by the client, not yet seen by the server.
    pending: Vec<u8>,
    /// Seen, and not yet whole.
    input: BytesMut,
    /// Written by the server, not yet whole.
    output: Vec<u8>,
    /// What the client believes of its channels.
    open: BTreeSet<u16>,
    refused: BTreeSet<u16>,
    transactional: BTreeSet<u16>,
    consumers: Vec<(u16, String)>,
    next_tag: u32,
    /// Content that the server has begun to send, by channel: bytes still to come, after its header.
    incoming: Vec<(u16, Option<u64>)>,
    /// The server has sent connection.close.
    closed: bool,
    /// Messages received.
    deliveries: u64,
    /// Channels and delivery tags that it may settle.
    delivered: Vec<(u16, u64)>,
}

impl Story {
    fn new(choices: &mut Choices<'_>) -> Self {
        let promise = choices.of(&[Promise::Survive, Promise::LoseNothing, Promise::StarveNobody]);
        let limits = Limits {
            message_size_max: 20_000,
            outbox_bytes_high: choices.of(&[1, 100, 1000, 1 << 20]),
            ..Limits::default()
        };
        let held = Arc::new(HeldStore::default());
        let is_held = choices.below(2) == 0;
        let broker = if is_held {
            Broker::new(limits, Arc::clone(&held) as _, Arc::clone(&held) as _)
        } else {
            Broker::new(limits, Arc::<MemoryDefinitions>::default(), Arc::new(MemoryMessages))
        };
        broker.create_vhost(&"/".into());
        let authenticator = Authenticator::new(Vec::new());
        authenticator.add_default_user("guest".into(), "guest", "/".into());
        let offer = Offer { frame_max: FRAME_MAX, channel_max: CHANNELS, ..Offer::default() };
        let services = Arc::new(Services { broker, authenticator: Arc::new(authenticator), offer });
        let now = Time(1_000_000);
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(&services, now)).collect();
        // Most stories have all the queues, most of them plain ones.
        for queue in QUEUES {
            if let Some(client) = clients.first_mut()
                && choices.below(8) > 0
            {
                client.open.insert(1);
                client.method(1, channel::Open {});
                client.declare(choices, 1, queue, promise);
                client.method(1, channel::Close { reply_code: 200, ..Default::default() });
                client.open.remove(&1);
            }
        }
        Self { promise, services, held, is_held, clients, now }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let which = choices.below(CLIENTS);
        let (promise, now) = (self.promise, self.now);
        let action = choices.below(32);
        let Some(client) = self.clients.get_mut(which) else { return };
        match action {
            0..=15 => client.say(choices, promise),
            16..=22 => client.send(choices, now),
            23..=26 => client.read(now),
            27 => {
                if client.rung() {
                    client.session.pump(now);
                }
            }
            28 => {
                self.held.sync();
                let result = if promise == Promise::Survive && choices.rarely(20) {
                    Err(StoreError("the disk is gone".to_owned()))
                } else {
                    Ok(())
                };
                self.held.finish_commits(&result);
            }
            29 => {
                self.now = Time(now.0 + choices.of(&[1, 20, 400, 3000, 31_000]));
                while self.services.broker.next_deadline() <= self.now {
                    self.services.broker.tick(self.now);
                }
                for client in &mut self.clients {
                    if client.session.deadline() <= self.now {
                        client.session.tick(self.now);
                    }
                }
            }
            30 if promise == Promise::Survive => client.damage(choices),
            30 => {}
            // The socket is gone; somebody else connects.
            _ => {
                if client.session.is_over() || choices.rarely(4) {
                    if choices.below(2) == 0 {
                        client.session.end(now);
                    }
                    *client = Client::new(&self.services, now);
                }
            }
        }
    }

    fn end(mut self) {
        if self.promise == Promise::StarveNobody {
            self.settle_everything();
            for (name, counts) in self.counts() {
                let waits = counts.ready + counts.unacked;
                assert!(
                    counts.consumers == 0 || waits == 0,
                    "{waits} messages wait in {name} for {} consumers",
                    counts.consumers
                );
            }
        }
        for mut client in self.clients.drain(..) {
            client.session.end(self.now);
        }
        self.held.finish_commits(&Ok(()));
        assert_eq!(self.services.broker.connection_count(), 0);
        for (name, counts) in self.counts() {
            assert_eq!((counts.unacked, counts.consumers), (0, 0), "in {name}");
            if self.promise == Promise::LoseNothing {
                assert_eq!(counts.ready as u64, counts.published, "in {name}");
            }
        }
        self.compare_with_the_store();
    }

    /// What a restart would bring back is what the queues hold.
    fn compare_with_the_store(&self) {
        let mut stored: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        let mut gone: BTreeSet<u64> = BTreeSet::new();
        for record in self.held.take_records() {
            match record {
                Record::Enqueue { queue, run, .. } => {
                    let first = run.position.0;
                    let positions = stored.entry(queue.0).or_default();
                    positions.extend(first..first + u64::from(run.count));
                }
                // Clients may settle what a queue gave them before it went.
                Record::Settle { queue, .. } if gone.contains(&queue.0) => {}
                Record::Settle { queue, first, last, .. } => {
                    let positions = stored.entry(queue.0).or_default();
                    for position in first.0..=last.0 {
                        assert!(positions.remove(&position), "{position} of {queue:?} settled");
                    }
                }
                Record::QueueGone(queue) => {
                    stored.remove(&queue.0);
                    gone.insert(queue.0);
                }
                Record::EndGroup(_) => {}
            }
        }
        stored.retain(|_, positions| !positions.is_empty());
        let mut effects = Effects::default();
        let mut held: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (_, queue) in self.queues() {
            let Some(log) = &queue.log else { continue };
            while let Got::Message { queued, .. } = queue.get(true, self.now, &mut effects) {
                if queued.message.traits().persistent {
                    held.entry(log.id.0).or_default().insert(queued.position.0);
                }
            }
        }
        if self.is_held {
            assert_eq!(stored, held, "by queue id");
        }
    }

    /// Lets everybody read, acknowledge and commit until nothing moves any more. Only who was rung
    /// looks at its outbox, as in the server.
    fn settle_everything(&mut self) {
        let mut quiet = 0;
        for _ in 0..2000 {
            self.held.sync();
            let mut moved = !self.held.finish_commits(&Ok(())).is_empty();
            for client in &mut self.clients {
                let before = client.deliveries;
                client.settle();
                client.feed(usize::MAX, self.now);
                while client.rung() {
                    client.session.pump(self.now);
                }
                client.read(self.now);
                moved |= client.deliveries > before;
            }
            quiet = if moved { 0 } else { quiet + 1 };
            // An answer may need a commit, which needs a round of its own.
            if quiet == 4 {
                return;
            }
        }
        panic!("messages go round without an end");
    }

    fn queues(&self) -> impl Iterator<Item = (&'static str, Arc<Queue>)> {
        let vhost = self.services.broker.vhost("/").expect("it was created");
        let nobody = ConnectionId(u64::MAX);
        QUEUES.into_iter().filter_map(move |name| Some((name, vhost.queue(name, nobody).ok()?)))
    }

    fn counts(&self) -> Vec<(&'static str, Counted)> {
        let counted = |(name, queue): (_, Arc<Queue>)| {
            let Counts { ready, unacked, consumers, .. } =
                queue.counts(self.now, &mut Effects::default());
            (name, Counted { ready, unacked, consumers, published: queue.stats.arrived() })
        };
        self.queues().map(counted).collect()
    }
}

struct Counted {
    ready: usize,
    unacked: usize,
    consumers: usize,
    published: u64,
}

impl Client {
    /// With the words of the handshake ready to be sent.
    fn new(services: &Arc<Services>, now: Time) -> Self {
        let peer = Peer { name: "fuzz".to_owned(), is_loopback: true, ..Peer::default() };
        let mut pending = PROTOCOL_HEADER.to_vec();
        let capabilities: FieldTable =
            [("consumer_cancel_notify", FieldValue::Bool(true))].into_iter().collect();
        let mut client_properties = FieldTable::new();
        client_properties.insert("capabilities", FieldValue::Table(capabilities));
        let words = [
            Method::from(connection::StartOk {
                client_properties,
                mechanism: "PLAIN",
                response: b"\0guest\0guest",
                locale: "en_US",
            }),
            Method::from(connection::TuneOk {
                channel_max: CHANNELS,
                frame_max: FRAME_MAX,
                heartbeat: 10,
            }),
            Method::from(connection::Open { virtual_host: "/" }),
        ];
        for word in words {
            write_method(&mut pending, ChannelNumber::CONNECTION, &word);
        }
        Self {
            session: Session::new(Arc::clone(services), peer, now),
            pending,
            input: BytesMut::new(),
            output: Vec::new(),
            open: BTreeSet::new(),
            refused: BTreeSet::new(),
            transactional: BTreeSet::new(),
            consumers: Vec::new(),
            next_tag: 0,
            incoming: Vec::new(),
            closed: false,
            deliveries: 0,
            delivered: Vec::new(),
        }
    }

    fn rung(&self) -> bool {
        self.session.outbox().poll_rung(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Hands over some of what is pending, in one piece or in two.
    fn send(&mut self, choices: &mut Choices<'_>, now: Time) {
        let some = match choices.below(4) {
            0 => choices.below(64),
            _ => self.pending.len(),
        };
        self.feed(some, now);
        if choices.below(4) != 0 && self.rung() {
            self.session.pump(now);
        }
    }

    /// What a connection's task does with what it read.
    fn feed(&mut self, count: usize, now: Time) {
        if !self.session.wants_input() {
            return;
        }
        let count = count.min(self.pending.len());
        self.input.extend(self.pending.drain(..count));
        loop {
            let ready = self.session.ready(&self.input);
            assert!(ready.whole <= self.input.len());
            if ready.whole == 0 {
                break;
            }
            let mut chunk = self.input.split_to(ready.whole).freeze();
            while !chunk.is_empty() {
                let taken = self.session.receive(&chunk, now);
                assert!(taken > 0, "whole frames are taken");
                let _ = chunk.split_to(taken);
            }
        }
    }

    /// The client reads all there is; whatever comes has to make sense.
    fn read(&mut self, now: Time) {
        let bytes = self.session.output().drain();
        if bytes.is_empty() {
            return;
        }
        self.output.extend_from_slice(&bytes);
        // What was written made room for more.
        self.session.pump(now);
        let output = std::mem::take(&mut self.output);
        let mut rest = &output[..];
        if rest == PROTOCOL_HEADER {
            assert!(self.session.is_over());
            return;
        }
        while let Some((frame, behind)) = parse_frame(rest, FRAME_MAX - 8).expect("well-formed") {
            self.heard(&frame);
            rest = behind;
        }
        self.output = rest.to_vec();
    }

    fn heard(&mut self, frame: &Frame<'_>) {
        assert!(!self.closed || frame.channel.0 == 0, "{frame:?} after connection.close");
        let number = frame.channel.0;
        let content = self.incoming.iter().position(|(channel, _)| *channel == number);
        match (frame.kind, content) {
            (FrameKind::Heartbeat, _) => {}
            (FrameKind::Method, None) => {
                let method = Method::decode(frame.payload).expect("ours");
                if method.has_content() {
                    self.incoming.push((number, None));
                    self.deliveries += 1;
                }
                self.told(number, &method);
            }
            (FrameKind::Header, Some(index)) => {
                let header = ContentHeader::parse(frame.payload).expect("ours");
                Properties::parse(header.properties).expect("ours");
                let (_, remaining) = self.incoming.remove(index);
                assert_eq!(remaining, None, "a second header");
                if header.body_size > 0 {
                    self.incoming.push((number, Some(header.body_size)));
                }
            }
            (FrameKind::Body, Some(index)) => {
                let (_, remaining) = self.incoming.remove(index);
                let size = frame.payload.len() as u64;
                let remaining = remaining.expect("a header came first").checked_sub(size);
                match remaining.expect("no more than announced") {
                    0 => {}
                    remaining => self.incoming.push((number, Some(remaining))),
                }
            }
            (kind, _) => panic!("{kind:?} out of place on channel {number}"),
        }
    }

    fn told(&mut self, number: u16, method: &Method<'_>) {
        match method {
            Method::Channel(channel::Method::Close(close)) => {
                assert!((300..500).contains(&close.reply_code), "{close:?} ends a channel");
                self.open.remove(&number);
                self.refused.insert(number);
            }
            Method::Connection(connection::Method::Close(close)) => {
                // Before it is open, anything ends a connection.
                let ends = close.reply_code >= 500 || [320, 403].contains(&close.reply_code);
                assert!(ends, "{close:?} ends a connection");
                self.closed = true;
            }
            Method::Basic(basic::Method::Deliver(basic::Deliver { delivery_tag, .. })) => {
                self.delivered.push((number, *delivery_tag));
            }
            Method::Basic(basic::Method::GetOk(basic::GetOk { delivery_tag, .. })) => {
                self.delivered.push((number, *delivery_tag));
            }
            Method::Channel(channel::Method::OpenOk(_)) => {
                self.delivered.retain(|one| one.0 != number);
            }
            Method::Tx(tx::Method::SelectOk(_)) => {
                self.transactional.insert(number);
            }
            _ => {}
        }
    }

    /// Acknowledges everything on every channel, and commits.
    fn settle(&mut self) {
        if self.closed {
            return self.method(0, connection::CloseOk {});
        }
        for number in std::mem::take(&mut self.refused) {
            self.method(number, channel::CloseOk {});
        }
        for number in self.open.clone() {
            self.method(number, basic::Ack { delivery_tag: 0, multiple: true });
            if self.transactional.contains(&number) {
                self.method(number, tx::Commit {});
            }
        }
    }

    fn method<'m>(&mut self, number: u16, method: impl Into<Method<'m>>) {
        write_method(&mut self.pending, ChannelNumber(number), &method.into());
    }

    /// Breaks something that is pending, or adds what is no frame.
    fn damage(&mut self, choices: &mut Choices<'_>) {
        let at = choices.below(256) * (self.pending.len() + 1) / 256;
        match choices.below(4) {
            0 => self.pending.truncate(at),
            1 => {
                if let Some(octet) = self.pending.get_mut(at) {
                    *octet = octet.wrapping_add(choices.below(255) as u8 + 1);
                }
            }
            2 => {
                let count = choices.below(12);
                let junk: Vec<u8> = (0..count).map(|_| choices.below(256) as u8).collect();
                self.pending.splice(at..at, junk);
            }
            _ => {
                let end = (at + choices.below(20)).min(self.pending.len());
                self.pending.drain(at..end);
            }
        }
    }

    /// The client writes something.
    fn say(&mut self, choices: &mut Choices<'_>, promise: Promise) {
        let number = choices.below(usize::from(CHANNELS)) as u16 + 1;
        let wild = promise == Promise::Survive;
        if self.refused.remove(&number) {
            self.method(number, channel::CloseOk {});
            self.transactional.remove(&number);
        }
        if !(wild && choices.rarely(40)) && self.open.insert(number) {
            self.method(number, channel::Open {});
        }
        match choices.below(32) {
            0..=8 => self.publish(choices, number, wild),
            9 => {
                let queue = choices.of(&["a", "b", "c", ""]);
                self.declare(choices, number, queue, promise);
            }
            10..=15 => self.consume(choices, number, promise),
            16..=17 => self.cancel(choices, number),
            18..=21 => self.settle_one(choices, number, promise),
            22 => self.get(choices, number, promise),
            23..=24 => self.wire(choices, number),
            25 => {
                let (prefetch_count, global) = (choices.below(4) as u16, choices.below(2) == 0);
                let prefetch_size = u32::from(wild && choices.rarely(30));
                self.method(number, basic::Qos { prefetch_size, prefetch_count, global });
            }
            26 => self.special(choices, number, wild),
            27 => {
                let queue = choices.of(&QUEUES);
                let (if_unused, if_empty) = (choices.below(2) == 0, choices.below(4) == 0);
                let delete = queue_method::Delete { queue, if_unused, if_empty, nowait: false };
                self.method(number, delete);
            }
            28 if promise != Promise::LoseNothing => {
                let queue = choices.of(&QUEUES);
                self.method(number, queue_method::Purge { queue, nowait: choices.below(2) == 0 });
            }
            29 => {
                self.method(number, channel::Close { reply_code: 200, ..Default::default() });
                self.open.remove(&number);
                self.transactional.remove(&number);
            }
            30 => self.method(number, basic::Recover { requeue: !(wild && choices.rarely(10)) }),
            31 => self.on_connection(choices, wild),
            _ => write_heartbeat(&mut self.pending),
        }
    }

    fn publish(&mut self, choices: &mut Choices<'_>, number: u16, wild: bool) {
        let (exchange, routing_key) = match choices.below(4) {
            0 => (choices.of(&EXCHANGES), choices.of(&KEYS)),
            1 if choices.rarely(8) => ("", "amq.rabbitmq.reply-to"),
            _ => ("", choices.of(&QUEUES)),
        };
        self.method(
            number,
            basic::Publish {
                exchange_and_key: &[],
                exchange: exchange.as_bytes(),
                routing_key: routing_key.as_bytes(),
                mandatory: choices.below(4) == 0,
                immediate: wild && choices.rarely(60),
            },
        );
        let mut properties = OwnedProperties::default();
        match choices.below(12) {
            0 => properties.priority = Some(choices.below(4) as u8),
            1 => properties.delivery_mode = Some(2),
            2 if wild => properties.expiration = Some(choices.of(&["0", "20", "x"]).into()),
            3 if choices.rarely(4) => {
                properties.reply_to = Some(b"amq.rabbitmq.reply-to".to_vec());
            }
            4 => {
                let mut headers = Headers::default();
                let keys = vec![FieldValue::from(choices.of(&QUEUES))];
                headers.set(choices.of(&["CC", "BCC", "k"]), &FieldValue::Array(keys));
                properties.headers = Some(headers);
            }
            5 if wild && choices.rarely(4) => properties.user_id = Some(b"somebody".to_vec()),
            _ => {}
        }
        let size = choices.of(&[0, 0, 1, 7, 40, 300, 5000, 9000, 20_001]);
        let announced = if wild && choices.rarely(40) { choices.below(20_000) } else { size };
        let channel = ChannelNumber(number);
        write_header(&mut self.pending, channel, announced as u64, &properties.to_bytes());
        let body = vec![b'b'; size];
        let piece = choices.of(&[FRAME_MAX as usize - 8, 1000, 1]);
        for payload in body.chunks(piece.max(size / 50).max(1)) {
            write_body(&mut self.pending, channel, payload);
        }
    }

    fn declare(&mut self, choices: &mut Choices<'_>, number: u16, queue: &str, promise: Promise) {
        let mut arguments = FieldTable::new();
        match choices.below(14) {
            0 => arguments.insert("x-max-priority", choices.below(4) as i32),
            1 => arguments.insert("x-single-active-consumer", FieldValue::Bool(true)),
            2 if promise != Promise::LoseNothing => {
                arguments.insert("x-max-length", choices.below(4) as i32);
                arguments.insert("x-overflow", choices.of(&["drop-head", "reject-publish"]));
            }
            3 if promise != Promise::LoseNothing => {
                arguments.insert("x-message-ttl", choices.of(&[0, 10, 1000]));
            }
            4 if promise == Promise::Survive => arguments.insert("x-max-length", "many"),
            5 => {
                arguments.insert("x-dead-letter-exchange", choices.of(&EXCHANGES));
                if choices.below(2) == 0 {
                    arguments.insert("x-dead-letter-routing-key", choices.of(&QUEUES));
                }
                if promise != Promise::LoseNothing && choices.below(2) == 0 {
                    arguments.insert("x-message-ttl", choices.of(&[0, 10, 1000]));
                }
            }
            6 => arguments.insert("x-expires", 300),
            _ => {}
        }
        let flags = choices.below(256);
        self.method(
            number,
            queue_method::Declare {
                queue,
                passive: flags & 0b111 == 0b111,
                durable: flags & 0b1000 != 0,
                exclusive: flags & 0b111_0000 == 0b111_0000,
                auto_delete: flags & 0b110 == 0b110,
                nowait: flags & 0b1000_0000 != 0,
                arguments,
            },
        );
    }

    fn consume(&mut self, choices: &mut Choices<'_>, number: u16, promise: Promise) {
        let mut tag = format!("t{}", self.next_tag);
        self.next_tag += 1;
        if promise == Promise::Survive && choices.rarely(30) {
            tag = "t0".to_owned();
        }
        let (queue, no_ack) = match choices.below(16) {
            0 => ("amq.rabbitmq.reply-to", true),
            1 => ("", false),
            2 | 3 if promise != Promise::LoseNothing => (choices.of(&QUEUES), true),
            _ => (choices.of(&QUEUES), false),
        };
        let mut arguments = FieldTable::new();
        if choices.rarely(4) {
            arguments.insert("x-priority", choices.below(3) as i32 - 1);
        }
        self.method(
            number,
            basic::Consume {
                queue,
                consumer_tag: &tag,
                no_local: false,
                no_ack,
                exclusive: choices.rarely(12),
                nowait: choices.rarely(8),
                arguments,
            },
        );
        self.consumers.push((number, tag));
    }

    fn cancel(&mut self, choices: &mut Choices<'_>, number: u16) {
        let mine: Vec<usize> = (0..self.consumers.len())
            .filter(|index| self.consumers.get(*index).is_some_and(|one| one.0 == number))
            .collect();
        if mine.is_empty() {
            return;
        }
        let (_, tag) = self.consumers.remove(choices.of(&mine));
        self.method(number, basic::Cancel { consumer_tag: &tag, nowait: choices.rarely(4) });
    }

    fn settle_one(&mut self, choices: &mut Choices<'_>, number: u16, promise: Promise) {
        let known = self.delivered.iter().filter(|one| one.0 == number).map(|one| one.1);
        let mut tags: Vec<u64> = known.chain([0]).collect();
        if promise == Promise::Survive && choices.rarely(20) {
            tags = vec![1, 2, 3];
        }
        let delivery_tag = choices.of(&tags);
        // Number 0 alone says nothing but for many.
        let multiple = delivery_tag == 0 || choices.below(2) == 0;
        let settled = |one: &(u16, u64)| {
            one.0 == number
                && (one.1 == delivery_tag
                    || multiple && (one.1 < delivery_tag || delivery_tag == 0))
        };
        self.delivered.retain(|one| !settled(one));
        let keep = promise == Promise::LoseNothing;
        match choices.below(4) {
            0 | 1 if !keep => self.method(number, basic::Ack { delivery_tag, multiple }),
            2 if !keep => {
                let requeue = choices.below(2) == 0;
                self.method(number, basic::Reject { delivery_tag, requeue });
            }
            _ => {
                let requeue = keep || choices.below(4) > 0;
                self.method(number, basic::Nack { delivery_tag, multiple, requeue });
            }
        }
    }

    fn get(&mut self, choices: &mut Choices<'_>, number: u16, promise: Promise) {
        let no_ack = promise != Promise::LoseNothing && choices.below(2) == 0;
        self.method(number, basic::Get { queue: choices.of(&QUEUES), no_ack });
    }

    /// Exchanges and bindings.
    fn wire(&mut self, choices: &mut Choices<'_>, number: u16) {
        let (one, other) = (choices.of(&EXCHANGES), choices.of(&EXCHANGES));
        let (queue, routing_key) = (choices.of(&QUEUES), choices.of(&KEYS));
        let nowait = choices.rarely(4);
        let arguments = FieldTable::new();
        match choices.below(8) {
            0..=2 => {
                let bind =
                    queue_method::Bind { queue, exchange: one, routing_key, nowait, arguments };
                self.method(number, bind);
            }
            3 => {
                let unbind = queue_method::Unbind { queue, exchange: one, routing_key, arguments };
                self.method(number, unbind);
            }
            4 => {
                let (source, destination) = (one, other);
                let bind = exchange::Bind { destination, source, routing_key, nowait, arguments };
                self.method(number, bind);
            }
            5 => {
                let (source, destination) = (one, other);
                let unbind =
                    exchange::Unbind { destination, source, routing_key, nowait, arguments };
                self.method(number, unbind);
            }
            6 => self.method(
                number,
                exchange::Declare {
                    exchange: choices.of(&["x", "y"]),
                    kind: choices.of(&["direct", "fanout", "topic", "headers"]),
                    passive: choices.rarely(4),
                    durable: choices.below(2) == 0,
                    auto_delete: choices.rarely(4),
                    internal: choices.rarely(4),
                    nowait,
                    arguments,
                },
            ),
            _ => {
                let exchange = choices.of(&["x", "y"]);
                let delete = exchange::Delete { exchange, if_unused: choices.rarely(2), nowait };
                self.method(number, delete);
            }
        }
    }

    /// Confirms, transactions, and what clients hardly ever say.
    fn special(&mut self, choices: &mut Choices<'_>, number: u16, wild: bool) {
        match choices.below(10) {
            0..=2 => self.method(number, confirm::Select { nowait: false }),
            3 | 4 => self.method(number, tx::Select {}),
            5 => self.method(number, tx::Commit {}),
            6 => self.method(number, tx::Rollback {}),
            7 => self.method(number, channel::Flow { active: !(wild && choices.rarely(4)) }),
            8 => self.method(number, access::Request::default()),
            _ if wild => match choices.below(6) {
                0 => self.method(number, channel::Open {}),
                1 => self.method(number, queue_method::DeclareOk::default()),
                2 => self.method(number, basic::Deliver::default()),
                3 => self.method(number, connection::CloseOk {}),
                4 => self.method(number, channel::CloseOk {}),
                _ => self.method(0, basic::Get::default()),
            },
            _ => self.method(number, basic::CancelOk { consumer_tag: "t0" }),
        }
    }

    fn on_connection(&mut self, choices: &mut Choices<'_>, wild: bool) {
        match choices.below(8) {
            0 => self.method(0, connection::UpdateSecret::default()),
            1 => self.method(0, connection::Close { reply_code: 200, ..Default::default() }),
            2 if self.closed => self.method(0, connection::CloseOk {}),
            3 if wild => self.method(0, connection::Open { virtual_host: "/" }),
            _ => write_heartbeat(&mut self.pending),
        }
    }
}
