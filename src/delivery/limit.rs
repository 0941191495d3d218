//! The prefetch limit of a channel (`basic.qos` with global set, behaviour B6.6).

use std::sync::atomic::{AtomicU32, Ordering};

/// Counts deliveries that await their settlement over all consumers of a channel, whatever queue
/// they come from. Queues add to it under their own locks, so it is atomic; a queue that finds no
/// room leaves, and the session calls the channel's queues again when it has given room back.
#[derive(Debug, Default)]
pub struct ChannelLimit {
    /// 0: unlimited.
    limit: AtomicU32,
    in_use: AtomicU32,
}

impl ChannelLimit {
    pub fn set(&self, limit: u16) {
        self.limit.store(u32::from(limit), Ordering::Relaxed);
    }

    /// 0 is no limit.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    pub fn is_set(&self) -> bool {
        self.limit.load(Ordering::Relaxed) != 0
    }

    pub fn in_use(&self) -> u32 {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Takes up to `wanted` places and says how many it got.
    #[inline]
    pub fn acquire(&self, wanted: u32) -> u32 {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit == 0 {
            self.in_use.fetch_add(wanted, Ordering::Relaxed);
            return wanted;
        }
        let mut in_use = self.in_use.load(Ordering::Relaxed);
        loop {
            let granted = wanted.min(limit.saturating_sub(in_use));
            if granted == 0 {
                return 0;
            }
            match self.in_use.compare_exchange_weak(
                in_use,
                in_use + granted,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return granted,
                Err(now) => in_use = now,
            }
        }
    }

    /// Gives back what `acquire` granted.
    #[inline]
    pub fn release(&self, count: u32) {
        self.in_use.fetch_sub(count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_grants_what_is_left_and_counts_without_one() {
        let limit = ChannelLimit::default();
        assert_eq!(limit.acquire(5), 5);
        limit.set(7);
        assert_eq!(limit.acquire(5), 2);
        assert_eq!(limit.acquire(1), 0);
        limit.release(3);
        assert_eq!(limit.acquire(9), 3);
        limit.set(0);
        assert_eq!(limit.acquire(9), 9);
        assert_eq!(limit.in_use(), 16);
    }
}
