//! What is counted and timed, by whoever does it, and put together once a second.

use std::sync::Arc;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::clock::Moment;

/// Numbers of things that happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Published.
    pub sent: u64,
    /// Handed to a consumer, by delivery or by `basic.get`.
    pub received: u64,
    /// Publishes that the broker acknowledged.
    pub confirmed: u64,
    /// Publishes that the broker refused: `basic.nack`.
    pub nacked: u64,
    /// Mandatory publishes that went to no queue.
    pub returned: u64,
    /// Deliveries that consumers refused.
    pub rejected: u64,
    /// Among the received, those that were delivered before.
    pub redelivered: u64,
    /// `basic.get` that found the queue empty.
    pub empty_gets: u64,
    /// How often the broker said that it blocks publishers.
    pub blocked: u64,
    /// Bytes of bodies.
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.confirmed += other.confirmed;
        self.nacked += other.nacked;
        self.returned += other.returned;
        self.rejected += other.rejected;
        self.redelivered += other.redelivered;
        self.empty_gets += other.empty_gets;
        self.blocked += other.blocked;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
    }
}

/// The last moments at which something happened: rates are measured until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Last {
    pub sent: Moment,
    pub received: Moment,
    pub confirmed: Moment,
}

/// What happened during some time.
pub struct Sample {
    pub counts: Counts,
    pub last: Last,
    /// From when a message was due until it was received, in nanoseconds.
    pub latency: Histogram<u64>,
    /// From when it was due until it was confirmed.
    pub confirm_latency: Histogram<u64>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            last: Last::default(),
            latency: histogram(),
            confirm_latency: histogram(),
        }
    }
}

impl Sample {
    pub fn merge(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.last.sent = self.last.sent.max(other.last.sent);
        self.last.received = self.last.received.max(other.last.received);
        self.last.confirmed = self.last.confirmed.max(other.last.confirmed);
        // All of them have the same bounds.
        let _ = self.latency.add(&other.latency);
        let _ = self.confirm_latency.add(&other.confirm_latency);
    }

    /// Forgets everything and keeps its memory.
    pub fn clear(&mut self) {
        self.counts = Counts::default();
        self.last = Last::default();
        for histogram in [&mut self.latency, &mut self.confirm_latency] {
            if !histogram.is_empty() {
                histogram.reset();
            }
        }
    }

    pub fn received_after(&mut self, nanos: u64) {
        self.latency.saturating_record(nanos);
    }

    pub fn confirmed_after(&mut self, nanos: u64) {
        self.confirm_latency.saturating_record(nanos);
    }
}

/// From half a microsecond to an hour, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(512, 3600 * 1_000_000_000, 3).expect("bounds that are far apart")
}

/// Where the connections count. Each has one of these for itself or shares it with few others, and
/// locks it once for whatever one read or one write brought.
#[derive(Clone)]
pub struct Shards(Arc<[Mutex<Sample>]>);

impl Shards {
    pub fn new(count: usize) -> Self {
        Self((0..count.max(1)).map(|_| Mutex::default()).collect())
    }

    /// The one of connection number `index`.
    pub fn of(&self, index: usize) -> Shard {
        Shard { all: self.clone(), index: index % self.0.len() }
    }

    /// Moves everything that was counted since the last time into `sum`. `spare` is a cleared sample,
    /// and is one again afterwards: nobody is held up while histograms are added.
    pub fn drain(&self, sum: &mut Sample, spare: &mut Sample) {
        for shard in self.0.iter() {
            std::mem::swap(&mut *shard.lock(), spare);
            sum.merge(spare);
            spare.clear();
        }
    }
}

#[derive(Clone)]
pub struct Shard {
    all: Shards,
    index: usize,
}

impl Shard {
    pub fn record<T>(&self, record: impl FnOnce(&mut Sample) -> T) -> T {
        match self.all.0.get(self.index) {
            Some(sample) => record(&mut sample.lock()),
            None => record(&mut Sample::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up_once() {
        let shards = Shards::new(3);
        for index in 0..7_u64 {
            shards.of(index as usize).record(|sample| {
                sample.counts.sent += 1;
                sample.counts.received_bytes += index;
                sample.last.sent = Moment(index);
                sample.received_after(index * 1_000_000);
                sample.confirmed_after(5_000_000);
            });
        }
        let (mut sum, mut spare) = (Sample::default(), Sample::default());
        shards.drain(&mut sum, &mut spare);
        assert_eq!((sum.counts.sent, sum.counts.received_bytes), (7, 21));
        assert_eq!(sum.last.sent, Moment(6));
        assert_eq!((sum.latency.len(), sum.confirm_latency.len()), (7, 7));
        assert!(sum.latency.max().abs_diff(6_000_000) < 6000);
        // They begin anew.
        shards.drain(&mut sum, &mut spare);
        assert_eq!((sum.counts.sent, sum.latency.len()), (7, 7));
        assert_eq!((spare.counts, spare.latency.len()), (Counts::default(), 0));
        shards.of(1).record(|sample| sample.received_after(1_000_000));
        shards.drain(&mut sum, &mut spare);
        assert_eq!((sum.latency.len(), sum.confirm_latency.len()), (8, 7));
    }

    #[test]
    fn latencies_beyond_the_bounds_are_kept_at_them() {
        let mut sample = Sample::default();
        sample.received_after(0);
        sample.received_after(u64::MAX);
        assert_eq!(sample.latency.len(), 2);
        assert!(sample.latency.max() >= 3600 * 1_000_000_000);
    }
}
