//! What a policy's definition means, and how it goes together with others.

use crate::queue::{Options, Overflow, QueueKind, StreamOptions};

/// The keys that change something. `None` is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub message_ttl_millis: Option<u64>,
    pub expires_millis: Option<u64>,
    pub max_length: Option<u64>,
    pub max_length_bytes: Option<u64>,
    pub overflow: Option<Overflow>,
    pub dead_letter_exchange: Option<String>,
    pub dead_letter_routing_key: Option<String>,
    pub dead_letter_at_least_once: Option<bool>,
    /// Negative is no limit.
    pub delivery_limit: Option<i64>,
    /// 0 is no timeout.
    pub consumer_timeout_millis: Option<u64>,
    pub alternate_exchange: Option<String>,
    pub max_age_millis: Option<u64>,
    /// 0 is no size of its own.
    pub segment_bytes: Option<u64>,
}

impl Rules {
    /// A user's rules below an operator's: the smaller of numbers, and the operator's of all else.
    pub(super) fn under(&self, operator: &Self) -> Self {
        let mut rules = self.clone();
        rules.message_ttl_millis = smaller(self.message_ttl_millis, operator.message_ttl_millis);
        rules.expires_millis = smaller(self.expires_millis, operator.expires_millis);
        rules.max_length = smaller(self.max_length, operator.max_length);
        rules.max_length_bytes = smaller(self.max_length_bytes, operator.max_length_bytes);
        rules.delivery_limit = stricter_limit(self.delivery_limit, operator.delivery_limit);
        rules.overflow = operator.overflow.or(self.overflow);
        rules
    }

    /// What holds for a queue with these arguments (behaviour B10.9's table).
    pub(in crate::broker) fn with(&self, arguments: &Options) -> Options {
        let mut options = arguments.clone();
        let Options { message_ttl_millis, expires_millis, max_length, max_length_bytes, .. } =
            *arguments;
        options.message_ttl_millis = smaller(message_ttl_millis, self.message_ttl_millis);
        options.expires_millis = smaller(expires_millis, self.expires_millis);
        options.max_length = smaller(max_length, self.max_length);
        options.max_length_bytes = smaller(max_length_bytes, self.max_length_bytes);
        options.overflow = match arguments.kind {
            QueueKind::Classic => arguments.overflow.or(self.overflow),
            QueueKind::Quorum => self.overflow.or(arguments.overflow),
            QueueKind::Stream => None,
        };
        if arguments.kind == QueueKind::Stream {
            options.max_length_bytes = self.max_length_bytes.or(max_length_bytes);
            let StreamOptions { max_age_millis, segment_bytes } = &mut options.stream;
            *max_age_millis = self.max_age_millis.or(*max_age_millis);
            *segment_bytes = self.segment_bytes.filter(|size| *size > 0).or(*segment_bytes);
        }
        if options.dead_letter_exchange.is_none() {
            options.dead_letter_exchange.clone_from(&self.dead_letter_exchange);
        }
        if options.dead_letter_routing_key.is_none() {
            options.dead_letter_routing_key.clone_from(&self.dead_letter_routing_key);
        }
        options.dead_letter_at_least_once =
            arguments.dead_letter_at_least_once.or(self.dead_letter_at_least_once);
        options.delivery_limit = stricter_limit(arguments.delivery_limit, self.delivery_limit);
        options.consumer_timeout_millis =
            shorter(arguments.consumer_timeout_millis, self.consumer_timeout_millis);
        options
    }
}

fn smaller(one: Option<u64>, two: Option<u64>) -> Option<u64> {
    one.into_iter().chain(two).min()
}

/// Of times, where 0 is for ever.
fn shorter(one: Option<u64>, two: Option<u64>) -> Option<u64> {
    one.into_iter().chain(two).min_by_key(|millis| millis.wrapping_sub(1))
}

/// Of limits, where a negative one is none.
pub(super) fn stricter_limit(one: Option<i64>, two: Option<i64>) -> Option<i64> {
    match (one, two) {
        (Some(one), Some(two)) if one < 0 || two < 0 => Some(one.max(two)),
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_merged_to_the_stricter_one() {
        for (one, two, expected) in
            [(None, None, None), (Some(1), None, Some(1)), (Some(3), Some(2), Some(2))]
        {
            assert_eq!((smaller(one, two), smaller(two, one)), (expected, expected));
        }
        for (one, two, expected) in [
            (Some(0), None, Some(0)),
            (Some(0), Some(5), Some(5)),
            (Some(3), Some(5), Some(3)),
            (None, None, None),
        ] {
            assert_eq!((shorter(one, two), shorter(two, one)), (expected, expected));
        }
        for (one, two, expected) in [
            (Some(-1), Some(5), Some(5)),
            (Some(-1), Some(-7), Some(-1)),
            (Some(3), Some(5), Some(3)),
            (None, Some(-1), Some(-1)),
        ] {
            let merged = (stricter_limit(one, two), stricter_limit(two, one));
            assert_eq!(merged, (expected, expected));
        }
    }

    #[test]
    fn overflow_is_the_arguments_on_a_classic_queue_and_the_policys_on_a_quorum_queue() {
        let (drop_head, reject) = (Some(Overflow::DropHead), Some(Overflow::RejectPublish));
        for (kind, argument, policy, expected) in [
            (QueueKind::Classic, drop_head, reject, drop_head),
            (QueueKind::Classic, None, reject, reject),
            (QueueKind::Quorum, drop_head, reject, reject),
            (QueueKind::Quorum, drop_head, None, drop_head),
        ] {
            let arguments = Options { kind, overflow: argument, ..Options::default() };
            let rules = Rules { overflow: policy, ..Rules::default() };
            assert_eq!(rules.with(&arguments).overflow, expected, "{kind:?}");
        }
    }
}
