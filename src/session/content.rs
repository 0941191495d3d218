//! Joining method, header and bodies of a publish (behaviour B1.7).
//!
//! Nearly always all of them lie in one read and are handled where they lie; see
//! [`Open::publish_at_once`](super::open::Open). This is the way for the others: what came is kept
//! until the rest is there.

use bytes::Bytes;

use crate::message::INLINE_BODY_MAX;
use crate::protocol::method::basic;
use crate::protocol::{AmqpError, ContentHeader, Frame, FrameKind, MethodId, ReplyCode};

/// No body may be announced larger than this, whatever the configuration says (B1.7).
pub const BODY_SIZE_CAP: u64 = 512 * 1024 * 1024;

/// Pieces of a large body that are not worth a slice of the read buffer each are joined up to this: a
/// client that sends octet by octet must not make each of them an allocation.
const TAIL_MAX: usize = 64 * 1024;

pub const PUBLISH: MethodId = MethodId { class: 60, method: 40 };

/// A publish of which something is still to come.
#[derive(Debug)]
pub struct Assembly {
    pub mandatory: bool,
    pub immediate: bool,
    pub address: Vec<u8>,
    /// The content header's payload; `None` until it is here.
    pub header: Option<Vec<u8>>,
    pub body: BodyParts,
    body_size: u64,
    remaining: u64,
    /// The end of a large body that has come in small pieces so far.
    tail: Vec<u8>,
}

/// The body as far as it has come.
#[derive(Debug)]
pub enum BodyParts {
    Small(Vec<u8>),
    /// Slices of the read buffers, and small pieces joined.
    Large(Vec<Bytes>),
}

impl Assembly {
    pub fn new(publish: &basic::Publish<'_>) -> Self {
        Self {
            mandatory: publish.mandatory,
            immediate: publish.immediate,
            address: publish.exchange_and_key.to_vec(),
            header: None,
            body: BodyParts::Small(Vec::new()),
            body_size: 0,
            remaining: 0,
            tail: Vec::new(),
        }
    }

    /// What the header announced.
    pub fn body_size(&self) -> u64 {
        self.body_size
    }

    /// Takes the next frame. True when the content is complete.
    pub fn add(&mut self, frame: &Frame<'_>, chunk: &Bytes) -> Result<bool, AmqpError> {
        match self.header {
            None => self.add_header(frame),
            Some(_) => self.add_body(frame, chunk),
        }
    }

    fn add_header(&mut self, frame: &Frame<'_>) -> Result<bool, AmqpError> {
        if frame.kind != FrameKind::Header {
            return Err(unexpected(
                "expected content header for class 60, got non content header frame instead",
            ));
        }
        let header = ContentHeader::parse(frame.payload)?;
        check_header(&header)?;
        self.header = Some(frame.payload.to_vec());
        self.body_size = header.body_size;
        self.remaining = header.body_size;
        if header.body_size > INLINE_BODY_MAX as u64 {
            self.body = BodyParts::Large(Vec::new());
        }
        Ok(self.remaining == 0)
    }

    fn add_body(&mut self, frame: &Frame<'_>, chunk: &Bytes) -> Result<bool, AmqpError> {
        if frame.kind != FrameKind::Body {
            return Err(unexpected("expected content body, got non content body frame instead"));
        }
        let size = frame.payload.len() as u64;
        let Some(remaining) = self.remaining.checked_sub(size) else {
            let text = "content body frame exceeds remaining content size";
            return Err(AmqpError::new(ReplyCode::FrameError, text).at(PUBLISH));
        };
        self.remaining = remaining;
        match &mut self.body {
            BodyParts::Small(body) => body.extend_from_slice(frame.payload),
            BodyParts::Large(parts) => {
                let keep_whole = frame.payload.len() >= INLINE_BODY_MAX;
                if !keep_whole {
                    self.tail.extend_from_slice(frame.payload);
                }
                let enough = keep_whole || self.tail.len() >= TAIL_MAX || remaining == 0;
                if enough && !self.tail.is_empty() {
                    parts.push(std::mem::take(&mut self.tail).into());
                }
                if keep_whole {
                    parts.push(chunk.slice_ref(frame.payload));
                }
            }
        }
        Ok(remaining == 0)
    }
}

/// What a header must say (B1.7).
pub fn check_header(header: &ContentHeader<'_>) -> Result<(), AmqpError> {
    if header.weight != 0 {
        return Err(unexpected(
            "expected content header for class 60, got non content header frame instead",
        ));
    }
    if header.class != PUBLISH.class {
        let class = header.class;
        return Err(unexpected(&format!(
            "expected content header for class 60, got one for class {class} instead"
        )));
    }
    if header.body_size > BODY_SIZE_CAP {
        let text = format!(
            "content body size {} exceeds maximum allowed size {BODY_SIZE_CAP}",
            header.body_size
        );
        return Err(AmqpError::new(ReplyCode::FrameError, text).at(PUBLISH));
    }
    Ok(())
}

#[cold]
fn unexpected(text: &str) -> AmqpError {
    AmqpError::new(ReplyCode::UnexpectedFrame, text).at(PUBLISH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ChannelNumber;

    fn frame(kind: FrameKind, payload: &[u8]) -> Frame<'_> {
        Frame { kind, channel: ChannelNumber(1), payload }
    }

    /// The parts that a large body is kept in when it comes in pieces of these sizes.
    fn parts(pieces: &[usize]) -> Vec<usize> {
        let size: usize = pieces.iter().sum();
        let body: Vec<u8> = (0..size).map(|n| n as u8).collect();
        let mut header = vec![0, 60, 0, 0];
        header.extend((size as u64).to_be_bytes());
        header.extend([0, 0]);
        let mut assembly = Assembly::new(&basic::Publish::default());
        assert_eq!(assembly.add(&frame(FrameKind::Header, &header), &Bytes::new()), Ok(false));
        let mut rest = &body[..];
        for (index, piece) in pieces.iter().enumerate() {
            let chunk = Bytes::copy_from_slice(&rest[..*piece]);
            rest = &rest[*piece..];
            let complete = assembly.add(&frame(FrameKind::Body, &chunk), &chunk);
            assert_eq!(complete, Ok(index + 1 == pieces.len()));
        }
        let BodyParts::Large(parts) = assembly.body else { panic!("a small body") };
        assert!(parts.concat() == body);
        parts.iter().map(Bytes::len).collect()
    }

    #[test]
    fn large_pieces_are_kept_as_they_came_and_small_ones_are_joined() {
        assert_eq!(parts(&[20_000, 9000]), [20_000, 9000]);
        assert_eq!(parts(&[20_000, 100, 0, 100, 9000, 7]), [20_000, 200, 9000, 7]);
        assert_eq!(parts(&[4088; 20]), [17 * 4088, 3 * 4088]);
        assert_eq!(parts(&[1; 200_000]), [TAIL_MAX, TAIL_MAX, TAIL_MAX, 200_000 - 3 * TAIL_MAX]);
    }
}
