//! How numbers and their past are shown (reference 6.0).

use serde_json::{Map, Value, json};

use super::series::{History, Range, Series, Ticks, tick_at};

/// The past of some numbers.
pub(super) trait Past {
    fn rate(&self, column: usize, ticks: Ticks) -> f64;

    /// What a number was at a tick. `oldest` is the first tick that is asked for together with it.
    fn at(&self, column: usize, tick: u32, oldest: u32) -> u64;
}

impl<const N: usize> Past for Series<N> {
    fn rate(&self, column: usize, ticks: Ticks) -> f64 {
        self.rate(column, ticks)
    }

    fn at(&self, column: usize, tick: u32, _: u32) -> u64 {
        self.at(column, tick)
    }
}

impl<const N: usize> Past for History<N> {
    fn rate(&self, column: usize, ticks: Ticks) -> f64 {
        self.fine().rate(column, ticks)
    }

    fn at(&self, column: usize, tick: u32, oldest: u32) -> u64 {
        self.back_to(oldest).at(column, tick)
    }
}

/// The pasts that add up to what is shown, and which part of them.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub pasts: &'a [&'a dyn Past],
    pub ticks: Ticks,
    pub range: Option<Range>,
}

impl View<'_> {
    /// Adds a number and its `_details`. Without a past it has always been what it is.
    pub(super) fn put(&self, object: &mut Map<String, Value>, key: &str, now: u64, column: usize) {
        object.insert(key.to_owned(), now.into());
        object.insert(format!("{key}_details"), self.details(now, column));
    }

    /// The same for keys that stand in columns from `first` on.
    pub(super) fn put_all(
        &self,
        object: &mut Map<String, Value>,
        keys: &[&str],
        now: &[u64],
        first: usize,
    ) {
        for (index, (key, now)) in keys.iter().zip(now).enumerate() {
            self.put(object, key, *now, first + index);
        }
    }

    fn details(&self, now: u64, column: usize) -> Value {
        // No numbers at all add up to a negative zero.
        let rate = self.pasts.iter().map(|past| past.rate(column, self.ticks)).sum::<f64>() + 0.0;
        let Some(range) = self.range else { return json!({ "rate": rate }) };
        let times: Vec<u64> = range.times(self.ticks).collect();
        let oldest = times.last().map_or(0, |millis| tick_at(*millis));
        let at = |millis: &u64| match self.pasts {
            [] => now,
            pasts => pasts.iter().map(|past| past.at(column, tick_at(*millis), oldest)).sum(),
        };
        let samples: Vec<u64> = times.iter().map(at).collect();
        let (newest, first) = (samples.first().copied(), samples.last().copied());
        let change = newest.unwrap_or_default() as f64 - first.unwrap_or_default() as f64;
        let millis = times.first().unwrap_or(&0) - times.last().unwrap_or(&0);
        let avg_rate = if millis == 0 { 0.0 } else { change * 1000.0 / millis as f64 };
        let sum: f64 = samples.iter().map(|sample| *sample as f64).sum();
        let shown = samples.iter().zip(&times);
        let shown: Vec<Value> = shown
            .map(|(sample, millis)| json!({ "sample": sample, "timestamp": millis }))
            .collect();
        json!({
            "rate": rate,
            "samples": shown,
            "avg": sum / samples.len().max(1) as f64,
            "avg_rate": avg_rate,
        })
    }
}
