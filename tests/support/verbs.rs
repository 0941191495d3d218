//! What most tests do with a peer: one call for a request and its answer.

use leveret::protocol::frame::{FRAME_END, write_body, write_header, write_method};
use leveret::protocol::method::{basic, channel, confirm, exchange, queue, tx};
use leveret::protocol::{ChannelNumber, FieldTable, Method, OwnedProperties};

use super::peer::Peer;
use super::received::{Delivery, Returned};

/// The properties of a message that is to survive.
pub fn persistent() -> OwnedProperties {
    OwnedProperties { delivery_mode: Some(2), ..OwnedProperties::default() }
}

/// No properties at all.
pub fn text() -> OwnedProperties {
    OwnedProperties::default()
}

/// A method as a frame, to be put together with others.
pub fn method_frame<'m>(channel: u16, method: impl Into<Method<'m>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_method(&mut bytes, ChannelNumber(channel), &method.into());
    bytes
}

/// Any frame, good or bad.
pub fn raw_frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend(payload);
    bytes.push(FRAME_END);
    bytes
}

/// A content header as a frame.
pub fn header_frame(channel: u16, body_size: u64, properties: &OwnedProperties) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_header(&mut bytes, ChannelNumber(channel), body_size, &properties.to_bytes());
    bytes
}

impl Peer {
    /// A request and its answer.
    #[track_caller]
    pub fn call<'m, 'a>(
        &self,
        channel: u16,
        request: impl Into<Method<'m>>,
        answer: impl Into<Method<'a>>,
    ) {
        self.send(channel, request);
        self.expect(channel, answer);
    }

    /// A request that the channel is closed for; then the channel is opened again.
    #[track_caller]
    pub fn refused<'m>(&self, channel: u16, request: impl Into<Method<'m>>, code: u16, text: &str) {
        let request = request.into();
        let id = request.id();
        self.send(channel, request);
        self.expect_channel_error(channel, code, text).for_method(id.class, id.method);
        self.reopen(channel);
    }

    #[track_caller]
    pub fn open_channel(&self, number: u16) {
        self.send(number, channel::Open {});
        self.expect(number, channel::OpenOk {});
    }

    #[track_caller]
    pub fn close_channel(&self, number: u16) {
        self.send(number, channel_close());
        self.expect(number, channel::CloseOk {});
    }

    /// Answers the server's close of a channel.
    pub fn close_ok(&self, number: u16) {
        self.send(number, channel::CloseOk {});
    }

    /// Answers the server's close of a channel and opens it again.
    #[track_caller]
    pub fn reopen(&self, number: u16) {
        self.close_ok(number);
        self.open_channel(number);
    }

    /// A queue that is neither durable, exclusive nor auto-delete, without arguments.
    #[track_caller]
    pub fn declare(&self, channel: u16, name: &str) {
        self.declare_as(channel, queue::Declare { queue: name, ..queue::Declare::default() });
    }

    #[track_caller]
    pub fn declare_durable(&self, channel: u16, name: &str) {
        let declare = queue::Declare { queue: name, durable: true, ..queue::Declare::default() };
        self.declare_as(channel, declare);
    }

    #[track_caller]
    pub fn declare_durable_with(&self, channel: u16, name: &str, arguments: FieldTable) {
        let durable = queue::Declare { durable: true, ..queue::Declare::default() };
        self.declare_as(channel, queue::Declare { queue: name, arguments, ..durable });
    }

    #[track_caller]
    pub fn declare_with(&self, channel: u16, name: &str, arguments: FieldTable) {
        let declare = queue::Declare { queue: name, arguments, ..queue::Declare::default() };
        self.declare_as(channel, declare);
    }

    /// Returns the queue's name, and its counts of messages and consumers.
    #[track_caller]
    pub fn declare_as(&self, channel: u16, declare: queue::Declare<'_>) -> (String, u32, u32) {
        self.send(channel, declare);
        match self.recv().method() {
            Method::Queue(queue::Method::DeclareOk(ok)) => {
                (ok.queue.to_owned(), ok.message_count, ok.consumer_count)
            }
            other => panic!("expected queue.declare-ok, got {other:?}"),
        }
    }

    /// How many messages are ready in a queue, and how many consumers it has.
    #[track_caller]
    pub fn counts(&self, channel: u16, name: &str) -> (u32, u32) {
        let declare = queue::Declare { queue: name, passive: true, ..queue::Declare::default() };
        let (_, messages, consumers) = self.declare_as(channel, declare);
        (messages, consumers)
    }

    #[track_caller]
    pub fn declare_exchange(&self, channel: u16, name: &str, kind: &str) {
        let declare = exchange::Declare { exchange: name, kind, ..exchange::Declare::default() };
        self.send(channel, declare);
        self.expect(channel, exchange::DeclareOk {});
    }

    #[track_caller]
    pub fn bind(&self, channel: u16, queue: &str, exchange: &str, routing_key: &str) {
        let bind = queue::Bind { queue, exchange, routing_key, ..queue::Bind::default() };
        self.send(channel, bind);
        self.expect(channel, queue::BindOk {});
    }

    /// A consumer that acknowledges.
    #[track_caller]
    pub fn consume(&self, channel: u16, queue: &str, consumer_tag: &str) {
        let consume = basic::Consume { queue, consumer_tag, ..basic::Consume::default() };
        self.consume_as(channel, consume);
    }

    #[track_caller]
    pub fn consume_no_ack(&self, channel: u16, queue: &str, consumer_tag: &str) {
        let consume =
            basic::Consume { queue, consumer_tag, no_ack: true, ..basic::Consume::default() };
        self.consume_as(channel, consume);
    }

    /// Returns the consumer's tag.
    #[track_caller]
    pub fn consume_as(&self, channel: u16, consume: basic::Consume<'_>) -> String {
        self.send(channel, consume);
        match self.recv().method() {
            Method::Basic(basic::Method::ConsumeOk(ok)) => ok.consumer_tag.to_owned(),
            other => panic!("expected basic.consume-ok, got {other:?}"),
        }
    }

    #[track_caller]
    pub fn cancel(&self, channel: u16, consumer_tag: &str) {
        self.send(channel, basic::Cancel { consumer_tag, nowait: false });
        self.expect(channel, basic::CancelOk { consumer_tag });
    }

    /// The next message of a queue, to be acknowledged; `None` when it is empty.
    #[track_caller]
    pub fn get(&self, channel: u16, queue: &str) -> Option<Delivery> {
        self.send(channel, basic::Get { queue, no_ack: false });
        let received = self.recv();
        match received.method() {
            Method::Basic(basic::Method::GetEmpty(_)) => None,
            _ => Some(received.delivery()),
        }
    }

    #[track_caller]
    pub fn qos(&self, channel: u16, prefetch_count: u16, global: bool) {
        self.send(channel, basic::Qos { prefetch_size: 0, prefetch_count, global });
        self.expect(channel, basic::QosOk {});
    }

    #[track_caller]
    pub fn confirm_select(&self, channel: u16) {
        self.send(channel, confirm::Select { nowait: false });
        self.expect(channel, confirm::SelectOk {});
    }

    #[track_caller]
    pub fn tx_select(&self, channel: u16) {
        self.send(channel, tx::Select {});
        self.expect(channel, tx::SelectOk {});
    }

    /// Acknowledges one delivery.
    pub fn ack(&self, channel: u16, delivery_tag: u64) {
        self.send(channel, basic::Ack { delivery_tag, multiple: false });
    }

    /// Acknowledges all deliveries up to this one.
    pub fn ack_until(&self, channel: u16, delivery_tag: u64) {
        self.send(channel, basic::Ack { delivery_tag, multiple: true });
    }

    pub fn nack(&self, channel: u16, delivery_tag: u64, requeue: bool) {
        self.send(channel, basic::Nack { delivery_tag, multiple: false, requeue });
    }

    pub fn reject(&self, channel: u16, delivery_tag: u64, requeue: bool) {
        self.send(channel, basic::Reject { delivery_tag, requeue });
    }

    /// Method, header and bodies in one packet.
    pub fn publish(
        &self,
        channel: u16,
        exchange: &str,
        routing_key: &str,
        properties: &OwnedProperties,
        body: &[u8],
    ) {
        let publish = publish(exchange, routing_key);
        self.publish_as(channel, publish, properties, body);
    }

    pub fn publish_mandatory(&self, channel: u16, exchange: &str, routing_key: &str, body: &[u8]) {
        let publish = basic::Publish { mandatory: true, ..publish(exchange, routing_key) };
        self.publish_as(channel, publish, &text(), body);
    }

    pub fn publish_as(
        &self,
        channel: u16,
        publish: basic::Publish<'_>,
        properties: &OwnedProperties,
        body: &[u8],
    ) {
        let mut bytes = method_frame(channel, publish);
        bytes.extend(header_frame(channel, body.len() as u64, properties));
        for piece in body.chunks(self.payload_max()) {
            write_body(&mut bytes, ChannelNumber(channel), piece);
        }
        self.send_bytes(&bytes);
    }

    /// Messages without properties, by way of the default exchange.
    pub fn publish_texts(&self, channel: u16, queue: &str, bodies: &[&str]) {
        for body in bodies {
            self.publish(channel, "", queue, &text(), body.as_bytes());
        }
    }

    /// Empties a queue with `basic.get`, and says what was in it.
    #[track_caller]
    pub fn drain(&self, channel: u16, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(delivery) = self.get(channel, queue) {
            self.ack(channel, delivery.delivery_tag);
            bodies.push(delivery.text());
        }
        bodies
    }

    /// These come now, in this order, and nothing else.
    #[track_caller]
    pub fn expect_texts(&self, channel: u16, bodies: &[&str]) -> Vec<Delivery> {
        let deliveries: Vec<_> = bodies.iter().map(|_| self.expect_delivery(channel)).collect();
        assert_eq!(deliveries.iter().map(Delivery::text).collect::<Vec<_>>(), bodies);
        self.expect_nothing();
        deliveries
    }

    #[track_caller]
    pub fn expect_delivery(&self, channel: u16) -> Delivery {
        let received = self.recv();
        assert_eq!(received.channel, channel, "{received:?}");
        received.delivery()
    }

    #[track_caller]
    pub fn expect_return(&self, channel: u16) -> Returned {
        let received = self.recv();
        assert_eq!(received.channel, channel, "{received:?}");
        received.returned()
    }

    /// The publisher is told that everything is safe: one number, or all up to it.
    #[track_caller]
    pub fn expect_confirm(&self, channel: u16, delivery_tag: u64, multiple: bool) {
        self.expect(channel, basic::Ack { delivery_tag, multiple });
    }
}

/// What a client says that has nothing more to do on a channel.
pub fn channel_close() -> channel::Close<'static> {
    channel::Close { reply_code: 200, reply_text: "bye", class_id: 0, method_id: 0 }
}

pub fn publish<'a>(exchange: &'a str, routing_key: &'a str) -> basic::Publish<'a> {
    basic::Publish {
        exchange: exchange.as_bytes(),
        routing_key: routing_key.as_bytes(),
        ..basic::Publish::default()
    }
}
