//! The argument table of `queue.declare`, row by row (behaviour B5.6).

use leveret::protocol::method::queue::Declare;
use leveret::protocol::{FieldTable, FieldValue};

use crate::support::World;

/// Ten years in milliseconds: the longest time there is.
const TEN_YEARS: i64 = 315_360_000_000;

fn declare(name: &str, value: FieldValue) -> Declare<'static> {
    let arguments = FieldTable::from_iter([(name, value)]);
    Declare { queue: "q", arguments, ..Declare::default() }
}

/// Refused with this reason, and nothing was made.
#[track_caller]
fn refuse(name: &str, value: impl Into<FieldValue>, reason: &str) {
    let peer = World::new().open();
    let text =
        format!("PRECONDITION_FAILED - invalid arg '{name}' for queue 'q' in vhost '/'{reason}");
    peer.refused(1, declare(name, value.into()), 406, &text);
    let passive = Declare { queue: "q", passive: true, ..Declare::default() };
    peer.refused(1, passive, 404, "NOT_FOUND - no queue 'q' in vhost '/'");
}

#[track_caller]
fn accept(name: &str, value: impl Into<FieldValue>) {
    let peer = World::new().open();
    let value = value.into();
    peer.declare_as(1, declare(name, value.clone()));
    peer.declare_as(1, declare(name, value));
}

/// Numbers: any width, from zero, and in the reason what came instead.
#[test]
fn integer_arguments_take_integers_of_any_width() {
    for name in ["x-message-ttl", "x-max-length", "x-max-length-bytes", "x-max-priority"] {
        accept(name, 0);
        accept(name, 7_i8);
        accept(name, 7_u8);
        accept(name, 7_i16);
        accept(name, 7_u16);
        accept(name, 7_u32);
        accept(name, 7_i64);
        refuse(name, -1, ": {value_negative,-1}");
        refuse(name, -7_i64, ": {value_negative,-7}");
        for (value, kind) in [
            (FieldValue::Bool(true), "bool"),
            (FieldValue::F64(1.0), "double"),
            (FieldValue::F32(1.0), "float"),
            (FieldValue::from("1"), "longstr"),
            (FieldValue::Void, "void"),
            (FieldValue::Timestamp(1), "timestamp"),
            (FieldValue::Decimal { scale: 0, value: 1 }, "decimal"),
            (FieldValue::Array(vec![1.into()]), "array"),
            (FieldValue::Table(FieldTable::new()), "table"),
            (FieldValue::Binary(vec![1]), "binary"),
        ] {
            refuse(name, value, &format!(": \"expected integer, got {kind}\""));
        }
    }
}

#[test]
fn integer_arguments_have_their_own_largest_value() {
    accept("x-message-ttl", TEN_YEARS);
    refuse("x-message-ttl", TEN_YEARS + 1, ": {value_too_large,315360000001}");
    accept("x-max-length", i64::MAX);
    accept("x-max-length-bytes", i64::MAX);
    accept("x-max-priority", 255);
    refuse("x-max-priority", 256, ": {max_value_exceeded,256}");
}

#[test]
fn overflow_is_one_of_three() {
    for value in ["drop-head", "reject-publish", "reject-publish-dlx"] {
        accept("x-overflow", value);
    }
    refuse("x-overflow", "drop-tail", ": invalid_overflow");
    refuse("x-overflow", "", ": invalid_overflow");
    refuse("x-overflow", 1, ": {unacceptable_type,signedint}");
}

#[test]
fn single_active_consumer_is_true_or_false() {
    accept("x-single-active-consumer", true);
    accept("x-single-active-consumer", false);
    refuse("x-single-active-consumer", 1, ": {unacceptable_type,signedint}");
    refuse("x-single-active-consumer", "true", ": {unacceptable_type,longstr}");
}

/// Mode and version are checked and mean nothing (behaviour B14.22); locators are not even checked.
#[test]
fn arguments_of_other_storage_are_accepted() {
    for mode in ["default", "lazy"] {
        accept("x-queue-mode", mode);
    }
    refuse("x-queue-mode", "fast", ": \"unsupported queue mode 'fast'\"");
    refuse("x-queue-mode", 1, ": {unacceptable_type,signedint}");
    for version in [1, 2] {
        accept("x-queue-version", version);
    }
    refuse("x-queue-version", 3, ": \"unsupported queue version '3'\"");
    refuse("x-queue-version", 0, ": \"unsupported queue version '0'\"");
    refuse("x-queue-version", "1", ": \"expected integer, got longstr\"");
    accept("x-queue-master-locator", "min-masters");
    accept("x-queue-leader-locator", "client-local");
}

#[test]
fn queue_type_is_known_by_name() {
    accept("x-queue-type", "classic");
    refuse("x-queue-type", "fancy", ": \"unsupported queue type 'fancy'\"");
    refuse("x-queue-type", "", ": \"unsupported queue type ''\"");
    refuse("x-queue-type", 1, ": {unacceptable_type,signedint}");
}

/// What belongs to a quorum queue or a stream is refused whatever its value.
#[test]
fn arguments_of_other_queue_types_are_refused() {
    for name in [
        "x-delivery-limit",
        "x-quorum-initial-group-size",
        "x-max-in-memory-length",
        "x-max-in-memory-bytes",
        "x-consumer-disconnected-timeout",
        "x-max-age",
        "x-stream-max-segment-size-bytes",
        "x-stream-filter-size-bytes",
        "x-initial-cluster-size",
    ] {
        refuse(name, 1, " of queue type rabbit_classic_queue");
        refuse(name, "1h", " of queue type rabbit_classic_queue");
    }
}

#[test]
fn unknown_arguments_are_accepted() {
    for value in [FieldValue::Void, FieldValue::from("brown"), FieldValue::Array(vec![])] {
        accept("x-color", value.clone());
        accept("color", value);
    }
}
