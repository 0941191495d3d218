//! A message as it travels from a publisher to its consumers: immutable, shared, one allocation.
//!
//! The bytes are kept as they stood on the wire, so that a delivery copies instead of encoding:
//!
//! ```text
//! exchange + routing key      content header payload             extra keys   body, when small
//! (two shortstrs, verbatim)   (class, weight, size, properties)  (rarely)
//! ```
//!
//! A small body lies in the same allocation, because a 16-byte message must not pin the 64 KiB buffer
//! it was read into. A large one is kept as slices of those read buffers and is never copied.

use bytes::Bytes;
use smallvec::SmallVec;
use triomphe::ThinArc;

use crate::protocol::{AmqpError, Properties};
use crate::time::Time;

/// Bodies up to this many bytes are copied out of the read buffer.
pub const INLINE_BODY_MAX: usize = 8 * 1024;

/// Bytes of a content header before the property flags: class, weight, body size.
const HEADER_FIXED: usize = 12;

/// Stands in front of extra keys: to have none is not the same as to say nothing of them.
const EXTRA_KEYS: u8 = b'A';

/// What the broker itself reads of a message's properties, parsed once when it is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// delivery-mode 2 (behaviour B6.5).
    pub persistent: bool,
    pub priority: u8,
    /// The `priority` property is set.
    pub has_priority: bool,
    /// The `expiration` property is set; its value is in the properties.
    pub expires: bool,
}

impl Traits {
    pub fn of(properties: &Properties<'_>) -> Self {
        Self {
            persistent: properties.delivery_mode == Some(2),
            priority: properties.priority.unwrap_or(0),
            has_priority: properties.priority.is_some(),
            expires: properties.expiration.is_some(),
        }
    }
}

#[derive(Debug)]
struct Head {
    /// Length of exchange and routing key with their length octets.
    address_len: u16,
    header_len: u32,
    /// Where an inline body begins: behind the header, or behind the extra keys if there are any.
    body_at: u32,
    traits: Traits,
    /// The body when it is large; an inline body follows the header bytes otherwise.
    chunks: Option<Box<[Bytes]>>,
}

/// Cloning shares the message; the last clone frees it.
#[derive(Clone, Debug)]
pub struct Message(ThinArc<Head, u8>);

impl Message {
    /// Puts a message together.
    ///
    /// `address` is exchange and routing key as two shortstrs, `header` a whole content header payload
    /// whose body size says `body.len()`. `scratch` is a buffer to build in; its content is lost.
    pub fn with_inline_body(
        address: &[u8],
        header: &[u8],
        body: &[u8],
        traits: Traits,
        scratch: &mut Vec<u8>,
    ) -> Self {
        scratch.clear();
        scratch.extend_from_slice(address);
        scratch.extend_from_slice(header);
        scratch.extend_from_slice(body);
        Self(ThinArc::from_header_and_slice(Self::head(address, header, traits, None), scratch))
    }

    /// The same for a body that stays where it was read.
    pub fn with_chunks(address: &[u8], header: &[u8], chunks: Vec<Bytes>, traits: Traits) -> Self {
        let head = Self::head(address, header, traits, Some(chunks.into_boxed_slice()));
        let mut bytes = Vec::with_capacity(address.len() + header.len());
        bytes.extend_from_slice(address);
        bytes.extend_from_slice(header);
        Self(ThinArc::from_header_and_slice(head, &bytes))
    }

    fn head(address: &[u8], header: &[u8], traits: Traits, chunks: Option<Box<[Bytes]>>) -> Head {
        // Two shortstrs are at most 512 bytes and a header is at most one frame; were a caller ever
        // to break that, the accessors below would yield empty slices rather than foreign bytes.
        debug_assert!(address.len() <= 512 && header.len() >= HEADER_FIXED + 2);
        Head {
            address_len: u16::try_from(address.len()).unwrap_or(u16::MAX),
            header_len: u32::try_from(header.len()).unwrap_or(u32::MAX),
            body_at: u32::try_from(address.len() + header.len()).unwrap_or(u32::MAX),
            traits,
            chunks,
        }
    }

    /// The same body under another address, with other properties (flags and values) and
    /// [`extra_keys`](Self::extra_keys).
    pub fn readdressed(
        &self,
        address: &[u8],
        properties: &[u8],
        extra_keys: Option<&[u8]>,
        traits: Traits,
    ) -> Self {
        let fixed = self.header().get(..HEADER_FIXED).unwrap_or_default();
        let keys_len = extra_keys.map_or(0, |keys| 1 + keys.len());
        let before_body = address.len() + fixed.len() + properties.len() + keys_len;
        let mut bytes = Vec::with_capacity(before_body + self.inline_body().len());
        for part in [address, fixed, properties] {
            bytes.extend_from_slice(part);
        }
        let header = bytes.get(address.len()..).unwrap_or_default();
        let mut head = Self::head(address, header, traits, self.chunks().map(Box::from));
        if let Some(keys) = extra_keys {
            bytes.push(EXTRA_KEYS);
            bytes.extend_from_slice(keys);
        }
        head.body_at = u32::try_from(before_body).unwrap_or(u32::MAX);
        bytes.extend_from_slice(self.inline_body());
        Self(ThinArc::from_header_and_slice(head, &bytes))
    }

    /// Exchange and routing key as two shortstrs, ready for `basic.deliver`, `get-ok` and `return`.
    #[inline]
    pub fn address(&self) -> &[u8] {
        let end = usize::from(self.0.header.header.address_len);
        self.0.slice.get(..end).unwrap_or_default()
    }

    /// The content header payload as it goes on the wire.
    #[inline]
    pub fn header(&self) -> &[u8] {
        let start = usize::from(self.0.header.header.address_len);
        let end = start + self.0.header.header.header_len as usize;
        self.0.slice.get(start..end).unwrap_or_default()
    }

    /// Property flags and values, as they were published.
    pub fn properties(&self) -> &[u8] {
        self.header().get(HEADER_FIXED..).unwrap_or_default()
    }

    /// The properties, parsed again. They were valid when the message was made.
    pub fn parsed_properties(&self) -> Result<Properties<'_>, AmqpError> {
        Properties::parse(self.properties())
    }

    /// The keys it is routed by beside its routing key, as the content of an array, where its headers
    /// do not say so: BCC keys, which consumers must not see (behaviour B6.3), or none at all for a
    /// dead letter that got a new key and keeps its CC header (behaviour B8.7). `None`: the CC header
    /// says it. Only dead-lettering asks.
    pub fn extra_keys(&self) -> Option<&[u8]> {
        let head = &self.0.header.header;
        let start = usize::from(head.address_len) + head.header_len as usize;
        self.0.slice.get(start..head.body_at as usize)?.strip_prefix(&[EXTRA_KEYS])
    }

    /// The body when it is small, else empty.
    #[inline]
    pub fn inline_body(&self) -> &[u8] {
        self.0.slice.get(self.0.header.header.body_at as usize..).unwrap_or_default()
    }

    /// The body when it is large.
    #[inline]
    pub fn chunks(&self) -> Option<&[Bytes]> {
        self.0.header.header.chunks.as_deref()
    }

    #[inline]
    pub fn body_size(&self) -> usize {
        match self.chunks() {
            None => self.inline_body().len(),
            Some(chunks) => chunks.iter().map(Bytes::len).sum(),
        }
    }

    /// All of the body in one piece; for tests and for tools, not for the data path.
    pub fn body(&self) -> Vec<u8> {
        match self.chunks() {
            None => self.inline_body().to_vec(),
            Some(chunks) => chunks.concat(),
        }
    }

    #[inline]
    pub fn traits(&self) -> Traits {
        self.0.header.header.traits
    }

    /// Bytes that a queue holds for this message, body included.
    #[inline]
    pub fn weight(&self) -> usize {
        let chunks = self.chunks().map_or(0, |chunks| chunks.iter().map(Bytes::len).sum());
        self.0.slice.len() + chunks
    }

    pub fn exchange(&self) -> &[u8] {
        shortstrs(self.address()).0
    }

    pub fn routing_key(&self) -> &[u8] {
        shortstrs(self.address()).1
    }
}

/// Splits an address into exchange and routing key.
pub fn shortstrs(address: &[u8]) -> (&[u8], &[u8]) {
    let split =
        |bytes: &'_ [u8]| -> Option<usize> { bytes.first().map(|len| 1 + usize::from(*len)) };
    let first = split(address).unwrap_or(0);
    let exchange = address.get(1..first).unwrap_or_default();
    let rest = address.get(first..).unwrap_or_default();
    let second = split(rest).unwrap_or(0);
    (exchange, rest.get(1..second).unwrap_or_default())
}

/// Writes exchange and routing key as an address. Both are at most 255 bytes (behaviour B1.10).
pub fn write_address(out: &mut Vec<u8>, exchange: &[u8], routing_key: &[u8]) {
    for text in [exchange, routing_key] {
        let text = text.get(..255).unwrap_or(text);
        out.push(text.len() as u8);
        out.extend_from_slice(text);
    }
}

/// Where a message stands in its queue: queues number what they take in, from 1, without gaps to the
/// eye of the publisher. A requeued message returns to its position, or gets a new one where it goes to
/// the tail (behaviour B6.13).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// Of a message that is in no queue.
    pub const NOWHERE: Self = Self(0);
}

/// Positions of one queue, as ranges: what is consumed in order is one range, however long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(SmallVec<[(Position, Position); 1]>);

impl Positions {
    /// Adds a position; cheap and compact when positions come in order.
    #[inline]
    pub fn push(&mut self, position: Position) {
        match self.0.last_mut() {
            Some((_, last)) if last.0 + 1 == position.0 => *last = position,
            _ => self.0.push((position, position)),
        }
    }

    /// Adds a range that begins behind all others, or at least not in one.
    pub fn add(&mut self, first: Position, last: Position) {
        self.0.push((first, last));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// First and last position of each range.
    pub fn iter(&self) -> impl Iterator<Item = (Position, Position)> {
        self.0.iter().copied()
    }
}

impl FromIterator<Position> for Positions {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Self {
        let mut ranges = Self::default();
        positions.into_iter().for_each(|position| ranges.push(position));
        ranges
    }
}

/// A message in one queue, or on its way from there to a consumer and maybe back.
#[derive(Clone, Debug)]
pub struct Queued {
    pub message: Message,
    pub position: Position,
    /// When it expires in this queue; [`Time::NEVER`] mostly. A requeue does not change it.
    pub deadline: Time,
    /// It may have been delivered before (behaviour B6.14).
    pub redelivered: bool,
    /// The store knows it: it survives a restart.
    pub kept: bool,
    /// How often it came back from a client (behaviour B13.3).
    pub delivery_count: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(body_size: u64) -> Vec<u8> {
        let mut header = vec![0, 60, 0, 0];
        header.extend_from_slice(&body_size.to_be_bytes());
        header.extend_from_slice(&[0x10, 0, 2]);
        header
    }

    #[test]
    fn parts_come_back_as_they_went_in() {
        let mut address = Vec::new();
        write_address(&mut address, b"logs", b"a.b");
        let message = Message::with_inline_body(
            &address,
            &header(5),
            b"hello",
            Traits::default(),
            &mut Vec::new(),
        );
        assert_eq!(message.address(), b"\x04logs\x03a.b");
        assert_eq!((message.exchange(), message.routing_key()), (&b"logs"[..], &b"a.b"[..]));
        assert_eq!(message.header(), header(5));
        assert_eq!(message.properties(), [0x10, 0, 2]);
        assert_eq!(message.inline_body(), b"hello");
        assert_eq!(message.body_size(), 5);
    }

    #[test]
    fn a_readdressed_message_keeps_its_body_alone() {
        let traits = Traits::default();
        let small =
            Message::with_inline_body(b"\0\x01q", &header(5), b"hello", traits, &mut vec![]);
        assert_eq!(small.extra_keys(), None);
        let body = Bytes::from(vec![7u8; 5]);
        let large = Message::with_chunks(b"\0\x01q", &header(5), vec![body], traits);
        let persistent = Traits { persistent: true, ..traits };
        for keys in [None, Some(&b""[..]), Some(b"S\0\0\0\x01k")] {
            for before in [&small, &large] {
                let after = before.readdressed(b"\x01x\x02kk", &[0, 0], keys, persistent);
                assert_eq!((after.exchange(), after.routing_key()), (&b"x"[..], &b"kk"[..]));
                assert_eq!(after.properties(), [0, 0]);
                assert_eq!(after.header().get(..12), before.header().get(..12));
                assert_eq!(after.extra_keys(), keys);
                assert_eq!(after.body(), before.body());
                assert_eq!(after.traits(), persistent);
            }
        }
    }

    /// There is one for every message in every queue.
    #[test]
    fn a_queued_message_takes_four_words() {
        assert_eq!(size_of::<Queued>(), 32);
    }

    #[test]
    fn large_bodies_are_shared_not_copied() {
        let body = Bytes::from(vec![7u8; 20_000]);
        let message =
            Message::with_chunks(b"\0\0", &header(20_000), vec![body.clone()], Traits::default());
        assert_eq!(message.chunks().map(|chunks| chunks[0].as_ptr()), Some(body.as_ptr()));
        assert!(message.inline_body().is_empty());
        assert_eq!(message.body_size(), 20_000);
        assert_eq!(message.body(), body);
    }
}
