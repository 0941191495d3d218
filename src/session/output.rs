//! Bytes on their way to the client.
//!
//! Frames are appended to one growing buffer. A large body is not copied into it: the buffer is closed
//! as a segment, the body's slice becomes the next one, and the socket takes them all with one
//! vectored write.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::message::Message;
use crate::protocol::frame::{FRAME_END, FRAME_OVERHEAD, write_body, write_head, write_method};
use crate::protocol::{ChannelNumber, FrameKind, Method};

/// Slices of a large body shorter than this are copied: a segment of its own costs more.
const SEGMENT_MIN: usize = 2048;

/// A buffer larger than this is given back when it has been written out and nothing follows.
const KEEP_MAX: usize = 4096;

#[derive(Debug, Default)]
pub struct Output {
    segments: VecDeque<Bytes>,
    /// Bytes in `segments`.
    segmented: usize,
    tail: Vec<u8>,
    /// How much of `tail` is written already; 0 while there are segments before it.
    head: usize,
    /// Bytes the socket took since the start.
    written: u64,
}

impl Output {
    /// Bytes that wait for the socket.
    #[inline]
    pub fn len(&self) -> usize {
        self.segmented + self.tail.len() - self.head
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes the socket took since the start.
    pub fn written(&self) -> u64 {
        self.written
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    pub fn method(&mut self, channel: ChannelNumber, method: &Method<'_>) {
        write_method(&mut self.tail, channel, method);
    }

    /// A method frame whose payload is encoded already.
    pub fn encoded_method(&mut self, channel: ChannelNumber, payload: &[u8]) {
        write_head(&mut self.tail, FrameKind::Method, channel, payload.len());
        self.tail.extend_from_slice(payload);
        self.tail.push(FRAME_END);
    }

    pub fn heartbeat(&mut self) {
        crate::protocol::frame::write_heartbeat(&mut self.tail);
    }

    /// A method that carries content, its payload given in pieces to be put together, with the
    /// message's header and body. Nothing but a large body's slices is left where it is.
    #[inline]
    pub fn content(
        &mut self,
        channel: ChannelNumber,
        frame_max: u32,
        method: [&[u8]; 4],
        message: &Message,
    ) {
        self.content_with(channel, frame_max, method, message.header(), message);
    }

    /// The same with a header of other properties than the message's own.
    #[inline]
    pub fn content_with(
        &mut self,
        channel: ChannelNumber,
        frame_max: u32,
        method: [&[u8]; 4],
        header: &[u8],
        message: &Message,
    ) {
        let method_len: usize = method.iter().map(|piece| piece.len()).sum();
        let body = message.inline_body();
        self.tail.reserve(method_len + header.len() + body.len() + 3 * FRAME_OVERHEAD);
        write_head(&mut self.tail, FrameKind::Method, channel, method_len);
        for piece in method {
            self.tail.extend_from_slice(piece);
        }
        self.tail.push(FRAME_END);
        write_head(&mut self.tail, FrameKind::Header, channel, header.len());
        self.tail.extend_from_slice(header);
        self.tail.push(FRAME_END);
        let payload_max = (frame_max as usize).saturating_sub(FRAME_OVERHEAD).max(1);
        match message.chunks() {
            None => {
                for payload in body.chunks(payload_max) {
                    write_body(&mut self.tail, channel, payload);
                }
            }
            Some(chunks) => self.body_segments(channel, payload_max, chunks),
        }
    }

    /// Every frame but the last is full, wherever the chunks end: there are clients that reckon from
    /// the size how many frames there will be.
    fn body_segments(&mut self, channel: ChannelNumber, payload_max: usize, chunks: &[Bytes]) {
        let mut rest: usize = chunks.iter().map(Bytes::len).sum();
        let mut room = 0;
        for chunk in chunks {
            let mut chunk = chunk.clone();
            while !chunk.is_empty() {
                if room == 0 {
                    room = rest.min(payload_max);
                    write_head(&mut self.tail, FrameKind::Body, channel, room);
                }
                let piece = chunk.split_to(chunk.len().min(room));
                room -= piece.len();
                rest -= piece.len();
                if piece.len() < SEGMENT_MIN {
                    self.tail.extend_from_slice(&piece);
                } else {
                    self.segment(piece);
                }
                if room == 0 {
                    self.tail.push(FRAME_END);
                }
            }
        }
    }

    fn segment(&mut self, bytes: Bytes) {
        let mut tail = Bytes::from(std::mem::replace(&mut self.tail, Vec::with_capacity(256)));
        tail.advance(std::mem::take(&mut self.head));
        self.segmented += tail.len() + bytes.len();
        self.segments.push_back(tail);
        self.segments.push_back(bytes);
    }

    /// Fills `slices` with what to write next and says how many it used.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = self.tail.get(self.head..).unwrap_or_default();
        let all = self.segments.iter().map(|segment| &segment[..]).chain([tail]);
        let mut used = 0;
        for (slice, bytes) in slices.iter_mut().zip(all.filter(|bytes| !bytes.is_empty())) {
            *slice = IoSlice::new(bytes);
            used += 1;
        }
        used
    }

    /// The socket took `count` bytes.
    pub fn advance(&mut self, mut count: usize) {
        self.written += count as u64;
        while let Some(segment) = self.segments.front_mut() {
            let taken = segment.len().min(count);
            segment.advance(taken);
            self.segmented -= taken;
            count -= taken;
            if !segment.is_empty() {
                return;
            }
            self.segments.pop_front();
        }
        self.head = (self.head + count).min(self.tail.len());
        if self.head == self.tail.len() {
            self.tail.clear();
            self.head = 0;
        }
    }

    /// Gives back what steady traffic keeps, when there has been none for a while.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.tail.capacity() > KEEP_MAX {
            self.tail = Vec::new();
            self.segments = VecDeque::new();
        }
    }

    /// Everything that waits, in one piece, and then nothing does; for tests.
    pub fn drain(&mut self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        for segment in &self.segments {
            all.extend_from_slice(segment);
        }
        all.extend_from_slice(self.tail.get(self.head..).unwrap_or_default());
        self.advance(all.len());
        all
    }
}
