//! What the codec costs per message: one read full of small publishes, one write full of small
//! deliveries. Both are measured as a session does them, without what a session does besides.
//!
//! `cargo bench --bench codec`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use leveret::protocol::frame::{
    begin_frame, end_frame, parse_frame, whole_frames, write_body, write_header, write_method,
};
use leveret::protocol::method::basic;
use leveret::protocol::{
    ChannelNumber, ContentHeader, FieldTable, FrameKind, Method, OwnedProperties, Properties,
};

const READ_BYTES: usize = 64 * 1024;
const FRAME_MAX: u32 = 131_072;
const CHANNEL: ChannelNumber = ChannelNumber(1);
const BODY: &[u8; 16] = b"sixteen octets!!";
const EXCHANGE: &[u8] = b"events";
const ROUTING_KEY: &[u8] = b"orders.created";

/// As many publishes as one read holds, and their number.
fn publishes(properties: &OwnedProperties) -> (Vec<u8>, u64) {
    let publish = basic::Publish {
        exchange: EXCHANGE,
        routing_key: ROUTING_KEY,
        ..basic::Publish::default()
    };
    let mut one = Vec::new();
    write_method(&mut one, CHANNEL, &publish.into());
    write_header(&mut one, CHANNEL, BODY.len() as u64, &properties.to_bytes());
    write_body(&mut one, CHANNEL, BODY);
    let count = READ_BYTES / one.len();
    (one.repeat(count), count as u64)
}

/// Splits a read into frames and reads everything in them; returns the bytes of the messages.
fn decode(input: &[u8]) -> usize {
    let ready = whole_frames(input, FRAME_MAX);
    let mut rest = input.get(..ready.whole).unwrap_or_default();
    let mut bytes = 0;
    while let Ok(Some((frame, behind))) = parse_frame(rest, FRAME_MAX) {
        rest = behind;
        bytes += match frame.kind {
            FrameKind::Method => match Method::decode(frame.payload) {
                Ok(Method::Basic(basic::Method::Publish(publish))) => {
                    black_box(&publish).exchange_and_key.len()
                }
                _ => 0,
            },
            FrameKind::Header => {
                let header = ContentHeader::parse(frame.payload).expect("a header of ours");
                let properties = Properties::parse(header.properties).expect("ours too");
                looked_at(&properties)
            }
            FrameKind::Body => frame.payload.len(),
            FrameKind::Heartbeat => 0,
        };
    }
    bytes
}

/// Those properties the broker itself acts upon.
fn looked_at(properties: &Properties<'_>) -> usize {
    usize::from(black_box(properties.delivery_mode) == Some(2))
        + usize::from(black_box(properties.priority).unwrap_or_default())
        + black_box(properties.headers).map_or(0, <[u8]>::len)
        + black_box(properties.expiration).map_or(0, <[u8]>::len)
        + black_box(properties.reply_to).map_or(0, <[u8]>::len)
        + black_box(properties.user_id).map_or(0, <[u8]>::len)
}

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode 64 KiB of publishes");
    let transient = OwnedProperties::default();
    let persistent = OwnedProperties { delivery_mode: Some(2), ..OwnedProperties::default() };
    let headers: FieldTable =
        [("tenant", "acme"), ("trace", "0af7651916cd43dd8448eb211c80319c")].into_iter().collect();
    let rich = OwnedProperties {
        content_type: Some("application/json".into()),
        headers: Some((&headers).into()),
        message_id: Some("6f1ed002ab5595859014ebf0951522d9".into()),
        timestamp: Some(1_700_000_000),
        ..persistent.clone()
    };
    for (name, properties) in
        [("no properties", transient), ("delivery-mode", persistent), ("headers", rich)]
    {
        let (input, count) = publishes(&properties);
        assert!(decode(&input) > 0);
        group.throughput(Throughput::Elements(count));
        group.bench_function(name, |b| b.iter(|| decode(black_box(&input))));
    }
    group.throughput(Throughput::Elements(READ_BYTES as u64 / 21));
    let mut acks = Vec::new();
    for delivery_tag in 0..READ_BYTES as u64 / 21 {
        let ack = basic::Ack { delivery_tag, multiple: false };
        write_method(&mut acks, CHANNEL, &ack.into());
    }
    group.bench_function("acks instead", |b| b.iter(|| decode(black_box(&acks))));
    group.finish();
}

fn writing(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode 500 deliveries");
    let properties = OwnedProperties { delivery_mode: Some(2), ..OwnedProperties::default() };
    let properties = properties.to_bytes();
    let mut out = Vec::with_capacity(READ_BYTES * 2);
    group.throughput(Throughput::Elements(500));
    group.bench_function("through Method", |b| {
        b.iter(|| {
            out.clear();
            for delivery_tag in 0..500 {
                let deliver = basic::Deliver {
                    consumer_tag: "ctag1.0",
                    delivery_tag,
                    redelivered: false,
                    exchange: EXCHANGE,
                    routing_key: ROUTING_KEY,
                };
                write_method(&mut out, CHANNEL, &deliver.into());
                write_header(&mut out, CHANNEL, BODY.len() as u64, &properties);
                write_body(&mut out, CHANNEL, BODY);
            }
            black_box(&out).len()
        });
    });
    let mut exchange_and_key = Vec::new();
    for name in [EXCHANGE, ROUTING_KEY] {
        exchange_and_key.push(name.len() as u8);
        exchange_and_key.extend_from_slice(name);
    }
    group.bench_function("by hand", |b| {
        b.iter(|| {
            out.clear();
            for delivery_tag in 0..500_u64 {
                let start = begin_frame(&mut out, FrameKind::Method, CHANNEL);
                out.extend_from_slice(&[0, 60, 0, 60, 7]);
                out.extend_from_slice(b"ctag1.0");
                out.extend_from_slice(&delivery_tag.to_be_bytes());
                out.push(0);
                out.extend_from_slice(&exchange_and_key);
                end_frame(&mut out, start);
                write_header(&mut out, CHANNEL, BODY.len() as u64, &properties);
                write_body(&mut out, CHANNEL, BODY);
            }
            black_box(&out).len()
        });
    });
    group.finish();
}

criterion_group!(codec, reading, writing);
criterion_main!(codec);
