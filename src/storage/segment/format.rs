//! What a segment file looks like. Little endian.
//!
//! ```text
//! header   magic 8 | CRC-32C of the rest of the header u32 | version u32
//!          number u64 | queue u64 | first position u64 | last position u64
//!          messages u32 | kept over a restart u32 | their body bytes u64 | those with a deadline u32
//!          flags u32 (1: a stream's) | when the first message came u64 | when the last one came u64
//!          length of what follows u64
//! message  length u32 | CRC-32C of the rest u32
//!          position u64 | deadline u64 | flags u8 | deliveries u32
//!          lengths: address u16 | header u32 | extra keys u32
//!          address | header | extra keys | body
//! ```
//!
//! Every message has a checksum of its own, so that one flipped bit costs one message.

use crate::message::{Message, Position, Queued};
use crate::storage::journal::message_of;
use crate::time::Time;

use super::{Figures, Owner, Segment, Span};
use crate::storage::QueueId;

const MAGIC: [u8; 8] = *b"LVRTSEGM";
pub const VERSION: u32 = 1;
pub const HEADER: usize = 96;
/// Length and checksum of a message.
const FRAME: usize = 8;
/// What of a message stands before its address.
const FIXED: usize = 8 + 8 + 1 + 4 + 2 + 4 + 4;

const REDELIVERED: u8 = 1;
const HAS_EXTRA_KEYS: u8 = 2;
const KEPT: u8 = 4;

/// In the header: the deadlines say when messages came.
const IS_STREAM: u32 = 1;

/// What a header says.
#[derive(Debug, PartialEq)]
pub struct Header {
    pub segment: Segment,
    /// Bytes behind the header.
    pub length: u64,
}

/// Why a file is not one of ours, or not whole.
#[derive(Debug, PartialEq)]
pub enum Bad {
    Version(u32),
    Damaged,
}

/// Encodes a whole file. The segment's figures are those of all messages.
pub fn encode<'a>(
    number: u64,
    owner: Owner,
    messages: impl Iterator<Item = &'a Queued>,
    out: &mut Vec<u8>,
) -> Segment {
    out.clear();
    out.resize(HEADER, 0);
    let mut segment = Segment {
        number,
        queue: owner.id(),
        first: Position::NOWHERE,
        last: Position::NOWHERE,
        figures: Figures::default(),
        persistent: 0,
        span: None,
        recovered: false,
    };
    let (mut durable, mut times) = (Figures::default(), None);
    for queued in messages {
        put_message(out, queued);
        if segment.figures.messages == 0 {
            segment.first = queued.position;
        }
        segment.last = queued.position;
        segment.figures.add(queued);
        if owner.keeps(queued) {
            durable.add(queued);
        }
        times = Some((times.map_or(queued.deadline, |(since, _)| since), queued.deadline));
    }
    segment.persistent = durable.messages;
    let length = (out.len() - HEADER) as u64;
    if let (Owner::Stream(_), Some((since, until))) = (owner, times) {
        segment.span = Some(Span { length, since, until });
    }
    let header = header(&segment, durable, length);
    if let Some(place) = out.first_chunk_mut() {
        *place = header;
    }
    segment
}

fn header(segment: &Segment, durable: Figures, length: u64) -> [u8; HEADER] {
    let count = |messages: usize| u32::try_from(messages).unwrap_or(u32::MAX).to_le_bytes();
    let flags = if segment.span.is_some() { IS_STREAM } else { 0 };
    let (since, until) = segment.span.map_or((0, 0), |span| (span.since.0, span.until.0));
    let rest = [
        &VERSION.to_le_bytes()[..],
        &segment.number.to_le_bytes(),
        &segment.queue.map_or(0, |queue| queue.0).to_le_bytes(),
        &segment.first.0.to_le_bytes(),
        &segment.last.0.to_le_bytes(),
        &count(segment.figures.messages),
        &count(durable.messages),
        &(durable.bytes as u64).to_le_bytes(),
        &count(durable.deadlines),
        &flags.to_le_bytes(),
        &since.to_le_bytes(),
        &until.to_le_bytes(),
        &length.to_le_bytes(),
    ]
    .concat();
    let checksum = crc32c::crc32c(&rest).to_le_bytes();
    let whole = [&MAGIC[..], &checksum, &rest].concat();
    let mut header = [0; HEADER];
    header.iter_mut().zip(whole).for_each(|(place, byte)| *place = byte);
    header
}

/// What a message takes in a file.
pub fn message_bytes(message: &Message) -> u64 {
    let marker = usize::from(message.extra_keys().is_some());
    (FRAME + FIXED + message.weight() - marker) as u64
}

fn put_message(out: &mut Vec<u8>, queued: &Queued) {
    let Queued { message, position, deadline, redelivered, kept, delivery_count } = queued;
    let start = out.len();
    let (address, header, extra) = (message.address(), message.header(), message.extra_keys());
    out.reserve(FRAME + FIXED + message.weight());
    out.extend_from_slice(&[0; FRAME]);
    out.extend_from_slice(&position.0.to_le_bytes());
    out.extend_from_slice(&deadline.0.to_le_bytes());
    let extra_flag = extra.map_or(0, |_| HAS_EXTRA_KEYS);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(flag(*redelivered, REDELIVERED) | flag(*kept, KEPT) | extra_flag);
    out.extend_from_slice(&delivery_count.to_le_bytes());
    out.extend_from_slice(&(address.len() as u16).to_le_bytes());
    out.extend_from_slice(&(header.len() as u32).to_le_bytes());
    out.extend_from_slice(&(extra.map_or(0, <[u8]>::len) as u32).to_le_bytes());
    out.extend_from_slice(address);
    out.extend_from_slice(header);
    out.extend_from_slice(extra.unwrap_or_default());
    out.extend_from_slice(message.inline_body());
    for chunk in message.chunks().unwrap_or_default() {
        out.extend_from_slice(chunk);
    }
    let Some((frame, content)) =
        out.get_mut(start..).and_then(|message| message.split_first_chunk_mut::<FRAME>())
    else {
        return;
    };
    let (length, checksum) = (content.len() as u32, crc32c::crc32c(content));
    *frame = (u64::from(length) | u64::from(checksum) << 32).to_le_bytes();
}

/// Reads a header of a file that is `file_length` long.
pub fn decode_header(file: &[u8], file_length: u64) -> Result<Header, Bad> {
    let mut rest = file.get(..HEADER).ok_or(Bad::Damaged)?;
    if take::<8>(&mut rest) != Some(MAGIC) {
        return Err(Bad::Damaged);
    }
    if take(&mut rest).map(u32::from_le_bytes) != Some(crc32c::crc32c(rest)) {
        return Err(Bad::Damaged);
    }
    let version = take(&mut rest).map_or(0, u32::from_le_bytes);
    if version != VERSION {
        return Err(Bad::Version(version));
    }
    let header = fields_of(rest).ok_or(Bad::Damaged)?;
    let whole = header.length.checked_add(HEADER as u64) == Some(file_length);
    whole.then_some(header).ok_or(Bad::Damaged)
}

fn fields_of(mut rest: &[u8]) -> Option<Header> {
    let rest = &mut rest;
    let number = u64::from_le_bytes(take(rest)?);
    let queue = u64::from_le_bytes(take(rest)?);
    let (first, last) = (u64::from_le_bytes(take(rest)?), u64::from_le_bytes(take(rest)?));
    let _messages = u32::from_le_bytes(take(rest)?);
    let persistent = u32::from_le_bytes(take(rest)?) as usize;
    let bytes = usize::try_from(u64::from_le_bytes(take(rest)?)).ok()?;
    let deadlines = u32::from_le_bytes(take(rest)?) as usize;
    let flags = u32::from_le_bytes(take(rest)?);
    let since = Time(u64::from_le_bytes(take(rest)?));
    let until = Time(u64::from_le_bytes(take(rest)?));
    let length = u64::from_le_bytes(take(rest)?);
    let span = (flags & IS_STREAM != 0).then_some(Span { length, since, until });
    let segment = Segment {
        number,
        queue: Some(QueueId(queue)).filter(|_| queue != 0),
        first: Position(first),
        last: Position(last),
        figures: Figures {
            messages: persistent,
            bytes,
            deadlines,
            persistent,
            persistent_bytes: bytes,
        },
        persistent,
        span,
        recovered: true,
    };
    (first <= last).then_some(Header { segment, length })
}

/// What was found in the part of a file that holds messages.
#[derive(Debug, Default)]
pub struct Decoded {
    pub messages: Vec<Queued>,
    /// Parts that could not be read: offset in the file, and bytes.
    pub damage: Vec<(usize, usize)>,
}

/// Reads the messages of a whole file. Behind a damaged one it goes on at the next that is sound.
pub fn decode(file: &[u8], segment: &Segment) -> Decoded {
    let mut decoded = Decoded::default();
    // A count is no reason to take memory: it is as good as the file is long.
    let most = file.len() / (FRAME + FIXED);
    decoded.messages.reserve(segment.figures.messages.min(most));
    let (mut at, mut next, mut scratch) = (HEADER, segment.first, Vec::new());
    let mut damaged_from = None;
    while at < file.len() {
        let rest = file.get(at..).unwrap_or_default();
        let sound = frame_of(rest, next, segment.last)
            .and_then(|content| Some((FRAME + content.len(), message_in(content, &mut scratch)?)));
        let Some((length, queued)) = sound else {
            damaged_from.get_or_insert(at);
            at += 1;
            continue;
        };
        if let Some(from) = damaged_from.take() {
            decoded.damage.push((from, at - from));
        }
        next = Position(queued.position.0.saturating_add(1));
        decoded.messages.push(queued);
        at += length;
    }
    if let Some(from) = damaged_from {
        decoded.damage.push((from, file.len() - from));
    }
    decoded
}

/// What is in the frame that begins here, if one does: of a message between these positions.
fn frame_of(rest: &[u8], first: Position, last: Position) -> Option<&[u8]> {
    let mut fields = rest;
    let length = u32::from_le_bytes(take(&mut fields)?) as usize;
    let checksum = u32::from_le_bytes(take(&mut fields)?);
    let content = fields.get(..length)?;
    // Before the trouble of a checksum, which would be taken at every byte of a damaged place.
    let position = content.first_chunk().map(|bytes| Position(u64::from_le_bytes(*bytes)))?;
    let plausible = length >= FIXED && first <= position && position <= last;
    (plausible && crc32c::crc32c(content) == checksum).then_some(content)
}

fn message_in(mut content: &[u8], scratch: &mut Vec<u8>) -> Option<Queued> {
    let rest = &mut content;
    let position = Position(u64::from_le_bytes(take(rest)?));
    let deadline = Time(u64::from_le_bytes(take(rest)?));
    let [flags] = take(rest)?;
    let delivery_count = u32::from_le_bytes(take(rest)?);
    let address = usize::from(u16::from_le_bytes(take(rest)?));
    let header = u32::from_le_bytes(take(rest)?) as usize;
    let extra = u32::from_le_bytes(take(rest)?) as usize;
    let (address, rest) = rest.split_at_checked(address)?;
    let (header, rest) = rest.split_at_checked(header)?;
    let (extra, body) = rest.split_at_checked(extra)?;
    // What a message needs of these is said in `Message::with_inline_body`.
    if address.len() > 512 || header.len() < 14 {
        return None;
    }
    let extra = (flags & HAS_EXTRA_KEYS != 0).then_some(extra);
    let message: Message = message_of(address, header, extra, body, scratch);
    let redelivered = flags & REDELIVERED != 0;
    let kept = flags & KEPT != 0 || message.traits().persistent;
    Some(Queued { message, position, deadline, redelivered, kept, delivery_count })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*field)
}
