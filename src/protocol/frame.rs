//! What a frame is: `type:u8 channel:u16 size:u32 payload[size] end:u8` (behaviour B1.1–B1.4).
//!
//! Reading happens in two steps so that a read buffer can be frozen between them: [`whole_frames`]
//! says how much of it can be parsed, [`parse_frame`] takes one frame after another off that part
//! without copying. Both ask the same question of the same bytes (`measure`), so they cannot
//! disagree about where a frame ends.

use super::method::Method;
use super::reply::{AmqpError, Octets, ReplyCode};
use super::wire::put;

/// A channel's number on its connection; 0 is the connection itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ChannelNumber(pub u16);

impl ChannelNumber {
    /// The connection's own.
    pub const CONNECTION: Self = Self(0);
}

impl std::fmt::Display for ChannelNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a client sends first, and what we answer when it sent anything else.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";
/// The header of the 0-9 specification, from which 0-9-1 differs in nothing a client notices.
const PROTOCOL_HEADER_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";
/// What surrounds a payload: seven octets before, the end octet after.
pub const FRAME_OVERHEAD: usize = FRAME_HEAD + 1;
const FRAME_HEAD: usize = 7;
pub const FRAME_END: u8 = 0xCE;
pub const FRAME_SIZE_MIN: u32 = 4096;
/// The limit before tune-ok: roomy enough for a token as password (B1.4).
pub const FRAME_SIZE_BEFORE_TUNE: u32 = 8192;

/// What the first bytes of a connection say (B1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Greeting {
    /// Fewer than eight bytes: an end here is somebody's health check, not an error.
    Incomplete,
    Accepted,
    Unsupported,
}

pub fn greeting(input: &[u8]) -> Greeting {
    match input.first_chunk() {
        None => Greeting::Incomplete,
        Some(&(PROTOCOL_HEADER | PROTOCOL_HEADER_0_9)) => Greeting::Accepted,
        Some(_) => Greeting::Unsupported,
    }
}

#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FrameKind {
    Method = 1,
    Header = 2,
    Body = 3,
    Heartbeat = 8,
}

/// One frame, its payload still in the read buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    pub kind: FrameKind,
    pub channel: ChannelNumber,
    pub payload: &'a [u8],
}

/// How much of the input can be parsed now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ready {
    /// Bytes at the front to hand to [`parse_frame`]: whole frames, and everything as soon as a
    /// malformed one begins, so that the parser reports it after the good ones before it.
    pub whole: usize,
    /// Total bytes the incomplete frame behind them needs, 0 while unknown.
    pub wanted: usize,
}

/// Finds the end of the last whole frame. A payload may be `frame_max` bytes long, eight more
/// than it should be: RabbitMQ tolerates that, and several clients rely on it (B1.4).
pub fn whole_frames(input: &[u8], frame_max: u32) -> Ready {
    let mut rest = input;
    loop {
        match measure(rest, frame_max) {
            Measured::Whole { rest: behind, .. } => rest = behind,
            Measured::Incomplete { wanted } => {
                return Ready { whole: input.len() - rest.len(), wanted };
            }
            Measured::TooLarge { .. } | Measured::BadEnd { .. } => {
                return Ready { whole: input.len(), wanted: 0 };
            }
        }
    }
}

/// The same for the first frame alone: what comes behind it is under other rules.
pub fn first_frame(input: &[u8], frame_max: u32) -> Ready {
    match measure(input, frame_max) {
        Measured::Whole { rest, .. } => Ready { whole: input.len() - rest.len(), wanted: 0 },
        Measured::Incomplete { wanted } => Ready { whole: 0, wanted },
        Measured::TooLarge { .. } | Measured::BadEnd { .. } => {
            Ready { whole: input.len(), wanted: 0 }
        }
    }
}

/// Takes one frame off the front; `None` when it is not there as a whole.
#[inline]
pub fn parse_frame(input: &[u8], frame_max: u32) -> Result<Option<(Frame<'_>, &[u8])>, AmqpError> {
    let (head, payload, rest) = match measure(input, frame_max) {
        Measured::Whole { head, payload, rest } => (head, payload, rest),
        Measured::Incomplete { .. } => return Ok(None),
        Measured::TooLarge { head } => return Err(too_large(head, frame_max)),
        Measured::BadEnd { head, payload, end } => return Err(bad_end(head, payload, end)),
    };
    // B1.3. A content header has at least class, weight and size, a method its two numbers.
    let kind = match (head.kind, payload.len()) {
        (1, 4..) => FrameKind::Method,
        (2, 12..) => FrameKind::Header,
        (3, _) => FrameKind::Body,
        (8, 0) if head.channel == 0 => FrameKind::Heartbeat,
        (8, 0) => return Err(stray_heartbeat()),
        _ => return Err(unknown_frame(head, payload)),
    };
    Ok(Some((Frame { kind, channel: ChannelNumber(head.channel), payload }, rest)))
}

#[derive(Clone, Copy)]
struct Head {
    kind: u8,
    channel: u16,
    size: u32,
}

enum Measured<'a> {
    Whole { head: Head, payload: &'a [u8], rest: &'a [u8] },
    Incomplete { wanted: usize },
    TooLarge { head: Head },
    BadEnd { head: Head, payload: &'a [u8], end: u8 },
}

/// Finds the borders of the frame at the front. The size is judged as soon as it is known, before
/// anybody waits for so many bytes or makes room for them.
#[inline]
fn measure(input: &[u8], frame_max: u32) -> Measured<'_> {
    let Some((&[kind, c1, c0, s3, s2, s1, s0], behind)) = input.split_first_chunk::<FRAME_HEAD>()
    else {
        return Measured::Incomplete { wanted: 0 };
    };
    let size = u32::from_be_bytes([s3, s2, s1, s0]);
    let head = Head { kind, channel: u16::from_be_bytes([c1, c0]), size };
    if size > frame_max {
        return Measured::TooLarge { head };
    }
    let length = size as usize;
    match behind.split_at_checked(length) {
        Some((payload, [FRAME_END, rest @ ..])) => Measured::Whole { head, payload, rest },
        Some((payload, [end, ..])) => Measured::BadEnd { head, payload, end: *end },
        _ => Measured::Incomplete { wanted: length.saturating_add(FRAME_OVERHEAD) },
    }
}

#[cold]
fn too_large(head: Head, frame_max: u32) -> AmqpError {
    let allowed = frame_max.saturating_sub(FRAME_OVERHEAD as u32);
    let Head { kind, size, .. } = head;
    let text = format!("type {kind}, all octets = <<>>: {{frame_too_large,{{{size},{allowed}}}}}");
    AmqpError::new(ReplyCode::FrameError, text).stop_reading()
}

#[cold]
fn bad_end(head: Head, payload: &[u8], end: u8) -> AmqpError {
    let why = format!("{{invalid_frame_end_marker,{end}}}");
    AmqpError::new(ReplyCode::FrameError, describe(head, payload, &why)).stop_reading()
}

#[cold]
fn unknown_frame(head: Head, payload: &[u8]) -> AmqpError {
    AmqpError::new(ReplyCode::FrameError, describe(head, payload, "unknown_frame"))
}

#[cold]
fn stray_heartbeat() -> AmqpError {
    AmqpError::new(ReplyCode::UnexpectedFrame, "type 8, all octets = <<>>")
}

fn describe(head: Head, payload: &[u8], why: &str) -> String {
    let octets = Octets(payload);
    format!("type {}, {} octets = {octets}: {why}", head.kind, octets.extent())
}

/// Writes a whole frame with `method` in it.
pub fn write_method(out: &mut Vec<u8>, channel: ChannelNumber, method: &Method<'_>) {
    let start = begin_frame(out, FrameKind::Method, channel);
    method.encode(out);
    end_frame(out, start);
}

/// Writes a content header. `properties_encoded` are flags and values as on the wire.
#[inline]
pub fn write_header(
    out: &mut Vec<u8>,
    channel: ChannelNumber,
    body_size: u64,
    properties_encoded: &[u8],
) {
    const CLASS_BASIC_WEIGHT_0: [u8; 4] = [0, 60, 0, 0];
    let size = CLASS_BASIC_WEIGHT_0.len() + size_of::<u64>() + properties_encoded.len();
    out.reserve(size + FRAME_OVERHEAD);
    write_head(out, FrameKind::Header, channel, size);
    out.extend_from_slice(&CLASS_BASIC_WEIGHT_0);
    put::longlong(out, body_size);
    out.extend_from_slice(properties_encoded);
    out.push(FRAME_END);
}

/// Writes one body frame. The caller splits bodies to fit the peer's frame_max, and writes no
/// frame at all for an empty one (B1.4).
#[inline]
pub fn write_body(out: &mut Vec<u8>, channel: ChannelNumber, payload: &[u8]) {
    out.reserve(payload.len() + FRAME_OVERHEAD);
    write_head(out, FrameKind::Body, channel, payload.len());
    out.extend_from_slice(payload);
    out.push(FRAME_END);
}

pub fn write_heartbeat(out: &mut Vec<u8>) {
    write_head(out, FrameKind::Heartbeat, ChannelNumber::CONNECTION, 0);
    out.push(FRAME_END);
}

/// Writes a frame's seven first octets, for a payload whose size is known.
#[inline]
pub fn write_head(out: &mut Vec<u8>, kind: FrameKind, channel: ChannelNumber, size: usize) {
    let [c1, c0] = channel.0.to_be_bytes();
    let [s3, s2, s1, s0] = u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&[kind as u8, c1, c0, s3, s2, s1, s0]);
}

/// Starts a frame of yet unknown size; give what this returns to [`end_frame`].
#[inline]
pub fn begin_frame(out: &mut Vec<u8>, kind: FrameKind, channel: ChannelNumber) -> usize {
    let start = out.len();
    write_head(out, kind, channel, 0);
    start
}

/// Fills in the size of the frame begun at `start` and ends it.
#[inline]
pub fn end_frame(out: &mut Vec<u8>, start: usize) {
    let size = out.len().saturating_sub(start + FRAME_HEAD);
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start + 3..start + FRAME_HEAD) {
        place.copy_from_slice(&size.to_be_bytes());
    }
    out.push(FRAME_END);
}

#[cfg(test)]
mod tests;
