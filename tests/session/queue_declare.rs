//! `queue.declare`: names, properties, arguments, and what a second one may say (behaviour B5.1 to
//! B5.8).

use leveret::protocol::method::queue::{self, Declare, DeclareOk};
use leveret::protocol::{FieldTable, FieldValue};

use crate::support::World;

fn declare(queue: &str) -> Declare<'_> {
    Declare { queue, ..Declare::default() }
}

fn passive(queue: &str) -> Declare<'_> {
    Declare { passive: true, ..declare(queue) }
}

fn with<V: Into<FieldValue>>(name: &str, value: V) -> FieldTable {
    FieldTable::from_iter([(name, value)])
}

fn locked(name: &str) -> String {
    format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{name}' in vhost '/'. It \
         could be originally declared on another connection or the exclusive property value does \
         not match that of the original declaration."
    )
}

/// B5.1: the first rule that is broken decides, and what exists is compared before it is checked.
#[test]
fn declare_is_refused_by_the_first_rule_it_breaks() {
    let peer = World::new().open();
    let negative = || with("x-max-length", -1);
    let reserved = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'";
    peer.refused(1, declare("amq.mine"), 403, reserved);
    peer.refused(1, Declare { arguments: negative(), ..declare("amq.mine") }, 403, reserved);
    let invalid = "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'q' in vhost '/': \
                   {value_negative,-1}";
    peer.refused(1, Declare { arguments: negative(), ..declare("q") }, 406, invalid);
    peer.refused(1, passive("q"), 404, "NOT_FOUND - no queue 'q' in vhost '/'");

    peer.declare_with(1, "q", with("x-max-length", 1));
    let inequivalent = "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in \
                        vhost '/': received '-1' but current is '1'";
    peer.refused(1, Declare { arguments: negative(), ..declare("q") }, 406, inequivalent);
}

/// B5.1: declare-ok counts what is ready, and the consumers.
#[test]
fn declare_ok_counts_ready_messages_and_consumers() {
    let peer = World::new().open();
    assert_eq!(peer.declare_as(1, declare("q")), ("q".to_owned(), 0, 0));
    peer.publish_texts(1, "q", &["1", "2", "3"]);
    assert_eq!(peer.declare_as(1, declare("q")), ("q".to_owned(), 3, 0));
    assert_eq!(peer.get(1, "q").unwrap().text(), "1");
    assert_eq!(peer.counts(1, "q"), (2, 0), "what is unacknowledged is not ready");
    peer.qos(1, 1, false);
    peer.consume(1, "q", "one");
    peer.expect_texts(1, &["2"]);
    peer.consume(1, "q", "two");
    peer.expect_texts(1, &["3"]);
    assert_eq!(peer.counts(1, "q"), (0, 2), "consumers that cannot take more are consumers");
}

/// B5.1: 22 characters of 16 random octets.
#[test]
fn server_names_a_queue_that_has_no_name() {
    let peer = World::new().open();
    let mut names: Vec<String> =
        ["", "", "\r\n"].map(|name| peer.declare_as(1, declare(name)).0).into();
    for name in &names {
        let random = name.strip_prefix("amq.gen-").expect("RabbitMQ's prefix");
        assert_eq!(random.len(), 22, "{name}");
        let is_url_safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(random.chars().all(is_url_safe), "{name}");
    }
    names.dedup();
    assert_eq!(names.len(), 3);

    // The name is the server's to give, even when the queue is there.
    let name = &names[0];
    let text = format!("ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'");
    peer.refused(1, declare(name), 403, &text);
    assert_eq!(peer.counts(1, name), (0, 0));
}

/// B4.2 and B5.5: a name is any text, without line breaks.
#[test]
fn queue_name_is_any_text() {
    let peer = World::new().open();
    let longest = "é".repeat(127);
    for name in ["a b", "ein Häschen 🐇", "a/b#c", "AMQ.x", "amqx", "", &longest] {
        if !name.is_empty() {
            assert_eq!(peer.declare_as(1, declare(name)).0, name);
        }
    }
    assert_eq!(peer.declare_as(1, declare("c\r\nd")).0, "cd");
    assert_eq!(peer.declare_as(1, passive("c\nd")).0, "cd");
    peer.publish_texts(1, "cd", &["1"]);
    assert_eq!(peer.get(1, "c\rd").unwrap().text(), "1");
}

/// B5.2: a passive declare looks at the name alone, and an empty one is a name.
#[test]
fn passive_declare_only_asks_whether_it_is_there() {
    let peer = World::new().open();
    peer.refused(1, passive("q"), 404, "NOT_FOUND - no queue 'q' in vhost '/'");
    peer.declare(1, "q");
    peer.refused(1, passive(""), 404, "NOT_FOUND - no queue '' in vhost '/'");
    peer.refused(1, passive("amq.none"), 404, "NOT_FOUND - no queue 'amq.none' in vhost '/'");
    let arguments = with("x-max-length", -1);
    let (durable, exclusive, auto_delete) = (true, true, true);
    peer.declare_as(1, Declare { durable, exclusive, auto_delete, arguments, ..passive("q") });
}

/// B5.1: nowait leaves out the answer, and nothing else.
#[test]
fn nowait_leaves_out_the_answer_only() {
    let peer = World::new().open();
    peer.send(1, Declare { nowait: true, ..declare("q") });
    peer.expect_nothing();
    peer.publish_texts(1, "q", &["1"]);
    peer.call(1, queue::Purge { queue: "", nowait: false }, queue::PurgeOk { message_count: 1 });
    let none = "NOT_FOUND - no queue 'none' in vhost '/'";
    peer.refused(1, Declare { nowait: true, ..passive("none") }, 404, none);
}

/// B5.3: an exclusive queue is its connection's, on any channel.
#[test]
fn exclusive_queue_is_its_owners() {
    let world = World::new();
    let (owner, other) = (world.open(), world.open());
    let mine = || Declare { exclusive: true, ..declare("mine") };
    owner.declare_as(1, mine());
    owner.open_channel(2);
    owner.declare_as(2, mine());
    let text = locked("mine");
    for request in [declare("mine"), mine(), passive("mine")] {
        other.refused(1, request, 405, &text);
    }
    // B16.14: to the owner too, it is another queue without the flag.
    owner.refused(2, declare("mine"), 405, &text);
    owner.declare(1, "shared");
    let shared = Declare { exclusive: true, ..declare("shared") };
    owner.refused(2, shared, 405, &locked("shared"));
    // It is the first thing that is compared.
    let different =
        Declare { durable: true, arguments: with("x-max-length", 1), ..declare("mine") };
    owner.refused(2, different, 405, &text);
}

/// B5.4 and B16.14: the first difference, in RabbitMQ's words.
#[test]
fn redeclare_names_the_first_difference() {
    let peer = World::new().open();
    let check = |request: Declare<'_>, difference: &str| {
        let name = request.queue;
        let (field, values) = difference.split_once(": ").unwrap();
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg '{field}' for queue '{name}' in vhost '/': \
             {values}"
        );
        peer.refused(1, request, 406, &text);
    };
    let length = |value: FieldValue| with("x-max-length", value);

    peer.declare(1, "q");
    let (durable, auto_delete) = (true, true);
    let arguments = || length(FieldValue::I32(1));
    check(
        Declare { durable, auto_delete, arguments: arguments(), ..declare("q") },
        "durable: received 'true' but current is 'false'",
    );
    check(
        Declare { auto_delete, arguments: arguments(), ..declare("q") },
        "auto_delete: received 'true' but current is 'false'",
    );
    check(
        Declare { arguments: arguments(), ..declare("q") },
        "x-max-length: received the value '1' of type 'signedint' but current is none",
    );

    peer.declare_with(1, "r", arguments());
    check(
        declare("r"),
        "x-max-length: received none but current is the value '1' of type 'signedint'",
    );
    for (value, shown) in [
        (FieldValue::I64(2), "2"),
        (FieldValue::I8(-5), "-5"),
        (FieldValue::Bool(true), "true"),
        // Another type with the same text is another value.
        (FieldValue::from("1"), "1"),
    ] {
        let arguments = length(value);
        let text = format!("x-max-length: received '{shown}' but current is '1'");
        check(Declare { arguments, ..declare("r") }, &text);
    }
}

/// B5.4: the arguments are compared in RabbitMQ's order.
#[test]
fn redeclare_compares_arguments_in_order() {
    let table: [(&str, FieldValue, FieldValue); 9] = [
        ("x-message-ttl", 1.into(), 2.into()),
        ("x-max-length", 1.into(), 2.into()),
        ("x-max-length-bytes", 1.into(), 2.into()),
        ("x-max-priority", 1.into(), 2.into()),
        ("x-overflow", "drop-head".into(), "reject-publish".into()),
        ("x-queue-mode", "lazy".into(), "default".into()),
        ("x-queue-version", 1.into(), 2.into()),
        ("x-single-active-consumer", true.into(), false.into()),
        ("x-queue-type", "classic".into(), "quorum".into()),
    ];
    let peer = World::new().open();
    let old = |(name, old, _): &(&'static str, FieldValue, FieldValue)| (*name, old.clone());
    let new = |(name, _, new): &(&'static str, FieldValue, FieldValue)| (*name, new.clone());
    peer.declare_with(1, "q", table.iter().map(old).collect());
    for (index, (name, current, received)) in table.iter().enumerate() {
        // Everything from here on differs, and the last ones stand first.
        let same = table[..index].iter().map(old);
        let arguments = table[index..].iter().rev().map(new).chain(same).collect();
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg '{name}' for queue 'q' in vhost '/': received \
             '{received}' but current is '{current}'"
        );
        peer.refused(1, Declare { arguments, ..declare("q") }, 406, &text);
    }
}

/// B5.4: what does not count as a difference.
#[test]
fn redeclare_ignores_widths_unknown_arguments_and_the_default_type() {
    let peer = World::new().open();
    let bound = |value: FieldValue| with("x-max-length", value);
    peer.declare_with(1, "q", bound(FieldValue::I32(100)));
    for value in [
        FieldValue::I8(100),
        FieldValue::U8(100),
        FieldValue::I16(100),
        FieldValue::U16(100),
        FieldValue::U32(100),
        FieldValue::I64(100),
    ] {
        peer.declare_with(1, "q", bound(value));
    }
    for (name, value) in [
        ("x-queue-type", FieldValue::from("classic")),
        ("x-color", FieldValue::from("brown")),
        ("x-max-age", FieldValue::I32(5)),
        ("x-delivery-limit", FieldValue::from("of another type")),
    ] {
        let mut arguments = bound(FieldValue::I32(100));
        arguments.insert(name, value);
        peer.declare_with(1, "q", arguments);
    }
    peer.declare_with(1, "typed", with("x-queue-type", "classic"));
    peer.declare(1, "typed");
}

/// B5.8: the last queue is the channel's; asking for one counts, losing one does not.
#[test]
fn empty_name_means_the_channels_last_queue() {
    let peer = World::new().open();
    peer.open_channel(2);
    let purge = || queue::Purge { queue: "", nowait: false };
    peer.refused(2, purge(), 404, "NOT_FOUND - no previously declared queue");
    for name in ["a", "b"] {
        peer.declare(1, name);
        peer.publish_texts(1, name, &[name]);
    }
    peer.refused(2, purge(), 404, "NOT_FOUND - no previously declared queue");
    assert_eq!(peer.get(1, "").unwrap().text(), "b");
    peer.counts(1, "a");
    assert_eq!(peer.get(1, "").unwrap().text(), "a");
    peer.consume(1, "", "c");
    assert_eq!(peer.counts(1, "a"), (0, 1));
    // One that was refused is not the last one.
    let generated = peer.declare_as(1, declare("")).0;
    peer.publish_texts(1, &generated, &["mine"]);
    assert_eq!(peer.get(1, "").unwrap().text(), "mine");
    let delete = queue::Delete { queue: "", ..queue::Delete::default() };
    peer.call(1, delete.clone(), queue::DeleteOk { message_count: 0 });
    peer.call(1, delete, queue::DeleteOk { message_count: 0 });
    let gone = format!("NOT_FOUND - no queue '{generated}' in vhost '/'");
    peer.refused(1, purge(), 404, &gone);
    peer.refused(1, purge(), 404, "NOT_FOUND - no previously declared queue");
}

/// B5.7 and B14.9: a queue may be neither durable nor exclusive, and any mixture of them.
#[test]
fn classic_queue_has_any_mixture_of_properties() {
    let peer = World::new().open();
    for bits in 0..8 {
        let name = format!("q{bits}");
        let [durable, exclusive, auto_delete] = [1, 2, 4].map(|bit| bits & bit != 0);
        let queue = || Declare { durable, exclusive, auto_delete, ..declare(&name) };
        let ok = || DeclareOk { queue: &name, message_count: 0, consumer_count: 0 };
        peer.call(1, queue(), ok());
        peer.call(1, queue(), ok());
    }
}
