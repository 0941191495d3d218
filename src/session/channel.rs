//! A channel: what a client sees as its line of work within a connection.
//!
//! ```text
//!  (absent) ──open──▶ running ──channel error: we send close──▶ closing ──close-ok──▶ (absent)
//!                       │  ▲
//!       answer comes    ▼  │ answer is here: what was kept is handled in order
//!       later         parked
//! ```

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::ack_timeout::LOOK_INTERVAL;
use super::confirm::Confirms;
use super::content::Assembly;
use super::transaction::Transaction;
use super::unacked::Unacked;
use crate::broker::ChannelStats;
use crate::delivery::{ChannelLimit, SourceId};
use crate::names::QueueName;
use crate::protocol::{ChannelNumber, FrameKind};

#[derive(Debug)]
pub struct Channel {
    pub number: ChannelNumber,
    /// We sent `channel.close` and wait for the answer; whatever else comes is dropped (B0.3).
    pub closing: bool,
    /// Consumer tags are unique per channel.
    pub consumers: HashMap<Box<str>, SourceId>,
    /// The last delivery tag used; deliveries, gets and direct replies share the sequence (B6.11).
    pub delivery_tag: u64,
    pub unacked: Unacked,
    pub stats: Arc<ChannelStats>,
    /// The shortest acknowledgement timeout of anything on the channel so far, as far as it matters
    /// for the next look at what is overdue.
    pub patience: Duration,
    /// The limit all consumers share (`basic.qos` global).
    pub limit: Arc<ChannelLimit>,
    /// The prefetch of consumers started from now on (`basic.qos` not global, B6.6).
    pub prefetch: u16,
    pub confirms: Option<Confirms>,
    pub transaction: Option<Transaction>,
    /// The queue that an empty name means (B5.8).
    pub last_queue: Option<QueueName>,
    pub content: Option<Assembly>,
    pub parked: Option<Parked>,
    /// The consumer of direct replies and the name that leads to it (B9).
    pub reply: Option<(SourceId, String)>,
}

/// A channel whose last request is answered later, because something has to become durable first.
#[derive(Debug)]
pub struct Parked {
    pub ticket: u64,
    pub answer: Answer,
    /// Frames that came meanwhile, in order, and how much memory they hold.
    pub frames: VecDeque<(FrameKind, Bytes)>,
    pub bytes: usize,
}

/// What it costs to keep a frame, beside its payload; there are frames without one.
const FRAME_COST: usize = 64;

/// What a parked channel answers when its time has come.
#[derive(Debug)]
pub enum Answer {
    /// An encoded method; `None` for a request with nowait.
    Method(Option<Vec<u8>>),
}

impl Parked {
    pub fn new(ticket: u64, answer: Answer) -> Self {
        Self { ticket, answer, frames: VecDeque::new(), bytes: 0 }
    }

    /// Keeps a frame until the answer is there.
    pub fn keep(&mut self, kind: FrameKind, payload: &[u8]) {
        self.bytes += FRAME_COST + payload.len();
        self.frames.push_back((kind, Bytes::copy_from_slice(payload)));
    }

    /// Keeps frames that were kept before, behind the request that parked the channel just now.
    pub fn keep_all(&mut self, frames: VecDeque<(FrameKind, Bytes)>) {
        self.bytes += frames.iter().map(|(_, payload)| FRAME_COST + payload.len()).sum::<usize>();
        self.frames.extend(frames);
    }
}

impl Channel {
    pub fn new(number: ChannelNumber, stats: Arc<ChannelStats>) -> Self {
        Self {
            number,
            closing: false,
            consumers: HashMap::new(),
            delivery_tag: 0,
            unacked: Unacked::default(),
            stats,
            patience: LOOK_INTERVAL,
            limit: Arc::default(),
            prefetch: 0,
            confirms: None,
            transaction: None,
            last_queue: None,
            content: None,
            parked: None,
            reply: None,
        }
    }

    /// Shows what it is like to those who ask without being asked.
    pub fn show(&self) {
        self.stats.consumers.set(self.consumers.len() as u64);
        self.stats.unacked.set(self.unacked.len() as u64);
        self.stats.unconfirmed.set(self.confirms.as_ref().map_or(0, Confirms::unanswered));
        self.stats.prefetch.set(self.prefetch.into());
    }

    pub fn next_delivery_tag(&mut self) -> u64 {
        self.delivery_tag += 1;
        self.delivery_tag
    }
}

/// A connection's channels. A client mostly works on one at a time, so the last one is found first.
#[derive(Debug, Default)]
pub struct Channels {
    /// Sorted by number.
    all: Vec<Channel>,
    last: usize,
}

impl Channels {
    #[inline]
    pub fn get_mut(&mut self, number: ChannelNumber) -> Option<&mut Channel> {
        if self.all.get(self.last).is_none_or(|channel| channel.number != number) {
            self.last = self.all.binary_search_by_key(&number, |channel| channel.number).ok()?;
        }
        self.all.get_mut(self.last)
    }

    pub fn insert(&mut self, channel: Channel) {
        let place = self.all.partition_point(|other| other.number < channel.number);
        self.all.insert(place, channel);
    }

    pub fn remove(&mut self, number: ChannelNumber) -> Option<Channel> {
        let place = self.all.binary_search_by_key(&number, |channel| channel.number).ok()?;
        Some(self.all.remove(place))
    }

    /// Channels that count towards channel_max (B2.14): those too whose close is not answered yet.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    pub fn numbers(&self) -> Vec<ChannelNumber> {
        self.all.iter().map(|channel| channel.number).collect()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.all.iter_mut()
    }

    /// Memory held for parked channels.
    pub fn parked_bytes(&self) -> usize {
        self.all
            .iter()
            .filter_map(|channel| channel.parked.as_ref())
            .map(|parked| parked.bytes)
            .sum()
    }
}
