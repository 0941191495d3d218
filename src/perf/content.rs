//! The messages that are sent, and the moment that they carry.
//!
//! A message is three pieces copied one behind the other: the publish frame of its routing key and the
//! properties, both encoded once, and a part of one body that is long enough for all. Nothing is
//! allocated for it.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::clock::Moment;
use crate::protocol::frame::{write_body, write_header, write_method};
use crate::protocol::method::basic;
use crate::protocol::wire::take;
use crate::protocol::{
    ChannelNumber, FieldValue, Headers, OwnedProperties, Properties, TableReader,
};

/// Bodies that carry the moment begin so.
const MAGIC: [u8; 4] = *b"LvPf";
/// What a body needs for that.
pub const STAMP_BYTES: usize = MAGIC.len() + size_of::<u64>();
/// The header that carries it otherwise, in nanoseconds since 1970.
const HEADER: &str = "x-leveret-perf-sent";

/// Where a message carries the moment at which it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    Body,
    Header,
    None,
}

/// How large the bodies are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// One after another, and again from the first.
    InTurn(Vec<usize>),
    /// Any of these, each as likely as the next.
    Between(usize, usize),
}

impl Sizes {
    pub fn min(&self) -> usize {
        match self {
            Self::InTurn(sizes) => sizes.iter().copied().min().unwrap_or_default(),
            Self::Between(min, _) => *min,
        }
    }

    pub fn max(&self) -> usize {
        match self {
            Self::InTurn(sizes) => sizes.iter().copied().max().unwrap_or_default(),
            Self::Between(_, max) => *max,
        }
    }
}

/// What one producer sends.
#[derive(Clone, Debug)]
pub struct Content {
    pub exchange: String,
    /// One after another, and again from the first.
    pub routing_keys: Vec<String>,
    pub mandatory: bool,
    pub properties: OwnedProperties,
    pub sizes: Sizes,
    pub stamp: Stamp,
}

/// Writes the messages of one channel.
pub struct Writer {
    channel: ChannelNumber,
    publishes: Vec<Vec<u8>>,
    properties: Vec<u8>,
    stamp: Stamp,
    /// Where in the properties the moment stands, if it stands there.
    stamp_at: usize,
    sizes: Sizes,
    body: Vec<u8>,
    /// The most that fits a body frame.
    payload_max: usize,
    turn: usize,
    random: SmallRng,
}

impl Writer {
    /// Sizes and keys begin at `turn`, so that producers need not do the same.
    pub fn new(content: &Content, channel: ChannelNumber, frame_max: u32, turn: usize) -> Self {
        let publish = |key: &String| {
            let publish = basic::Publish {
                exchange: content.exchange.as_bytes(),
                routing_key: key.as_bytes(),
                mandatory: content.mandatory,
                ..basic::Publish::default()
            };
            let mut frame = Vec::new();
            write_method(&mut frame, channel, &publish.into());
            frame
        };
        let (properties, stamp_at) = encode(&content.properties, content.stamp);
        let mut body = vec![b'.'; content.sizes.max()];
        if let Some(front) = body.first_chunk_mut() {
            *front = MAGIC;
        }
        Self {
            channel,
            publishes: content.routing_keys.iter().map(publish).collect(),
            properties,
            stamp: content.stamp,
            stamp_at,
            sizes: content.sizes.clone(),
            body,
            payload_max: (frame_max as usize).saturating_sub(8).max(1),
            turn,
            random: SmallRng::seed_from_u64(turn as u64),
        }
    }

    /// Appends one message, due at this moment; its body's size comes back.
    pub fn write(&mut self, due: Moment, out: &mut Vec<u8>) -> usize {
        let size = match &self.sizes {
            Sizes::InTurn(sizes) => {
                sizes.get(self.turn % sizes.len().max(1)).copied().unwrap_or_default()
            }
            Sizes::Between(min, max) => self.random.random_range(*min..=*max),
        };
        let octets = due.0.to_be_bytes();
        let place = match self.stamp {
            Stamp::Body => self.body.get_mut(MAGIC.len()..STAMP_BYTES),
            Stamp::Header => self.properties.get_mut(self.stamp_at..self.stamp_at + octets.len()),
            Stamp::None => None,
        };
        if let Some(place) = place {
            place.copy_from_slice(&octets);
        }
        if let Some(publish) = self.publishes.get(self.turn % self.publishes.len().max(1)) {
            out.extend_from_slice(publish);
        }
        write_header(out, self.channel, size as u64, &self.properties);
        let body = self.body.get(..size).unwrap_or(&self.body);
        for payload in body.chunks(self.payload_max) {
            write_body(out, self.channel, payload);
        }
        self.turn = self.turn.wrapping_add(1);
        size
    }
}

/// The encoded properties, and where the moment's octets are among them.
fn encode(properties: &OwnedProperties, stamp: Stamp) -> (Vec<u8>, usize) {
    if stamp != Stamp::Header {
        return (properties.to_bytes(), 0);
    }
    let mut stamped = properties.clone();
    // No other octets can be taken for these: they begin with the name's length.
    let mut entry = vec![HEADER.len() as u8];
    entry.extend_from_slice(HEADER.as_bytes());
    entry.push(b'l');
    let headers = stamped.headers.get_or_insert_with(Headers::default);
    headers.set(HEADER, &FieldValue::I64(0));
    let encoded = stamped.to_bytes();
    let at = encoded.windows(entry.len()).rposition(|part| part == entry);
    (encoded, at.map_or(0, |at| at + entry.len()))
}

/// The moment at the beginning of a body.
pub fn stamp_of_body(body: &[u8]) -> Option<Moment> {
    let (magic, rest) = body.split_first_chunk()?;
    let (octets, _) = rest.split_first_chunk()?;
    (*magic == MAGIC).then(|| Moment(u64::from_be_bytes(*octets)))
}

/// The moment among the properties of a content header.
pub fn stamp_of_properties(properties: &[u8]) -> Option<Moment> {
    // Most messages have no headers: that is in the first two octets.
    let (_, flags) = take::short(properties).ok()?;
    if flags & 1 << 13 == 0 {
        return None;
    }
    let properties = Properties::parse(properties).ok()?;
    let value = TableReader::new(properties.headers?).find(HEADER.as_bytes())?;
    let octets = (value.tag == b'l').then_some(value.bytes)?.first_chunk()?;
    Some(Moment(u64::from_be_bytes(*octets)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::frame::parse_frame;
    use crate::protocol::{ContentHeader, FieldTable, Frame, FrameKind, Method};

    const FRAME_MAX: u32 = 4096;

    fn content(stamp: Stamp, sizes: Sizes) -> Content {
        Content {
            exchange: "x".to_owned(),
            routing_keys: vec!["a".to_owned(), "bc".to_owned()],
            mandatory: true,
            properties: OwnedProperties { delivery_mode: Some(2), ..OwnedProperties::default() },
            sizes,
            stamp,
        }
    }

    /// Key, properties and body frames of each message.
    fn read(mut input: &[u8]) -> Vec<(String, Vec<u8>, Vec<Vec<u8>>)> {
        let mut messages = Vec::new();
        let mut missing = 0;
        while let Some((frame, rest)) = parse_frame(input, FRAME_MAX - 8).unwrap() {
            let Frame { kind, channel, payload } = frame;
            assert_eq!(channel, ChannelNumber(3));
            match kind {
                FrameKind::Method => {
                    assert_eq!(missing, 0);
                    let Method::Basic(basic::Method::Publish(publish)) =
                        Method::decode(payload).unwrap()
                    else {
                        panic!("not a publish")
                    };
                    assert_eq!((publish.exchange, publish.mandatory), (&b"x"[..], true));
                    let key = String::from_utf8(publish.routing_key.to_vec()).unwrap();
                    messages.push((key, Vec::new(), Vec::new()));
                }
                FrameKind::Header => {
                    let header = ContentHeader::parse(payload).unwrap();
                    missing = header.body_size as usize;
                    messages.last_mut().unwrap().1 = header.properties.to_vec();
                }
                FrameKind::Body => {
                    missing -= payload.len();
                    messages.last_mut().unwrap().2.push(payload.to_vec());
                }
                FrameKind::Heartbeat => panic!("a heartbeat"),
            }
            input = rest;
        }
        assert_eq!((input.len(), missing), (0, 0));
        messages
    }

    fn write(content: &Content, times: u64) -> Vec<u8> {
        let mut writer = Writer::new(content, ChannelNumber(3), FRAME_MAX, 0);
        let mut out = Vec::new();
        for number in 0..times {
            writer.write(Moment(1_000_000 + number), &mut out);
        }
        out
    }

    #[test]
    fn keys_and_sizes_take_turns_and_bodies_carry_the_moment() {
        let sizes = Sizes::InTurn(vec![12, 4088, 4089]);
        let messages = read(&write(&content(Stamp::Body, sizes), 4));
        let shape: Vec<(&str, Vec<usize>)> = messages
            .iter()
            .map(|(key, _, body)| (key.as_str(), body.iter().map(Vec::len).collect()))
            .collect();
        let expected =
            [("a", vec![12]), ("bc", vec![4088]), ("a", vec![4088, 1]), ("bc", vec![12])];
        assert_eq!(shape, expected);
        for ((_, properties, body), number) in messages.iter().zip(0..) {
            assert_eq!(stamp_of_body(&body[0]), Some(Moment(1_000_000 + number)));
            assert_eq!(properties, &[0x10, 0, 2]);
            assert_eq!(stamp_of_properties(properties), None);
        }
    }

    #[test]
    fn headers_carry_the_moment_of_small_bodies() {
        let mut content = content(Stamp::Header, Sizes::InTurn(vec![0, 5]));
        let others: FieldTable = [("x-leveret-perf-sen", 1), ("z", 2)].into_iter().collect();
        content.properties.headers = Some(Headers::from(&others));
        let messages = read(&write(&content, 2));
        for ((_, properties, body), number) in messages.iter().zip(0..) {
            assert_eq!(body.concat().len(), 5 * number);
            let moment = Moment(1_000_000 + number as u64);
            assert_eq!(stamp_of_properties(properties), Some(moment));
            let parsed = Properties::parse(properties).unwrap();
            assert_eq!(parsed.delivery_mode, Some(2));
            assert_eq!(TableReader::new(parsed.headers.unwrap()).count(), 3);
        }
    }

    #[test]
    fn random_sizes_stay_between_their_ends() {
        let messages = read(&write(&content(Stamp::None, Sizes::Between(3, 6)), 200));
        let sizes: std::collections::BTreeSet<usize> =
            messages.iter().map(|(_, _, body)| body.concat().len()).collect();
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
    }

    #[test]
    fn what_carries_no_moment_is_seen() {
        for body in [&b""[..], b"LvPf", b"LvPf1234567", b"hello, I am twelve"] {
            assert_eq!(stamp_of_body(body), None);
        }
        assert_eq!(stamp_of_properties(&[]), None);
        assert_eq!(stamp_of_properties(&[0x20, 0, 0, 0, 0, 9]), None);
    }
}
