//! The outbox: what queues and the broker have for one connection.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use crate::message::{Position, Queued};

/// Which of a connection's consumers a delivery is for. The session numbers them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// A message on its way to a consumer.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub source: SourceId,
    pub queued: Queued,
}

/// One thing for the connection to act on, in the order in which they happened.
#[derive(Debug)]
pub enum Outgoing {
    Delivery(Delivery),
    /// The consumer's queue is gone (behaviour B6.9).
    Cancelled(SourceId),
    /// What a parked channel waits for has happened. `ticket` names the request; `error` is set when
    /// it failed.
    Completed {
        channel: u16,
        ticket: u64,
        error: Option<String>,
    },
    /// The broker ends this connection with reply code 320 (behaviour B2.11).
    Shutdown(String),
}

/// What [`Outbox::withdraw`] took out, oldest first.
pub type Withdrawn = Vec<Delivery>;

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Outgoing>,
    /// Consumers that a queue passed over because the byte mark was reached.
    starved: Vec<SourceId>,
    closed: bool,
}

/// Shared by the connection that empties it and everybody who fills it.
///
/// Bounded by bytes: queues ask for [`room`](Self::room) first and treat a full outbox as a consumer
/// without credit, so a client that does not read costs this much and no more.
#[derive(Debug)]
pub struct Outbox {
    inner: Mutex<Inner>,
    bytes: AtomicUsize,
    bytes_high: usize,
    /// The connection must look: something was put in, or something it waits for has moved.
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl Outbox {
    /// `bytes_high`: how many bytes of messages may wait here before it counts as full.
    pub fn new(bytes_high: usize) -> Self {
        Self {
            inner: Mutex::default(),
            bytes: AtomicUsize::new(0),
            bytes_high,
            rung: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Bytes that still fit. The last message may overshoot the mark.
    #[inline]
    pub fn room(&self) -> usize {
        self.bytes_high.saturating_sub(self.bytes.load(Ordering::Relaxed))
    }

    /// Takes over all of `deliveries`, which weigh `bytes`. When the connection has ended meanwhile
    /// they stay where they are and the answer is false: the caller puts them back.
    #[inline]
    pub fn deliver(&self, deliveries: &mut Vec<Delivery>, bytes: usize) -> bool {
        let mut inner = self.inner.lock();
        if inner.closed {
            return false;
        }
        inner.entries.extend(deliveries.drain(..).map(Outgoing::Delivery));
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Notes that `source` was passed over for want of room. It is reported by the next
    /// [`take`](Self::take).
    pub fn starve(&self, source: SourceId) {
        self.inner.lock().starved.push(source);
    }

    /// Adds a notice. False when the connection has ended.
    pub fn notify(&self, notice: Outgoing) -> bool {
        let mut inner = self.inner.lock();
        if !inner.closed {
            inner.entries.push(notice);
        }
        !inner.closed
    }

    /// Swaps everything out into the two empty vectors: what is there, and who was passed over while
    /// it was full.
    #[inline]
    pub fn take(&self, entries: &mut Vec<Outgoing>, starved: &mut Vec<SourceId>) {
        debug_assert!(entries.is_empty() && starved.is_empty());
        let mut inner = self.inner.lock();
        if inner.entries.is_empty() && inner.starved.is_empty() {
            return;
        }
        std::mem::swap(&mut inner.entries, entries);
        std::mem::swap(&mut inner.starved, starved);
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// Takes back the deliveries for which `matches` holds, leaving the others in order.
    pub fn withdraw(&self, mut matches: impl FnMut(SourceId) -> bool) -> Withdrawn {
        let mut inner = self.inner.lock();
        let mut withdrawn = Vec::new();
        let mut bytes = 0;
        inner.entries = std::mem::take(&mut inner.entries)
            .into_iter()
            .filter_map(|entry| match entry {
                Outgoing::Delivery(delivery) if matches(delivery.source) => {
                    bytes += delivery.queued.message.weight();
                    withdrawn.push(delivery);
                    None
                }
                kept => Some(kept),
            })
            .collect();
        inner.starved.retain(|source| !matches(*source));
        self.bytes.fetch_sub(bytes.min(self.bytes.load(Ordering::Relaxed)), Ordering::Relaxed);
        withdrawn
    }

    /// Ends the outbox: nothing goes in any more. Returns the deliveries that were still here.
    pub fn close(&self) -> Withdrawn {
        self.inner.lock().closed = true;
        self.withdraw(|_| true)
    }

    /// Positions of what waits here for `source`; for tests of the one-place invariant.
    pub fn positions(&self, source: SourceId) -> Vec<Position> {
        let inner = self.inner.lock();
        let deliveries = inner.entries.iter().filter_map(|entry| match entry {
            Outgoing::Delivery(delivery) if delivery.source == source => {
                Some(delivery.queued.position)
            }
            _ => None,
        });
        deliveries.collect()
    }

    /// Wakes the connection. To be called with no lock held.
    #[inline]
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Ready once for any number of rings since the last time it was ready.
    #[inline]
    pub fn poll_rung(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.rung.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        self.waker.register(context.waker());
        if self.rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }
}
