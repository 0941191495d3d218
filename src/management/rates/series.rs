//! What counters and gauges were, at the ends of sampling intervals.

use std::collections::VecDeque;

use crate::time::Time;

/// Between two samples.
pub(super) const INTERVAL_MILLIS: u64 = 5000;

/// The number of a sampling interval.
pub(super) fn tick_of(now: Time) -> u32 {
    u32::try_from(now.0 / INTERVAL_MILLIS).unwrap_or(u32::MAX)
}

fn millis_of(tick: u32) -> u64 {
    u64::from(tick) * INTERVAL_MILLIS
}

pub(super) fn time_of(tick: u32) -> Time {
    Time(millis_of(tick))
}

/// The last two times that samples were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ticks {
    pub previous: u32,
    pub latest: u32,
}

/// `N` numbers over time, oldest first. There is a sample for every interval in which one of them
/// changed, and none for the others.
#[derive(Debug)]
pub(super) struct Series<const N: usize> {
    samples: VecDeque<(u32, [u64; N])>,
}

/// Samples that a series may have, at so many intervals from one to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub samples: usize,
    pub step: u32,
}

/// Ten minutes of every interval.
pub(super) const TEN_MINUTES: Span = Span { samples: 120, step: 1 };

/// What the retention policy of the overview promises: hours less and less finely.
pub(super) const LONGER: [Span; 3] = [
    Span { samples: 60, step: 12 },
    Span { samples: 48, step: 120 },
    Span { samples: 48, step: 360 },
];

impl<const N: usize> Series<N> {
    /// Of something that was `before` until now.
    pub(super) fn starting_with(before: [u64; N], tick: u32) -> Self {
        Self { samples: VecDeque::from([(tick, before)]) }
    }

    /// Adds a sample; false when nothing has changed since the last one.
    pub(super) fn push(&mut self, tick: u32, values: [u64; N], samples_max: usize) -> bool {
        if self.samples.back().is_some_and(|(_, last)| *last == values) {
            return false;
        }
        // One more, to tell what the first of them was before.
        while self.samples.len() > samples_max {
            self.samples.pop_front();
        }
        self.samples.push_back((tick, values));
        true
    }

    /// Whether these are the numbers that were sampled last.
    pub(super) fn is_at(&self, values: &[u64; N]) -> bool {
        self.samples.back().is_some_and(|(_, last)| last == values)
    }

    pub(super) fn newest(&self) -> u32 {
        self.samples.back().map_or(0, |(tick, _)| *tick)
    }

    /// Bytes that it takes.
    pub(super) fn cost(&self) -> usize {
        self.samples.capacity() * size_of::<(u32, [u64; N])>()
    }

    /// Change per second over the last completed interval.
    pub(super) fn rate(&self, column: usize, ticks: Ticks) -> f64 {
        let mut newest = self.samples.iter().rev();
        let (Some((tick, now)), Some((_, before))) = (newest.next(), newest.next()) else {
            return 0.0;
        };
        if *tick != ticks.latest {
            return 0.0;
        }
        let seconds = (millis_of(ticks.latest) - millis_of(ticks.previous)) as f64 / 1000.0;
        difference(now.get(column), before.get(column)) / seconds.max(1.0)
    }

    /// What a number was at a tick; the oldest known for what was before.
    pub(super) fn at(&self, column: usize, tick: u32) -> u64 {
        let index = self.samples.partition_point(|(sampled, _)| *sampled <= tick);
        let sample = self.samples.get(index.saturating_sub(1));
        sample.and_then(|(_, values)| values.get(column)).copied().unwrap_or_default()
    }

    /// How far back it goes.
    fn oldest(&self) -> u32 {
        self.samples.front().map_or(u32::MAX, |(tick, _)| *tick)
    }
}

fn difference(one: Option<&u64>, other: Option<&u64>) -> f64 {
    let number = |value: Option<&u64>| value.copied().unwrap_or_default() as f64;
    number(one) - number(other)
}

/// A series of ten minutes, and some of the same that go back further with fewer samples.
#[derive(Debug)]
pub(super) struct History<const N: usize> {
    fine: Series<N>,
    longer: Vec<(Span, Series<N>)>,
}

impl<const N: usize> History<N> {
    pub(super) fn new(before: [u64; N], tick: u32, longer: &[Span]) -> Self {
        let series = || Series::starting_with(before, tick);
        Self { fine: series(), longer: longer.iter().map(|span| (*span, series())).collect() }
    }

    pub(super) fn push(&mut self, tick: u32, values: [u64; N]) {
        self.fine.push(tick, values, TEN_MINUTES.samples);
        for (span, series) in &mut self.longer {
            // The first tick in its step, even if the ticker has left some out.
            if tick / span.step > series.newest() / span.step {
                series.push(tick, values, span.samples);
            }
        }
    }

    pub(super) fn fine(&self) -> &Series<N> {
        &self.fine
    }

    /// The finest series that goes back to a tick, or else as far as there is any.
    pub(super) fn back_to(&self, tick: u32) -> &Series<N> {
        let longer = self.longer.iter().map(|(_, series)| series);
        let all = std::iter::once(&self.fine).chain(longer);
        // The first of those that go back equally far is the finest.
        all.min_by_key(|series| series.oldest().max(tick)).unwrap_or(&self.fine)
    }
}

/// Which samples are asked for: how far back, and how far apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::management) struct Range {
    pub age_seconds: u64,
    pub step_seconds: u64,
}

/// A range has no more samples than these.
pub(in crate::management) const SAMPLES_MAX: u64 = 500;

impl Range {
    /// When the samples are, newest first, in milliseconds.
    pub(super) fn times(self, ticks: Ticks) -> impl ExactSizeIterator<Item = u64> {
        let step = self.step_seconds.max(1) * 1000;
        let newest = millis_of(ticks.latest) / step * step;
        let count = (self.age_seconds / self.step_seconds.max(1)).min(SAMPLES_MAX) as usize + 1;
        (0..count).map(move |index| newest.saturating_sub(index as u64 * step))
    }
}

/// The tick whose sample holds at a time.
pub(super) fn tick_at(millis: u64) -> u32 {
    tick_of(Time(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ticks(previous: u32, latest: u32) -> Ticks {
        Ticks { previous, latest }
    }

    #[test]
    fn rate_is_that_of_the_last_completed_interval() {
        let mut series = Series::starting_with([0, 100], 9);
        assert_eq!(series.rate(0, ticks(9, 10)), 0.0);
        series.push(10, [50, 90], 120);
        assert_eq!([0, 1].map(|column| series.rate(column, ticks(9, 10))), [10.0, -2.0]);
        assert_eq!(series.rate(0, ticks(10, 11)), 0.0, "nothing came since");
        series.push(15, [60, 90], 120);
        assert_eq!(series.rate(0, ticks(14, 15)), 2.0, "it was quiet in between");
        assert_eq!(series.rate(0, ticks(13, 15)), 1.0, "the ticker was late");
        assert_eq!(series.rate(7, ticks(13, 15)), 0.0);
    }

    #[test]
    fn a_series_keeps_what_changed_and_no_more_than_it_may() {
        let mut series = Series::starting_with([0], 0);
        assert!(!series.push(1, [0], 10), "that is nothing new");
        for tick in 1..=1000 {
            assert!(series.push(tick, [tick.into()], 10));
        }
        assert_eq!(series.samples.len(), 11);
        assert_eq!((series.at(0, 1000), series.at(0, 995), series.at(0, 5)), (1000, 995, 990));
        series.push(2000, [7], 10);
        assert_eq!((series.at(0, 1999), series.at(0, 2000)), (1000, 7));
    }

    #[test]
    fn history_goes_back_a_day_with_few_samples() {
        let mut history = History::new([0], 0, &LONGER);
        let day = 24 * 3600 / 5;
        for tick in 1..=2 * day {
            history.push(tick, [tick.into()]);
        }
        let now = 2 * day;
        for (ago, within) in [(100, 1), (700, 12), (5000, 120), (17_000, 360)] {
            let series = history.back_to(now - ago);
            let found = series.at(0, now - ago);
            let expected = u64::from(now - ago);
            assert!(found <= expected && expected - found < within, "{ago} ago: {found}");
        }
        let samples = history.longer.iter().map(|(_, series)| series.samples.len());
        assert!(samples.eq([61, 49, 49]));
    }

    /// The charts of the overview stayed flat for as long as the broker was younger than they go back.
    #[test]
    fn a_young_history_is_as_fine_as_an_old_one() {
        let mut history = History::new([0], 1000, &LONGER);
        for tick in 1001..=1024 {
            history.push(tick, [tick.into()]);
        }
        let series = history.back_to(1024 - 120);
        assert_eq!([900, 1001, 1024].map(|tick| series.at(0, tick)), [0, 1001, 1024]);
    }

    #[test]
    fn times_are_aligned_newest_first() {
        let range = Range { age_seconds: 30, step_seconds: 10 };
        let times: Vec<u64> = range.times(ticks(0, 201)).collect();
        assert_eq!(times, [1_000_000, 990_000, 980_000, 970_000]);
        let all = Range { age_seconds: u64::MAX, step_seconds: 1 };
        assert_eq!(all.times(ticks(0, 201)).len(), 501);
    }
}
