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
    /// From a stream: the consumer is told at which offset.
    StreamDelivery(Delivery),
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

    /// Bytes of messages that wait here.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes over all of `deliveries`, which weigh `bytes`. When the connection has ended meanwhile
    /// they stay where they are and the answer is false: the caller puts them back.
    #[inline]
    pub fn deliver(&self, deliveries: &mut Vec<Delivery>, bytes: usize) -> bool {
        self.deliver_as(Outgoing::Delivery, deliveries, bytes)
    }

    /// The same for deliveries of a stream.
    pub fn deliver_from_stream(&self, deliveries: &mut Vec<Delivery>, bytes: usize) -> bool {
        self.deliver_as(Outgoing::StreamDelivery, deliveries, bytes)
    }

    #[inline]
    fn deliver_as(
        &self,
        kind: impl Fn(Delivery) -> Outgoing,
        deliveries: &mut Vec<Delivery>,
        bytes: usize,
    ) -> bool {
        let mut inner = self.inner.lock();
        if inner.closed {
            return false;
        }
        inner.entries.extend(deliveries.drain(..).map(kind));
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Notes that `source` was passed over for want of room. It is reported by the next
    /// [`take`](Self::take).
    pub fn starve(&self, source: SourceId) {
        let mut inner = self.inner.lock();
        // Acknowledgements may make it come again and again; most of those are in a row.
        if inner.starved.last() != Some(&source) {
            inner.starved.push(source);
        }
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

    /// Takes back the deliveries for which `matches` holds, leaving the others in order. Notices for
    /// them go too: their consumer is leaving, and its number will name another one.
    pub fn withdraw(&self, mut matches: impl FnMut(SourceId) -> bool) -> Withdrawn {
        let mut inner = self.inner.lock();
        let mut withdrawn = Vec::new();
        let mut bytes = 0;
        inner.entries = std::mem::take(&mut inner.entries)
            .into_iter()
            .filter_map(|entry| match entry {
                Outgoing::Delivery(delivery) | Outgoing::StreamDelivery(delivery)
                    if matches(delivery.source) =>
                {
                    bytes += delivery.queued.message.weight();
                    withdrawn.push(delivery);
                    None
                }
                Outgoing::Cancelled(source) if matches(source) => None,
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
            Outgoing::Delivery(delivery) | Outgoing::StreamDelivery(delivery)
                if delivery.source == source =>
            {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    use super::*;
    use crate::message::{Message, Traits};
    use crate::time::Time;

    const ONE: SourceId = SourceId(1);
    const TWO: SourceId = SourceId(2);

    fn delivery(source: SourceId, position: u64) -> Delivery {
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let message =
            Message::with_inline_body(b"\0\0", &header, b"", Traits::default(), &mut Vec::new());
        let (position, deadline) = (Position(position), Time::NEVER);
        let (redelivered, kept, delivery_count) = (false, false, 0);
        let queued = Queued { message, position, deadline, redelivered, kept, delivery_count };
        Delivery { source, queued }
    }

    /// An outbox with deliveries for ONE (1, 3, 4) and TWO (2), and what one of them weighs.
    fn filled(bytes_high: usize) -> (Outbox, usize) {
        let outbox = Outbox::new(bytes_high);
        let sources = [(ONE, 1), (TWO, 2), (ONE, 3), (ONE, 4)];
        let mut all: Vec<Delivery> =
            sources.into_iter().map(|(source, position)| delivery(source, position)).collect();
        let weight = all[0].queued.message.weight();
        assert!(outbox.deliver(&mut all, 4 * weight));
        assert!(all.is_empty());
        (outbox, weight)
    }

    fn taken(outbox: &Outbox) -> (Vec<String>, Vec<SourceId>) {
        let (mut entries, mut starved) = (Vec::new(), Vec::new());
        outbox.take(&mut entries, &mut starved);
        let entries = entries.iter().map(|entry| match entry {
            Outgoing::Delivery(delivery) => delivery.queued.position.0.to_string(),
            Outgoing::Cancelled(source) => format!("cancelled {}", source.0),
            other => format!("{other:?}"),
        });
        (entries.collect(), starved)
    }

    #[test]
    fn room_is_what_is_left_below_the_mark() {
        let (outbox, weight) = filled(1000);
        assert_eq!(outbox.room(), 1000 - 4 * weight);
        outbox.withdraw(|source| source == TWO);
        assert_eq!(outbox.room(), 1000 - 3 * weight);
        assert_eq!(taken(&outbox).0, ["1", "3", "4"]);
        assert_eq!(outbox.room(), 1000);
        assert_eq!(filled(weight).0.room(), 0, "overshot, and that is all");
    }

    #[test]
    fn withdrawing_takes_one_consumers_share_and_leaves_the_rest_in_order() {
        let (outbox, _) = filled(1000);
        assert!(outbox.notify(Outgoing::Shutdown("over".to_owned())));
        outbox.starve(ONE);
        outbox.starve(TWO);
        let withdrawn = outbox.withdraw(|source| source == ONE);
        let positions: Vec<u64> =
            withdrawn.iter().map(|delivery| delivery.queued.position.0).collect();
        assert_eq!(positions, [1, 3, 4]);
        assert!(outbox.positions(ONE).is_empty());
        let expected = ["2".to_owned(), "Shutdown(\"over\")".to_owned()];
        assert_eq!(taken(&outbox), (expected.to_vec(), vec![TWO]));
    }

    /// The number of a consumer that is gone is given to the next one: a notice that still lay here
    /// would have ended that one.
    #[test]
    fn withdrawing_takes_the_notice_of_cancellation_along() {
        let outbox = Outbox::new(1000);
        outbox.notify(Outgoing::Cancelled(ONE));
        outbox.notify(Outgoing::Cancelled(TWO));
        outbox.withdraw(|source| source == ONE);
        assert_eq!(taken(&outbox).0, ["cancelled 2"]);
    }

    #[test]
    fn a_closed_outbox_takes_nothing_and_leaves_it_where_it_was() {
        let (outbox, weight) = filled(1000);
        assert_eq!(outbox.close().len(), 4);
        let mut late = vec![delivery(ONE, 9)];
        assert!(!outbox.deliver(&mut late, weight));
        assert_eq!(late.len(), 1);
        assert!(!outbox.notify(Outgoing::Cancelled(ONE)));
        assert_eq!(taken(&outbox), (vec![], vec![]));
        assert_eq!(outbox.room(), 1000);
    }

    #[test]
    fn one_passed_over_again_and_again_is_reported_once() {
        let outbox = Outbox::new(0);
        (0..1000).for_each(|_| outbox.starve(ONE));
        assert_eq!(taken(&outbox).1, [ONE]);
        assert!(taken(&outbox).1.is_empty());
    }

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn many_rings_wake_once_and_none_is_missed() {
        let outbox = Outbox::new(1);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        outbox.ring();
        assert!(outbox.poll_rung(&mut context).is_ready(), "rung before anybody listened");
        assert!(outbox.poll_rung(&mut context).is_pending());
        (0..5).for_each(|_| outbox.ring());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(outbox.poll_rung(&mut context).is_ready());
        assert!(outbox.poll_rung(&mut context).is_pending());
        outbox.ring();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
