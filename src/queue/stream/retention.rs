//! What a stream keeps (behaviour B13.15): whole parts go, from the oldest on, when there are more bytes
//! than `x-max-length-bytes` or when the newest message of a part is older than `x-max-age`.
//!
//! The newest part that is on disk always stays: it is what a restart knows the next offset by.

use super::Stream;
use super::parts::Part;
use crate::queue::{Options, Queue};
use crate::time::Time;

/// A tail that is older than this becomes a part, so that the journal need not keep it for ever.
const TAIL_AGE_MAX_MILLIS: u64 = 3_600_000;

impl Stream {
    /// Drops what need not be kept any more.
    pub(super) fn retain(&mut self, queue: &Queue, now: Time) {
        let limits = Limits::of(&self.options);
        while let (Some(oldest), Some(second)) = self.parts.oldest() {
            let is_safe = |part: &Part| queue.paging.is_none() || part.is_written();
            let is_over = self.parts.bytes() > limits.bytes || limits.end_of(oldest) <= now;
            if !is_over || !is_safe(oldest) || !is_safe(second) {
                return;
            }
            if let Some(segment) = self.parts.drop_oldest() {
                queue.drop_segment(&segment);
            }
        }
    }

    /// When the tail is to become a part, however short it is.
    pub(super) fn tail_ends(&self, queue: &Queue) -> Time {
        let Some(first) = self.parts.tail().filter(|_| queue.paging.is_some()) else {
            return Time::NEVER;
        };
        let age = Limits::of(&self.options)
            .age_millis
            .map_or(TAIL_AGE_MAX_MILLIS, |millis| millis.clamp(1000, TAIL_AGE_MAX_MILLIS));
        Time(first.deadline.0.saturating_add(age))
    }

    /// When the oldest part is too old.
    pub(super) fn oldest_ends(&self, queue: &Queue) -> Time {
        match self.parts.oldest() {
            (Some(oldest), Some(second)) if queue.paging.is_none() || second.is_written() => {
                Limits::of(&self.options).end_of(oldest)
            }
            _ => Time::NEVER,
        }
    }
}

struct Limits {
    bytes: u64,
    age_millis: Option<u64>,
}

impl Limits {
    fn of(options: &Options) -> Self {
        Self {
            bytes: options.max_length_bytes.unwrap_or(u64::MAX),
            age_millis: options.stream.max_age_millis,
        }
    }

    fn end_of(&self, part: &Part) -> Time {
        let until = part.span.until.0;
        self.age_millis.map_or(Time::NEVER, |millis| Time(until.saturating_add(millis)))
    }
}
