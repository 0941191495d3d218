//! Rates: how many connections, or messages, a user or a vhost may open or publish per second.
//!
//! A [`Bucket`] holds what may happen at once: at most what one second gives, and it fills up evenly.
//! Time is an argument. Buckets are shared by all connections of a user or vhost; they are made when
//! somebody asks for one, so where there is no limit there is nothing to look at.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::names::{UserName, VhostName};
use crate::time::Time;

/// Whose rate it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    User(UserName),
    Vhost(VhostName),
}

/// What may happen so many times a second, for all who share it.
#[derive(Debug)]
pub struct Bucket(Mutex<Level>);

/// What is in a bucket, in thousandths: a rate per second is so many thousandths per millisecond.
#[derive(Clone, Copy, Debug)]
struct Level {
    per_second: u32,
    thousandths: u64,
    at: Time,
}

const ONE: u64 = 1000;

impl Level {
    fn full(per_second: u32, now: Time) -> Self {
        Self { per_second, thousandths: u64::from(per_second) * ONE, at: now }
    }

    fn capacity(&self) -> u64 {
        u64::from(self.per_second) * ONE
    }

    fn fill(&mut self, now: Time) {
        let millis = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let came = millis.saturating_mul(u64::from(self.per_second));
        self.thousandths = self.thousandths.saturating_add(came).min(self.capacity());
        self.at = self.at.max(now);
    }

    /// How long until there is one; `None` when there never will be.
    fn wait(&self) -> Option<Duration> {
        let missing = ONE.saturating_sub(self.thousandths);
        match u64::from(self.per_second) {
            0 if missing > 0 => None,
            0 => Some(Duration::ZERO),
            rate => Some(Duration::from_millis(missing.div_ceil(rate))),
        }
    }
}

impl Bucket {
    /// A full one.
    pub fn new(per_second: u32, now: Time) -> Self {
        Self(Mutex::new(Level::full(per_second, now)))
    }

    /// Another rate. What is there and would not fit any more is gone.
    fn set(&self, per_second: u32, now: Time) {
        let mut level = self.0.lock();
        level.fill(now);
        level.per_second = per_second;
        level.fill(now);
    }

    /// Takes one; or says when there will be one, `NEVER` where the rate is 0.
    pub fn take(&self, now: Time) -> Result<(), Time> {
        take_all(&[self], now)
    }

    /// One as it was when it was new holds nothing that has to be remembered.
    fn is_full(&self, now: Time) -> bool {
        let mut level = self.0.lock();
        level.fill(now);
        level.thousandths == level.capacity()
    }
}

/// Takes one from each bucket, or from none; then the answer is when it may be tried again.
pub fn take_all(buckets: &[&Bucket], now: Time) -> Result<(), Time> {
    // In the order in which they are given, which is the same everywhere: the user's, the vhost's.
    let mut levels: SmallVec<[_; 2]> = buckets.iter().map(|bucket| bucket.0.lock()).collect();
    let mut latest = Some(Duration::ZERO);
    for level in &mut levels {
        level.fill(now);
        latest = latest.zip(level.wait()).map(|(one, other)| one.max(other));
    }
    match latest {
        Some(Duration::ZERO) => {
            levels.iter_mut().for_each(|level| level.thousandths -= ONE);
            Ok(())
        }
        Some(wait) => Err(now + wait),
        None => Err(Time::NEVER),
    }
}

/// The buckets of one kind, by their owners.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: Mutex<HashMap<Whose, Arc<Bucket>>>,
}

impl Rates {
    /// The bucket that all connections of `whose` share, with this rate from now on.
    pub fn bucket(&self, whose: Whose, per_second: u32, now: Time) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock();
        if let Some(bucket) = buckets.get(&whose) {
            bucket.set(per_second, now);
            return Arc::clone(bucket);
        }
        if buckets.len().is_power_of_two() {
            // Of users and vhosts that are gone, or whose limit was lifted.
            buckets.retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_full(now));
        }
        let bucket = Arc::new(Bucket::new(per_second, now));
        buckets.insert(whose, Arc::clone(&bucket));
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When so many in a row may be taken, in milliseconds from the start, one after the other.
    fn taken(bucket: &Bucket, count: usize) -> Vec<u64> {
        let mut now = Time(0);
        let take = |_| loop {
            match bucket.take(now) {
                Ok(()) => break now.0,
                Err(when) => now = when,
            }
        };
        (0..count).map(take).collect()
    }

    #[test]
    fn a_second_is_there_at_once_and_then_it_comes_evenly() {
        assert_eq!(taken(&Bucket::new(1, Time(0)), 4), [0, 1000, 2000, 3000]);
        assert_eq!(taken(&Bucket::new(3, Time(0)), 6), [0, 0, 0, 334, 667, 1000]);
        assert_eq!(taken(&Bucket::new(2000, Time(0)), 2003)[1998..], [0, 0, 1, 1, 2]);
        let late = taken(&Bucket::new(7, Time(0)), 7 + 7 * 100);
        assert_eq!(late.last(), Some(&100_000));
    }

    #[test]
    fn no_more_than_a_second_is_saved_up() {
        let bucket = Bucket::new(3, Time(0));
        for start in [1_000_000, 2_000_000] {
            let taken = (0..10).filter(|_| bucket.take(Time(start)).is_ok()).count();
            assert_eq!(taken, 3);
        }
        // A clock that stands still, or is read late, gives nothing.
        assert_eq!(bucket.take(Time(5)), Err(Time(5 + 334)));
        assert_eq!(bucket.take(Time(2_000_333)), Err(Time(2_000_334)));
        assert_eq!(bucket.take(Time(2_000_334)), Ok(()));
    }

    #[test]
    fn rate_of_0_gives_nothing_ever() {
        let bucket = Bucket::new(0, Time(0));
        assert_eq!(bucket.take(Time(u64::MAX / 2)), Err(Time::NEVER));
        let largest = Bucket::new(u32::MAX, Time(0));
        assert_eq!(largest.take(Time(u64::MAX / 2)), Ok(()));
    }

    #[test]
    fn what_several_give_is_taken_from_all_or_from_none() {
        let (one, two) = (Bucket::new(1, Time(0)), Bucket::new(2, Time(0)));
        assert_eq!(take_all(&[&one, &two], Time(0)), Ok(()));
        assert_eq!(take_all(&[&one, &two], Time(0)), Err(Time(1000)));
        assert_eq!(two.take(Time(0)), Ok(()));
        assert_eq!(two.take(Time(0)), Err(Time(500)));
        assert_eq!(take_all(&[], Time(0)), Ok(()));
    }

    #[test]
    fn bucket_is_shared_and_follows_its_rate() {
        let rates = Rates::default();
        let hare = || Whose::User("hare".into());
        let bucket = rates.bucket(hare(), 2, Time(0));
        bucket.take(Time(0)).unwrap();
        // It was full: one is gone, whatever the rate is now.
        assert_eq!(rates.bucket(hare(), 5, Time(0)).take(Time(0)), Ok(()));
        assert_eq!(bucket.take(Time(0)), Err(Time(200)));
        assert_eq!(rates.bucket(hare(), 1, Time(60_000)).take(Time(60_000)), Ok(()));
        assert_eq!(bucket.take(Time(60_000)), Err(Time(61_000)));
        // One's own: of that name, of that kind.
        rates.bucket(Whose::Vhost("hare".into()), 1, Time(60_000)).take(Time(60_000)).unwrap();
    }

    #[test]
    fn buckets_of_those_who_are_gone_are_forgotten() {
        let rates = Rates::default();
        for n in 0..10_000u64 {
            let now = Time(n * 10);
            let whose = Whose::User(format!("user {n}").as_str().into());
            rates.bucket(whose, 1, now).take(now).unwrap();
        }
        // Those that are not full again are kept: nobody gets more by coming back.
        assert!(rates.buckets.lock().len() < 10_000);
        let now = Time(9_999 * 10);
        assert!(rates.bucket(Whose::User("user 9999".into()), 1, now).take(now).is_err());
        assert!(rates.bucket(Whose::User("user 9950".into()), 1, now).take(now).is_err());
    }
}
