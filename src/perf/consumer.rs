//! One channel that consumes: what arrives, how long it took, and what is answered.
//!
//! Invariant: no socket, no task, no clock; what it writes is appended to a buffer.

use std::collections::VecDeque;

use super::clock::Moment;
use super::content::{Stamp, stamp_of_body, stamp_of_properties};
use super::error::PerfError;
use super::producer::unexpected;
use super::sample::Sample;
use crate::protocol::frame::write_method;
use crate::protocol::method::basic;
use crate::protocol::{ChannelNumber, ContentHeader, FieldTable, Method};

/// Deliveries that nothing follows for so long are acknowledged, though there are fewer than
/// `ack_every` of them.
const ACK_DELAY: u64 = 100_000_000;
/// A consumer that thinks reads no further while it has so many messages before it.
const BACKLOG_MAX: usize = 10_000;

/// What one consumer does.
#[derive(Clone, Debug)]
pub struct Consuming {
    pub queue: String,
    pub arguments: FieldTable,
    pub no_ack: bool,
    /// Acknowledge so many at once.
    pub ack_every: u64,
    /// The part of the deliveries that is refused, 0 to 1.
    pub nack_share: f64,
    pub requeue: bool,
    /// How long each message keeps it busy, in nanoseconds.
    pub think: u64,
    /// Ask with `basic.get`, and after an empty answer again so many nanoseconds later.
    pub poll: Option<u64>,
    pub stamp: Stamp,
    /// Messages after which it ends.
    pub messages: Option<u64>,
}

pub struct Consumer {
    how: Consuming,
    channel: ChannelNumber,
    /// Consumes, or would if there were anything to get.
    subscribed: bool,
    arriving: Option<Arriving>,
    /// Arrived and not looked at yet, where looking takes time.
    backlog: VecDeque<Arrived>,
    /// The message that is being thought about, and until when.
    thinking: Option<(Arrived, Moment)>,
    /// The next `basic.get`, unless one is under way.
    next_get: Option<Moment>,
    received: u64,
    unacked: u64,
    last_tag: u64,
    last_at: Moment,
    refusals_due: f64,
    stopped: bool,
}

/// A message whose body has not come as a whole.
struct Arriving {
    message: Arrived,
    missing: u64,
}

#[derive(Clone, Copy)]
struct Arrived {
    delivery_tag: u64,
    redelivered: bool,
    size: u64,
    due: Option<Moment>,
}

impl Consumer {
    pub fn new(how: Consuming, channel: ChannelNumber) -> Self {
        Self {
            how,
            channel,
            subscribed: false,
            arriving: None,
            backlog: VecDeque::new(),
            thinking: None,
            next_get: None,
            received: 0,
            unacked: 0,
            last_tag: 0,
            last_at: Moment::default(),
            refusals_due: 0.0,
            stopped: false,
        }
    }

    /// Appends what begins it.
    pub fn begin(&mut self, now: Moment, out: &mut Vec<u8>) {
        if self.how.poll.is_some() {
            self.subscribed = true;
            self.next_get = Some(now);
            return;
        }
        let consume = basic::Consume {
            queue: &self.how.queue,
            no_ack: self.how.no_ack,
            arguments: self.how.arguments.clone(),
            ..basic::Consume::default()
        };
        write_method(out, self.channel, &consume.into());
    }

    pub fn is_subscribed(&self) -> bool {
        self.subscribed
    }

    /// Nothing more is taken, and what was is acknowledged.
    pub fn stop(&mut self, out: &mut Vec<u8>) {
        if let Some((message, _)) = self.thinking.take() {
            self.settle(message, out);
        }
        self.acknowledge(out);
        self.stopped = true;
    }

    pub fn is_done(&self) -> bool {
        self.stopped
    }

    pub fn wants_input(&self) -> bool {
        self.backlog.len() < BACKLOG_MAX
    }

    /// What the broker says on this channel, apart from its end.
    pub fn receive(&mut self, method: &Method<'_>) -> Result<(), PerfError> {
        let Method::Basic(method) = method else { return Err(unexpected(method)) };
        match method {
            basic::Method::Deliver(deliver) => {
                self.arrives(deliver.delivery_tag, deliver.redelivered);
            }
            basic::Method::GetOk(got) => self.arrives(got.delivery_tag, got.redelivered),
            basic::Method::ConsumeOk(_) => self.subscribed = true,
            basic::Method::Cancel(_) => {
                return Err(PerfError::Cancelled(format!("of queue {:?}", self.how.queue)));
            }
            other => return Err(unexpected(&Method::Basic(other.clone()))),
        }
        Ok(())
    }

    /// `basic.get-empty`.
    pub fn found_nothing(&mut self, now: Moment, sample: &mut Sample) {
        sample.counts.empty_gets += 1;
        self.next_get = Some(now.after(self.how.poll.unwrap_or_default()));
    }

    fn arrives(&mut self, delivery_tag: u64, redelivered: bool) {
        let message = Arrived { delivery_tag, redelivered, size: 0, due: None };
        self.arriving = Some(Arriving { message, missing: 0 });
    }

    pub fn receive_header(
        &mut self,
        header: &ContentHeader<'_>,
        now: Moment,
        out: &mut Vec<u8>,
        sample: &mut Sample,
    ) {
        let Some(arriving) = &mut self.arriving else { return };
        arriving.message.size = header.body_size;
        arriving.missing = header.body_size;
        if self.how.stamp == Stamp::Header {
            arriving.message.due = stamp_of_properties(header.properties);
        }
        if header.body_size == 0 {
            self.arrived(now, out, sample);
        }
    }

    pub fn receive_body(
        &mut self,
        payload: &[u8],
        now: Moment,
        out: &mut Vec<u8>,
        sample: &mut Sample,
    ) {
        let Some(arriving) = &mut self.arriving else { return };
        if self.how.stamp == Stamp::Body && arriving.missing == arriving.message.size {
            arriving.message.due = stamp_of_body(payload);
        }
        arriving.missing = arriving.missing.saturating_sub(payload.len() as u64);
        if arriving.missing == 0 {
            self.arrived(now, out, sample);
        }
    }

    fn arrived(&mut self, now: Moment, out: &mut Vec<u8>, sample: &mut Sample) {
        let Some(Arriving { message, .. }) = self.arriving.take() else { return };
        if self.stopped {
            // It goes back when the channel ends.
        } else if self.how.think > 0 {
            self.backlog.push_back(message);
        } else {
            self.take(message, now, sample);
            self.settle(message, out);
            if self.how.poll.is_some() {
                self.next_get = Some(now);
            }
        }
    }

    /// Counts a message when the consumer turns to it.
    fn take(&mut self, message: Arrived, now: Moment, sample: &mut Sample) {
        let counts = &mut sample.counts;
        counts.received += 1;
        counts.received_bytes += message.size;
        counts.redelivered += u64::from(message.redelivered);
        sample.last.received = now;
        if let Some(due) = message.due {
            sample.received_after(now.since(due));
        }
        self.last_at = now;
        if self.refuses() {
            sample.counts.rejected += 1;
        }
    }

    /// Whether the message that is taken now is one of those to be refused. [`Self::settle`] sees it by
    /// the debt that is left.
    fn refuses(&mut self) -> bool {
        if self.how.no_ack {
            return false;
        }
        self.refusals_due += self.how.nack_share;
        self.refusals_due >= 1.0
    }

    /// Answers a message that was taken.
    fn settle(&mut self, message: Arrived, out: &mut Vec<u8>) {
        self.received += 1;
        let is_last = self.how.messages.is_some_and(|messages| self.received >= messages);
        if !self.how.no_ack {
            if self.refusals_due >= 1.0 {
                self.refusals_due -= 1.0;
                self.acknowledge(out);
                let nack = basic::Nack {
                    delivery_tag: message.delivery_tag,
                    multiple: false,
                    requeue: self.how.requeue,
                };
                write_method(out, self.channel, &nack.into());
            } else {
                self.unacked += 1;
                self.last_tag = message.delivery_tag;
            }
            if self.unacked >= self.how.ack_every || is_last {
                self.acknowledge(out);
            }
        }
        self.stopped |= is_last;
    }

    fn acknowledge(&mut self, out: &mut Vec<u8>) {
        if self.unacked > 0 {
            let multiple = self.unacked > 1;
            let ack = basic::Ack { delivery_tag: self.last_tag, multiple };
            write_method(out, self.channel, &ack.into());
            self.unacked = 0;
        }
    }

    /// Does what is due now.
    pub fn fill(&mut self, now: Moment, out: &mut Vec<u8>, sample: &mut Sample) {
        while !self.stopped {
            match self.thinking {
                Some((_, until)) if until > now => break,
                Some((message, _)) => {
                    self.thinking = None;
                    self.settle(message, out);
                    if self.how.poll.is_some() {
                        self.next_get = Some(now);
                    }
                }
                None => {
                    let Some(message) = self.backlog.pop_front() else { break };
                    self.take(message, now, sample);
                    self.thinking = Some((message, now.after(self.how.think)));
                }
            }
        }
        if self.stopped {
            return;
        }
        if self.unacked > 0 && now >= self.last_at.after(ACK_DELAY) {
            self.acknowledge(out);
        }
        if self.next_get.is_some_and(|at| at <= now) {
            self.next_get = None;
            let get = basic::Get { queue: &self.how.queue, no_ack: self.how.no_ack };
            write_method(out, self.channel, &get.into());
        }
    }

    /// When there is something to do next that does not depend on the broker.
    pub fn wake(&self) -> Option<Moment> {
        if self.stopped {
            return None;
        }
        let thought = self.thinking.map(|(_, until)| until);
        let ack = (self.unacked > 0).then(|| self.last_at.after(ACK_DELAY));
        [thought, self.next_get, ack].into_iter().flatten().min()
    }
}
