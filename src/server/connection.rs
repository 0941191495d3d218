//! The task of one connection.
//!
//! It reads and writes in one poll: it goes on reading while a write is pending, as a client that
//! publishes without reading needs it to, and stops only when the session says so. What a read brought
//! is handled as one batch. After [`BUDGET`] bytes it lets others run.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

use super::clock::Clock;
use crate::session::Session;
use crate::time::Time;

/// Bytes read and written before the task yields.
const BUDGET: usize = 512 * 1024;

/// Reads start this small, so that ten thousand idle connections cost little, and grow while they
/// are filled.
const READ_MIN: usize = 4 * 1024;
const READ_MAX: usize = 64 * 1024;

/// Segments handed to one vectored write.
const SLICES: usize = 32;

/// Buffers that steady traffic keeps are given back after so long without any.
const IDLE: Duration = Duration::from_secs(2);

/// After the last word the peer may take this long to hang up, so that the word reaches it: closing a
/// socket with unread input would reset the connection and destroy what is under way.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Connection<S> {
    stream: S,
    session: Session,
    clock: Clock,
    input: BytesMut,
    /// Whole frames in `input` that the session did not want when it was shown them.
    refused: bool,
    /// How much the next read asks for.
    read_size: usize,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to.
    timer_at: Time,
    /// When to look whether the connection has been idle; `NEVER` when there is nothing to give back.
    idle_at: Time,
    /// Bytes came or went since the last such look.
    active: bool,
    /// The stream may have kept some of what it took.
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, session: Session, clock: Clock) -> Self {
        let timer_at = session.deadline();
        Self {
            stream,
            clock,
            input: BytesMut::new(),
            refused: false,
            read_size: READ_MIN,
            timer: Box::pin(tokio::time::sleep_until(clock.instant(timer_at).into())),
            timer_at,
            idle_at: Time::NEVER,
            active: false,
            unflushed: false,
            session,
        }
    }

    /// Serves one client until it is gone.
    pub(super) async fn run(mut self) {
        poll_fn(|context| self.poll(context)).await;
        self.session.end(self.clock.now());
        self.give_back();
        // TLS has a word of its own to say, for which a client that does not read has no room.
        let farewell = async {
            self.stream.shutdown().await?;
            let mut rest = [0; 64];
            while self.stream.read(&mut rest).await? > 0 {}
            Ok::<(), std::io::Error>(())
        };
        let _ = tokio::time::timeout(LINGER, farewell).await;
    }

    /// Ready when the connection is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut moved = 0;
        loop {
            let rung = self.session.outbox().poll_rung(context).is_ready();
            if rung {
                self.session.pump(self.clock.now());
            }
            let Ok(written) = self.write(context) else {
                return Poll::Ready(());
            };
            if self.session.is_over() && self.session.output().is_empty() {
                return Poll::Ready(());
            }
            if written > 0 {
                // There may be more in the outbox than was encoded at once.
                self.session.pump(self.clock.now());
            }
            let Ok(read) = self.read(context) else {
                return Poll::Ready(());
            };
            let worked = rung || written + read > 0;
            moved += written + read;
            self.active |= worked;
            if self.poll_timer(context) || worked {
                if moved > BUDGET {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                continue;
            }
            self.rest();
            return Poll::Pending;
        }
    }

    /// Writes what there is. Err: the socket is gone.
    fn write(&mut self, context: &mut Context<'_>) -> Result<usize, ()> {
        let mut total = 0;
        let output = self.session.output();
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = output.slices(&mut slices);
            let slices = slices.get(..used).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write_vectored(context, slices) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Err(()),
                Poll::Ready(Ok(count)) => {
                    output.advance(count);
                    total += count;
                }
                Poll::Pending => break,
            }
        }
        if total > 0 {
            self.session.count_written(total);
            self.unflushed = true;
        }
        if self.unflushed && self.session.output().is_empty() {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(Err(_)) => return Err(()),
                Poll::Ready(Ok(())) => self.unflushed = false,
                // The socket has no room for what TLS has taken in: to be asked again.
                Poll::Pending => {}
            }
        }
        Ok(total)
    }

    /// Reads once and handles what is whole. Err: the client is gone.
    fn read(&mut self, context: &mut Context<'_>) -> Result<usize, ()> {
        if !self.session.wants_input() {
            return Ok(0);
        }
        if std::mem::take(&mut self.refused) {
            let before = self.input.len();
            self.receive();
            return Ok(before - self.input.len());
        }
        self.input.reserve(self.read_size.saturating_sub(self.input.len()).max(1024));
        let room = self.input.capacity() - self.input.len();
        let stream = Pin::new(&mut self.stream);
        let count = match poll_read_buf(stream, context, &mut self.input) {
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Err(()),
            Poll::Ready(Ok(count)) => count,
            Poll::Pending => return Ok(0),
        };
        self.session.count_read(count);
        self.session.note_input(self.input.capacity());
        if count == room {
            self.read_size = (self.read_size * 2).min(READ_MAX);
        }
        self.receive();
        Ok(count)
    }

    /// Handles what is whole of what was read, or as much of it as the session wants.
    fn receive(&mut self) {
        let now = self.clock.now();
        loop {
            let ready = self.session.ready(&self.input);
            if ready.whole == 0 {
                // Room for all of a large frame, whose size has been checked, and some more.
                let missing = ready.wanted.saturating_sub(self.input.len());
                self.input.reserve(missing);
                return;
            }
            let mut chunk = self.input.split_to(ready.whole).freeze();
            while !chunk.is_empty() {
                let taken = self.session.receive(&chunk, now);
                let _ = chunk.split_to(taken);
                if taken == 0 || !chunk.is_empty() && !self.session.wants_input() {
                    // Rare enough to be copied.
                    let behind = std::mem::replace(&mut self.input, BytesMut::from(&chunk[..]));
                    self.input.extend_from_slice(&behind);
                    self.refused = true;
                    return;
                }
            }
        }
    }

    /// Nothing to do until somebody calls.
    fn rest(&mut self) {
        if self.input.is_empty() && self.read_size == READ_MIN {
            self.input = BytesMut::new();
            self.session.note_input(0);
        }
        if self.idle_at == Time::NEVER && (self.read_size > READ_MIN || self.active) {
            self.idle_at = self.clock.now() + IDLE;
        }
    }

    /// Runs what is due. True when something was.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> bool {
        let wanted = self.session.deadline().min(self.idle_at);
        if wanted < self.timer_at {
            self.set_timer(wanted);
        }
        if self.timer.as_mut().poll(context).is_pending() {
            return false;
        }
        let now = self.clock.now();
        self.session.tick(now);
        if now >= self.idle_at {
            if !std::mem::take(&mut self.active) {
                self.give_back();
            } else {
                self.idle_at = now + IDLE;
            }
        }
        self.set_timer(self.session.deadline().min(self.idle_at));
        true
    }

    fn set_timer(&mut self, at: Time) {
        self.timer_at = at;
        self.timer.as_mut().reset(self.clock.instant(at).into());
    }

    fn give_back(&mut self) {
        self.session.shrink();
        self.read_size = READ_MIN;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        self.idle_at = Time::NEVER;
    }
}
