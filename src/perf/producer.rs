//! One channel that publishes: what is sent when, and what the broker says about it.
//!
//! Invariant: no socket, no task, no clock; what it writes is appended to a buffer.

use super::clock::Moment;
use super::content::Writer;
use super::error::PerfError;
use super::pace::Pace;
use super::sample::Sample;
use super::window::Window;
use crate::protocol::Method;
use crate::protocol::method::basic;

/// While so much waits to be written, nothing more is made.
pub const OUTPUT_HIGH: usize = 64 * 1024;

pub struct Producer {
    writer: Writer,
    /// As fast as possible without.
    pace: Option<Pace>,
    /// No confirms without.
    window: Option<Window>,
    /// Messages that are still to be sent; no end without.
    remaining: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Until everybody is ready.
    Waiting,
    Sending {
        since: Moment,
    },
    Stopped,
    GivenUp,
}

impl Producer {
    pub fn new(
        writer: Writer,
        pace: Option<Pace>,
        window: Option<usize>,
        messages: Option<u64>,
    ) -> Self {
        let window = window.map(Window::new);
        Self { writer, pace, window, remaining: messages, state: State::Waiting }
    }

    /// Messages are due from this moment on.
    pub fn start(&mut self, at: Moment) {
        if self.state == State::Waiting {
            self.state = State::Sending { since: at };
        }
    }

    /// Nothing more is sent; what is under way may still be confirmed.
    pub fn stop(&mut self) {
        if self.state != State::GivenUp {
            self.state = State::Stopped;
        }
    }

    /// What is under way will not be confirmed any more, or nobody cares.
    pub fn give_up(&mut self) {
        self.state = State::GivenUp;
    }

    /// Everything is sent, and confirmed where that is expected.
    pub fn is_done(&self) -> bool {
        match self.state {
            State::Stopped => self.window.as_ref().is_none_or(|window| window.open() == 0),
            State::GivenUp => true,
            State::Waiting | State::Sending { .. } => false,
        }
    }

    /// Appends what is due and allowed, until there are `high` bytes.
    pub fn fill(&mut self, now: Moment, high: usize, out: &mut Vec<u8>, sample: &mut Sample) {
        let State::Sending { since } = self.state else { return };
        let mut sent = 0;
        let room = self.window.as_ref().map_or(u64::MAX, |window| window.room() as u64);
        let allowed = room.min(self.remaining.unwrap_or(u64::MAX));
        while sent < allowed && out.len() < high {
            let due = match &mut self.pace {
                None => now,
                Some(pace) => {
                    let due = since.after(pace.due());
                    if due > now {
                        break;
                    }
                    pace.advance();
                    due
                }
            };
            sample.counts.sent_bytes += self.writer.write(due, out) as u64;
            if let Some(window) = &mut self.window {
                window.push(due);
            }
            sent += 1;
        }
        if sent > 0 {
            sample.counts.sent += sent;
            sample.last.sent = now;
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining -= sent;
            if *remaining == 0 {
                self.state = State::Stopped;
            }
        }
    }

    /// When there is something to send next; nothing while it depends on the broker.
    pub fn wake(&self) -> Option<Moment> {
        let State::Sending { since } = self.state else { return None };
        if self.window.as_ref().is_some_and(|window| window.room() == 0) {
            return None;
        }
        Some(self.pace.as_ref().map_or(since, |pace| since.after(pace.due())))
    }

    /// What the broker says on this channel, apart from its end.
    pub fn receive(
        &mut self,
        method: &basic::Method<'_>,
        now: Moment,
        sample: &mut Sample,
    ) -> Result<(), PerfError> {
        match *method {
            basic::Method::Ack(basic::Ack { delivery_tag, multiple }) => {
                let confirmed = self.settle(delivery_tag, multiple, |due| {
                    sample.confirmed_after(now.since(due));
                })?;
                sample.counts.confirmed += confirmed;
                sample.last.confirmed = now;
            }
            basic::Method::Nack(basic::Nack { delivery_tag, multiple, .. }) => {
                sample.counts.nacked += self.settle(delivery_tag, multiple, |_| {})?;
            }
            basic::Method::Return(_) => sample.counts.returned += 1,
            ref other => return Err(unexpected(&Method::Basic(other.clone()))),
        }
        Ok(())
    }

    fn settle(
        &mut self,
        delivery_tag: u64,
        multiple: bool,
        mut settled: impl FnMut(Moment),
    ) -> Result<u64, PerfError> {
        let mut count = 0;
        let counting = |due| {
            count += 1;
            settled(due);
        };
        match &mut self.window {
            Some(window) => window.settle(delivery_tag, multiple, counting).ok(),
            None => None,
        }
        .map(|()| count)
        .ok_or_else(|| {
            PerfError::Protocol(format!(
                "a confirm for message {delivery_tag}, which waits for none"
            ))
        })
    }
}

/// A method that nobody asked for.
#[cold]
pub fn unexpected(method: &Method<'_>) -> PerfError {
    PerfError::Protocol(format!("unexpected method {}", method.id()))
}
