//! Class `basic`: messages in, messages out, and what became of them.

super::layout::methods! {
    Basic<'a> = 60;

    Qos = 10 { prefetch_size: long, prefetch_count: short } (global)
    QosOk = 11 {}
    Consume<'a> = 20 [short] { queue: shortstr<'a>, consumer_tag: shortstr<'a> }
        (no_local, no_ack, exclusive, nowait) { arguments: table }
    ConsumeOk<'a> = 21 { consumer_tag: shortstr<'a> }
    Cancel<'a> = 30 { consumer_tag: shortstr<'a> } (nowait)
    CancelOk<'a> = 31 { consumer_tag: shortstr<'a> }
    /// `exchange_and_key` shows both names at once, with the length octets in front of them, as
    /// they stood on the wire; a message keeps exactly these bytes. It is not written when
    /// encoding and may be left empty in a publish made by hand.
    Publish<'a> = 40 [short] {
        exchange_and_key: names<'a>, exchange: short_bytes<'a>, routing_key: short_bytes<'a>
    } (mandatory, immediate)
    Return<'a> = 50 {
        reply_code: short, reply_text: shortstr<'a>, exchange: short_bytes<'a>,
        routing_key: short_bytes<'a>
    }
    Deliver<'a> = 60 { consumer_tag: shortstr<'a>, delivery_tag: longlong } (redelivered) {
        exchange: short_bytes<'a>, routing_key: short_bytes<'a>
    }
    Get<'a> = 70 [short] { queue: shortstr<'a> } (no_ack)
    GetOk<'a> = 71 { delivery_tag: longlong } (redelivered) {
        exchange: short_bytes<'a>, routing_key: short_bytes<'a>, message_count: long
    }
    GetEmpty = 72 [shortstr] {}
    Ack = 80 { delivery_tag: longlong } (multiple)
    Reject = 90 { delivery_tag: longlong } (requeue)
    RecoverAsync = 100 {} (requeue)
    Recover = 110 {} (requeue)
    RecoverOk = 111 {}
    /// RabbitMQ's, in both directions: a client's refusal of many, and our refusal of a publish.
    Nack = 120 { delivery_tag: longlong } (multiple, requeue)
}
