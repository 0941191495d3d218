//! What was counted, second by second and in all.

use hdrhistogram::Histogram;

use super::clock::Moment;
use super::report::{Latency, Rates, Report, Second, Spread};
use super::sample::{Counts, Sample, Shards};

const SECOND: u64 = 1_000_000_000;

pub struct Series {
    shards: Shards,
    spare: Sample,
    /// Since the last whole second.
    current: Sample,
    total: Sample,
    begun: Option<Moment>,
    second_begun: Moment,
    seconds: Vec<Second>,
    last_received: Moment,
}

impl Series {
    pub fn new(shards: Shards) -> Self {
        Self {
            shards,
            spare: Sample::default(),
            current: Sample::default(),
            total: Sample::default(),
            begun: None,
            second_begun: Moment::default(),
            seconds: Vec::new(),
            last_received: Moment::default(),
        }
    }

    /// Time counts from here. At the first time what was received before is kept: consumers are there
    /// earlier than producers, and queues may have had messages. The second time ends a warm-up, which
    /// is forgotten.
    pub fn begin(&mut self, now: Moment) {
        self.gather();
        if self.begun.is_some() {
            self.current.clear();
            self.total.clear();
            self.seconds.clear();
        }
        self.begun = Some(now);
        self.second_begun = now;
        self.last_received = self.last_received.max(now);
    }

    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// When something was received last, or the beginning.
    pub fn last_received(&self) -> Moment {
        self.last_received
    }

    /// Collects what was counted; a second comes back when it is over.
    pub fn collect(&mut self, now: Moment) -> Option<Second> {
        self.gather();
        (now.since(self.second_begun) >= SECOND).then(|| self.close_second(now))
    }

    fn gather(&mut self) {
        self.shards.drain(&mut self.current, &mut self.spare);
        self.last_received = self.last_received.max(self.current.last.received);
    }

    fn close_second(&mut self, now: Moment) -> Second {
        let begun = self.begun.unwrap_or(self.second_begun);
        let second = Second {
            at: now.seconds_since(begun),
            seconds: now.seconds_since(self.second_begun),
            counts: self.current.counts,
            latency: spread(&self.current.latency),
            confirm_latency: spread(&self.current.confirm_latency),
        };
        self.total.merge(&self.current);
        self.current.clear();
        self.second_begun = now;
        self.seconds.push(second.clone());
        second
    }

    /// The figures of a report; whose they are is for others to fill in.
    pub fn report(mut self, now: Moment) -> Report {
        self.gather();
        if self.current.counts != Counts::default() {
            self.close_second(now);
        }
        let begun = self.begun.unwrap_or(now);
        let Sample { counts, last, latency, confirm_latency } = &self.total;
        let last_at = last.sent.max(last.received).max(last.confirmed);
        let until = |last: Moment| last.seconds_since(begun).max(1e-3);
        let seconds = until(last_at);
        let rates = Rates {
            sent: counts.sent as f64 / until(last.sent),
            received: counts.received as f64 / until(last.received),
            confirmed: counts.confirmed as f64 / until(last.confirmed),
            returned: counts.returned as f64 / seconds,
            nacked: counts.nacked as f64 / seconds,
            rejected: counts.rejected as f64 / seconds,
            sent_bytes: counts.sent_bytes as f64 / until(last.sent),
            received_bytes: counts.received_bytes as f64 / until(last.received),
        };
        Report {
            started: begun.0 / SECOND,
            seconds,
            counts: *counts,
            rates,
            latency: distribution(latency),
            confirm_latency: distribution(confirm_latency),
            series: self.seconds,
            ..Report::default()
        }
    }
}

/// In microseconds, to the tenth.
fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

fn spread(histogram: &Histogram<u64>) -> Option<Spread> {
    let at = |percentile| micros(histogram.value_at_percentile(percentile));
    (!histogram.is_empty()).then(|| Spread {
        p50_us: at(50.0),
        p95_us: at(95.0),
        p99_us: at(99.0),
        max_us: micros(histogram.max()),
    })
}

fn distribution(histogram: &Histogram<u64>) -> Option<Latency> {
    if histogram.is_empty() {
        return None;
    }
    let at = |percentile| micros(histogram.value_at_percentile(percentile));
    // Ever closer to the end: each step halves what is left, ten times for each nine.
    let mut distribution = vec![(0.0, micros(histogram.min()))];
    let mut left = 100.0;
    while left * histogram.len() as f64 / 100.0 >= 1.0 && left > 1e-4 {
        left /= 10_f64.powf(0.1);
        distribution.push((100.0 - left, at(100.0 - left)));
    }
    distribution.push((100.0, micros(histogram.max())));
    Some(Latency {
        count: histogram.len(),
        min_us: micros(histogram.min()),
        mean_us: (histogram.mean() / 100.0).round() / 10.0,
        p50_us: at(50.0),
        p75_us: at(75.0),
        p95_us: at(95.0),
        p99_us: at(99.0),
        p999_us: at(99.9),
        max_us: micros(histogram.max()),
        distribution,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment(1_000_000_000_000 + millis * 1_000_000)
    }

    fn receive(shards: &Shards, count: u64, millis: u64) {
        shards.of(0).record(|sample| {
            sample.counts.received += count;
            sample.last.received = at(millis);
            (0..count).for_each(|_| sample.received_after(2_000_000));
        });
    }

    #[test]
    fn seconds_add_up_to_the_total() {
        let shards = Shards::new(1);
        let mut series = Series::new(shards.clone());
        receive(&shards, 3, 0);
        series.begin(at(100));
        receive(&shards, 5, 600);
        assert!(series.collect(at(600)).is_none());
        let second = series.collect(at(1150)).unwrap();
        assert_eq!((second.counts.received, second.at, second.seconds), (8, 1.05, 1.05));
        receive(&shards, 2, 2100);
        assert!(series.collect(at(2100)).is_none());
        assert_eq!(series.last_received(), at(2100));
        let report = series.report(at(2200));
        assert_eq!((report.counts.received, report.seconds), (10, 2.0));
        assert_eq!(report.rates.received, 5.0);
        assert_eq!(report.series.len(), 2);
        let latency = report.latency.unwrap();
        assert_eq!(latency.count, 10);
        assert!((latency.p50_us - 2000.0).abs() < 3.0, "{latency:?}");
        assert!(report.confirm_latency.is_none());
    }

    #[test]
    fn a_warm_up_is_forgotten() {
        let shards = Shards::new(1);
        let mut series = Series::new(shards.clone());
        series.begin(at(0));
        receive(&shards, 7, 500);
        series.collect(at(1000)).unwrap();
        receive(&shards, 7, 1200);
        series.begin(at(1500));
        receive(&shards, 4, 2000);
        let report = series.report(at(2000));
        assert_eq!((report.counts.received, report.series.len(), report.seconds), (4, 1, 0.5));
        assert_eq!((report.rates.received, report.latency.unwrap().count), (8.0, 4));
    }

    #[test]
    fn percentiles_rise_to_the_greatest() {
        let mut histogram = Sample::default().latency;
        (1..=10_000).for_each(|value| histogram.saturating_record(value * 1000));
        let latency = distribution(&histogram).unwrap();
        for (found, expected) in [
            (latency.min_us, 1.0),
            (latency.p50_us, 5000.0),
            (latency.p75_us, 7500.0),
            (latency.p99_us, 9900.0),
            (latency.p999_us, 9990.0),
            (latency.max_us, 10_000.0),
            (latency.mean_us, 5000.5),
        ] {
            assert!((found - expected).abs() <= expected * 0.002 + 1.0, "{found} {expected}");
        }
        let rising = latency.distribution.windows(2).all(|two| {
            let [(p, a), (q, b)] = two else { return false };
            p < q && a <= b
        });
        assert!(rising, "{:?}", latency.distribution);
    }
}
