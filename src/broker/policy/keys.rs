//! The keys of a definition: which there are, what they may be, and which types of queue know them.

use super::rules::{Rules, stricter_limit};
use super::{InvalidPolicy, PolicyScope, erlang, erlang_pairs, invalid};
use crate::protocol::{FieldTable, FieldValue};
use crate::queue::{Overflow, QueueKind, SEGMENT_BYTES_MAX, age_millis};

/// Keys that operator policies may have too.
const OPERATOR: [&str; 14] = [
    "expires",
    "message-ttl",
    "max-length",
    "max-length-bytes",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "delivery-limit",
    "overflow",
    "queue-version",
    "target-group-size",
    "member-placement-tag",
    "delayed-retry-type",
    "delayed-retry-min",
    "delayed-retry-max",
];

/// Keys that are accepted for others' sake and change nothing here: mirroring, which RabbitMQ 4 no
/// longer has, federation, and what concerns many nodes.
const WITHOUT_EFFECT: [&str; 13] = [
    "ha-mode",
    "ha-params",
    "ha-sync-mode",
    "ha-sync-batch-size",
    "ha-promote-on-shutdown",
    "ha-promote-on-failure",
    "federation-upstream",
    "federation-upstream-set",
    "target-group-size",
    "member-placement-tag",
    "delayed-retry-type",
    "delayed-retry-min",
    "delayed-retry-max",
];

/// Keys that a type of queue does not know: a policy with one of them does not apply to it.
const FOREIGN_TO_CLASSIC: [&str; 14] = [
    "max-age",
    "stream-max-segment-size-bytes",
    "stream-filter-size-bytes",
    "initial-cluster-size",
    "delivery-limit",
    "dead-letter-strategy",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "consumer-disconnected-timeout",
    "target-group-size",
    "member-placement-tag",
    "delayed-retry-type",
    "delayed-retry-min",
    "delayed-retry-max",
];
const FOREIGN_TO_QUORUM: [&str; 6] = [
    "max-age",
    "stream-max-segment-size-bytes",
    "stream-filter-size-bytes",
    "initial-cluster-size",
    "queue-mode",
    "queue-version",
];

const FOREIGN_TO_STREAM: [&str; 18] = [
    "message-ttl",
    "expires",
    "max-length",
    "overflow",
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "dead-letter-strategy",
    "delivery-limit",
    "consumer-timeout",
    "consumer-disconnected-timeout",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "queue-mode",
    "queue-version",
    "member-placement-tag",
    "delayed-retry-type",
    "delayed-retry-min",
    "delayed-retry-max",
];

pub(super) fn is_known_to(key: &str, kind: QueueKind) -> bool {
    match kind {
        QueueKind::Classic => !FOREIGN_TO_CLASSIC.contains(&key),
        QueueKind::Quorum => !FOREIGN_TO_QUORUM.contains(&key),
        QueueKind::Stream => !FOREIGN_TO_STREAM.contains(&key),
    }
}

/// Reads a definition. Unknown keys are reported all at once, bad values one at a time.
pub(super) fn read(scope: PolicyScope, definition: &FieldTable) -> Result<Rules, InvalidPolicy> {
    if definition.is_empty() {
        return invalid("no policy provided".to_owned());
    }
    let mut rules = Rules::default();
    let mut unknown = Vec::new();
    let mut bad = None;
    for (key, value) in definition.iter() {
        let allowed = scope == PolicyScope::User || OPERATOR.contains(&key);
        match read_key(&mut rules, key, value) {
            _ if !allowed => unknown.push((key, value)),
            Read::Unknown => unknown.push((key, value)),
            Read::Bad(what) => _ = bad.get_or_insert((what, value)),
            Read::Good => {}
        }
    }
    if !unknown.is_empty() {
        unknown.sort_by_key(|(key, _)| *key);
        let pairs = erlang_pairs(unknown.into_iter());
        return invalid(format!("{pairs} are not recognised policy settings"));
    }
    match bad {
        Some((what, value)) => invalid(format!("{} is not a valid {what}", erlang(value))),
        None => Ok(rules),
    }
}

enum Read {
    Good,
    /// It is not a valid … what?
    Bad(&'static str),
    Unknown,
}

fn read_key(rules: &mut Rules, key: &str, value: &FieldValue) -> Read {
    let number = |min: i64| value.as_int().filter(|number| *number >= min);
    let unsigned = |min: i64| number(min).and_then(|number| u64::try_from(number).ok());
    let text = || value.as_str().map(str::to_owned);
    let word = |words: &[&str]| value.as_str().is_some_and(|word| words.contains(&word));
    let (good, what) = match key {
        "message-ttl" => (set(&mut rules.message_ttl_millis, unsigned(0)), "message TTL"),
        "expires" => (set(&mut rules.expires_millis, unsigned(1)), "queue expiry"),
        "max-length" => (set(&mut rules.max_length, unsigned(0)), "maximum length"),
        "max-length-bytes" => {
            (set(&mut rules.max_length_bytes, unsigned(0)), "maximum length in bytes")
        }
        "max-in-memory-length" | "max-in-memory-bytes" => {
            (number(0).is_some(), "maximum memory in bytes")
        }
        "overflow" => {
            (set(&mut rules.overflow, value.as_str().and_then(Overflow::parse)), "overflow value")
        }
        "dead-letter-exchange" => {
            (set(&mut rules.dead_letter_exchange, text()), "dead letter exchange name")
        }
        "dead-letter-routing-key" => {
            (set(&mut rules.dead_letter_routing_key, text()), "dead letter routing key")
        }
        "dead-letter-strategy" => {
            let strategy = match value.as_str() {
                Some("at-least-once") => Some(true),
                Some("at-most-once") => Some(false),
                _ => None,
            };
            (set(&mut rules.dead_letter_at_least_once, strategy), "dead letter strategy")
        }
        "delivery-limit" => (set(&mut rules.delivery_limit, value.as_int()), "delivery limit"),
        "consumer-timeout" => {
            (set(&mut rules.consumer_timeout_millis, unsigned(0)), "consumer timeout")
        }
        "consumer-disconnected-timeout" => (number(0).is_some(), "consumer disconnected timeout"),
        "alternate-exchange" => {
            (set(&mut rules.alternate_exchange, text()), "alternate exchange name")
        }
        "queue-mode" => (word(&["default", "lazy"]), "queue-mode value"),
        "queue-version" => (
            value.as_int().is_some_and(|version| version == 1 || version == 2),
            "queue-version value",
        ),
        "queue-leader-locator" => (
            word(&["client-local", "balanced", "random", "least-leaders"]),
            "queue leader locator value",
        ),
        "initial-cluster-size" => (number(1).is_some(), "cluster size"),
        "max-age" => {
            (set(&mut rules.max_age_millis, value.as_str().and_then(age_millis)), "max age")
        }
        "stream-max-segment-size-bytes" => {
            let size = unsigned(0).filter(|size| *size <= SEGMENT_BYTES_MAX);
            (set(&mut rules.segment_bytes, size), "segment size")
        }
        "stream-filter-size-bytes" => {
            (number(16).is_some_and(|size| size <= 255), "filter size. Valid range is 16-255.")
        }
        key if WITHOUT_EFFECT.contains(&key) => (true, ""),
        _ => return Read::Unknown,
    };
    if good { Read::Good } else { Read::Bad(what) }
}

/// False when there is no value.
fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

/// Of a user's and an operator's value of a key, the one that holds.
pub(super) fn stricter<'a>(
    key: &str,
    user: &'a FieldValue,
    operator: &'a FieldValue,
) -> &'a FieldValue {
    let (Some(one), Some(two)) = (user.as_int(), operator.as_int()) else {
        return operator;
    };
    let held = match key {
        "delivery-limit" => stricter_limit(Some(one), Some(two)).unwrap_or(two),
        "queue-version" => two,
        _ => one.min(two),
    };
    if held == one { user } else { operator }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_lists_is_read() {
        let all = OPERATOR.iter().chain(&WITHOUT_EFFECT).chain(&FOREIGN_TO_CLASSIC);
        for key in all.chain(&FOREIGN_TO_QUORUM).chain(&FOREIGN_TO_STREAM) {
            let read = read_key(&mut Rules::default(), key, &FieldValue::Void);
            assert!(!matches!(read, Read::Unknown), "{key}");
        }
    }
}
