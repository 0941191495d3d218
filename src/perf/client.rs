//! What happens on one connection once it is open: frames to its channels, heartbeats, the end.
//!
//! Invariant: no socket, no task, no clock; what it writes is appended to a buffer.

use super::clock::Moment;
use super::consumer::Consumer;
use super::error::PerfError;
use super::login::{Agreed, closed, one_line};
use super::producer::{OUTPUT_HIGH, Producer, unexpected};
use super::sample::Sample;
use crate::protocol::frame::{parse_frame, write_heartbeat, write_method};
use crate::protocol::method::{basic, channel, connection};
use crate::protocol::{ChannelNumber, ContentHeader, Frame, FrameKind, Method};

const SECOND: u64 = 1_000_000_000;

/// What a channel is for.
pub enum Role {
    Producer(Producer),
    Consumer(Consumer),
}

pub struct Client {
    address: String,
    agreed: Agreed,
    /// Channel 1 is the first of them.
    roles: Vec<Role>,
    /// Whose turn it is to fill the output first.
    turn: usize,
    heard: Moment,
    spoken: Moment,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    Closing,
    Closed,
}

impl Client {
    pub fn new(address: String, agreed: Agreed, roles: Vec<Role>, now: Moment) -> Self {
        let (heard, spoken) = (now, now);
        Self { address, agreed, roles, turn: 0, heard, spoken, state: State::Open }
    }

    /// Consumers begin; producers wait for [`start`](Self::start).
    pub fn begin(&mut self, now: Moment, out: &mut Vec<u8>) {
        for role in &mut self.roles {
            if let Role::Consumer(consumer) = role {
                consumer.begin(now, out);
            }
        }
    }

    pub fn is_ready(&self) -> bool {
        self.roles.iter().all(|role| match role {
            Role::Producer(_) => true,
            Role::Consumer(consumer) => consumer.is_subscribed(),
        })
    }

    pub fn start(&mut self, at: Moment) {
        self.producers().for_each(|producer| producer.start(at));
    }

    pub fn stop_producing(&mut self) {
        self.producers().for_each(Producer::stop);
    }

    pub fn stop_consuming(&mut self, out: &mut Vec<u8>) {
        for role in &mut self.roles {
            if let Role::Consumer(consumer) = role {
                consumer.stop(out);
            }
        }
    }

    /// Nobody waits for confirms any longer.
    pub fn give_up(&mut self) {
        self.producers().for_each(Producer::give_up);
    }

    fn producers(&mut self) -> impl Iterator<Item = &mut Producer> {
        self.roles.iter_mut().filter_map(|role| match role {
            Role::Producer(producer) => Some(producer),
            Role::Consumer(_) => None,
        })
    }

    /// All channels have done what they were for.
    pub fn is_done(&self) -> bool {
        self.roles.iter().all(|role| match role {
            Role::Producer(producer) => producer.is_done(),
            Role::Consumer(consumer) => consumer.is_done(),
        })
    }

    /// Says goodbye.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Open {
            self.state = State::Closing;
            let close = connection::Close {
                reply_code: 200,
                reply_text: "the run is over",
                ..connection::Close::default()
            };
            write_method(out, ChannelNumber::CONNECTION, &close.into());
        }
    }

    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether more should be read now.
    pub fn wants_input(&self) -> bool {
        self.state != State::Open
            || self.roles.iter().all(|role| match role {
                Role::Producer(_) => true,
                Role::Consumer(consumer) => consumer.wants_input(),
            })
    }

    /// Takes whole frames off the front of `input`, says how many bytes that were, and appends
    /// answers.
    pub fn receive(
        &mut self,
        input: &[u8],
        now: Moment,
        out: &mut Vec<u8>,
        sample: &mut Sample,
    ) -> Result<usize, PerfError> {
        self.heard = now;
        let mut rest = input;
        loop {
            let parsed = parse_frame(rest, self.agreed.frame_max);
            let Some((frame, behind)) = parsed.map_err(|error| PerfError::Protocol(error.text))?
            else {
                return Ok(input.len() - rest.len());
            };
            self.frame(frame, now, out, sample)?;
            rest = behind;
        }
    }

    fn frame(
        &mut self,
        frame: Frame<'_>,
        now: Moment,
        out: &mut Vec<u8>,
        sample: &mut Sample,
    ) -> Result<(), PerfError> {
        let Frame { kind, channel, payload } = frame;
        if kind == FrameKind::Heartbeat {
            return Ok(());
        }
        if channel == ChannelNumber::CONNECTION {
            return self.connection(&decode(payload)?, out, sample);
        }
        // Also after our close: what was returned or refused just before that is told before its end.
        let index = usize::from(channel.0).wrapping_sub(1);
        let Some(role) = self.roles.get_mut(index) else {
            return Err(PerfError::Protocol(format!("a frame on channel {channel}")));
        };
        match (role, kind) {
            (Role::Consumer(consumer), FrameKind::Body) => {
                consumer.receive_body(payload, now, out, sample);
            }
            (Role::Consumer(consumer), FrameKind::Header) => {
                let header = ContentHeader::parse(payload)
                    .map_err(|error| PerfError::Protocol(error.text))?;
                consumer.receive_header(&header, now, out, sample);
            }
            (role, FrameKind::Method) => match (decode(payload)?, role) {
                (Method::Channel(channel::Method::Close(close)), _) => {
                    return Err(channel_closed(&close));
                }
                (Method::Basic(basic::Method::GetEmpty(_)), Role::Consumer(consumer)) => {
                    consumer.found_nothing(now, sample);
                }
                (method, Role::Consumer(consumer)) => consumer.receive(&method)?,
                (Method::Basic(method), Role::Producer(producer)) => {
                    producer.receive(&method, now, sample)?;
                }
                (other, Role::Producer(_)) => return Err(unexpected(&other)),
            },
            // The content of what was returned. Heartbeats are gone by now.
            (Role::Producer(_), _) | (_, FrameKind::Heartbeat) => {}
        }
        Ok(())
    }

    fn connection(
        &mut self,
        method: &Method<'_>,
        out: &mut Vec<u8>,
        sample: &mut Sample,
    ) -> Result<(), PerfError> {
        let Method::Connection(method) = method else { return Err(unexpected(method)) };
        match method {
            connection::Method::Close(close) => {
                write_method(out, ChannelNumber::CONNECTION, &connection::CloseOk {}.into());
                return Err(closed(close));
            }
            connection::Method::CloseOk(_) if self.state == State::Closing => {
                self.state = State::Closed;
            }
            // Its way to slow us down is not to read, and that is felt anyway.
            connection::Method::Blocked(_) => sample.counts.blocked += 1,
            connection::Method::Unblocked(_) => {}
            other => return Err(unexpected(&Method::Connection(other.clone()))),
        }
        Ok(())
    }

    /// Appends a heartbeat when it is time for one, and notices when none comes.
    pub fn beat(&mut self, now: Moment, out: &mut Vec<u8>) -> Result<(), PerfError> {
        let Some(interval) = self.heartbeat() else { return Ok(()) };
        if self.wants_input() && now.since(self.heard) > 2 * interval {
            let seconds = 2 * interval / SECOND;
            return Err(PerfError::Silent { address: self.address.clone(), seconds });
        }
        if now.since(self.spoken) >= interval / 2 {
            write_heartbeat(out);
            self.spoken = now;
        }
        Ok(())
    }

    /// Appends what is due: messages, answers. To be asked when everything before has been written.
    pub fn fill(&mut self, now: Moment, out: &mut Vec<u8>, sample: &mut Sample) {
        if self.state != State::Open {
            return;
        }
        let count = self.roles.len();
        // Each has its part of the room, beginning with another one every time.
        let share = (OUTPUT_HIGH / count.max(1)).max(1024);
        for index in (0..count).map(|index| (self.turn + index) % count) {
            let high = OUTPUT_HIGH.min(out.len() + share);
            match self.roles.get_mut(index) {
                Some(Role::Producer(producer)) => producer.fill(now, high, out, sample),
                Some(Role::Consumer(consumer)) => consumer.fill(now, out, sample),
                None => {}
            }
        }
        self.turn = self.turn.wrapping_add(1) % count.max(1);
    }

    /// Bytes were written.
    pub fn spoke(&mut self, now: Moment) {
        self.spoken = now;
    }

    /// When [`fill`](Self::fill) has something to do, if nothing arrives until then.
    pub fn wake(&self) -> Option<Moment> {
        let roles = self.roles.iter().filter_map(|role| match role {
            Role::Producer(producer) => producer.wake(),
            Role::Consumer(consumer) => consumer.wake(),
        });
        if self.state == State::Open { roles.min() } else { None }
    }

    /// When [`beat`](Self::beat) has.
    pub fn next_beat(&self) -> Option<Moment> {
        let interval = self.heartbeat()?;
        let deaf = self.heard.after(2 * interval + 1);
        let speak = self.spoken.after(interval / 2);
        Some(if self.wants_input() { deaf.min(speak) } else { speak })
    }

    fn heartbeat(&self) -> Option<u64> {
        let seconds = u64::from(self.agreed.heartbeat_seconds);
        (seconds > 0).then_some(seconds * SECOND)
    }
}

fn decode(payload: &[u8]) -> Result<Method<'_>, PerfError> {
    Method::decode(payload).map_err(|error| PerfError::Protocol(error.text))
}

pub fn channel_closed(close: &channel::Close<'_>) -> PerfError {
    PerfError::Closed {
        scope: "channel",
        code: close.reply_code,
        text: one_line(close.reply_text),
        class: close.class_id,
        method: close.method_id,
    }
}

#[cfg(test)]
mod tests;
