//! Exchanges: declared, looked for, deleted, and gone by themselves (behaviour B4.1 to B4.7).

use leveret::protocol::FieldTable;
use leveret::protocol::method::exchange::{
    Bind, BindOk, Declare, DeclareOk, Delete, DeleteOk, Unbind, UnbindOk,
};
use leveret::protocol::method::{basic, queue};

use crate::support::{Peer, World};

fn declare<'a>(exchange: &'a str, kind: &'a str) -> Declare<'a> {
    Declare { exchange, kind, ..Declare::default() }
}

fn passive(exchange: &str) -> Declare<'_> {
    Declare { exchange, passive: true, ..Declare::default() }
}

fn alternate(exchange: &str) -> FieldTable {
    FieldTable::from_iter([("alternate-exchange", exchange)])
}

/// B4.1: a new vhost has these, as durable as they are.
#[test]
fn system_exchanges_are_there() {
    let peer = World::new().open();
    for (name, kind, internal) in [
        ("amq.direct", "direct", false),
        ("amq.fanout", "fanout", false),
        ("amq.topic", "topic", false),
        ("amq.headers", "headers", false),
        ("amq.match", "headers", false),
        ("amq.rabbitmq.trace", "topic", true),
    ] {
        peer.call(1, Declare { durable: true, internal, ..declare(name, kind) }, DeclareOk {});
    }
}

/// B4.2: the first rule that is broken decides.
#[test]
fn declare_is_refused_by_the_first_rule_it_breaks() {
    let peer = World::new().open();
    let check = |request: Declare<'_>, code, text: &str| peer.refused(1, request, code, text);
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    let reserved = "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'";
    let five = || FieldTable::from_iter([("alternate-exchange", 5)]);

    check(declare("", "bogus"), 406, "PRECONDITION_FAILED - unknown exchange type 'bogus'");
    check(declare("", ""), 406, "PRECONDITION_FAILED - unknown exchange type ''");
    check(declare("", "direct"), 403, default);
    check(declare("\r\n", "direct"), 403, default);
    check(declare("amq.mine", "direct"), 403, reserved);
    check(Declare { arguments: five(), ..declare("amq.mine", "direct") }, 403, reserved);
    check(
        Declare { arguments: five(), ..declare("x", "direct") },
        406,
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange \
         'x' in vhost '/'",
    );
    // Nothing of this made an exchange.
    peer.refused(1, passive("x"), 404, "NOT_FOUND - no exchange 'x' in vhost '/'");
    peer.refused(1, passive("amq.mine"), 404, "NOT_FOUND - no exchange 'amq.mine' in vhost '/'");
}

/// B4.2: line breaks in names do not count.
#[test]
fn names_lose_their_line_breaks() {
    let peer = World::new().open();
    peer.call(1, declare("a\r\nb", "direct"), DeclareOk {});
    peer.call(1, passive("ab"), DeclareOk {});
    peer.call(1, passive("\nab\r"), DeclareOk {});
    peer.call(1, Delete { exchange: "a\nb", ..Delete::default() }, DeleteOk {});
    peer.refused(1, passive("ab"), 404, "NOT_FOUND - no exchange 'ab' in vhost '/'");
}

/// B4.2: without an answer it is no less declared, and no less refused.
#[test]
fn nowait_leaves_out_the_answer_only() {
    let peer = World::new().open();
    peer.send(1, Declare { nowait: true, ..declare("x", "direct") });
    peer.expect_nothing();
    peer.call(1, passive("x"), DeclareOk {});
    peer.send(1, Declare { passive: true, nowait: true, ..declare("x", "") });
    peer.send(1, Delete { exchange: "x", nowait: true, ..Delete::default() });
    peer.expect_nothing();
    let text = "NOT_FOUND - no exchange 'x' in vhost '/'";
    peer.refused(1, Declare { nowait: true, ..passive("x") }, 404, text);
}

/// B4.3 and B16.14: the first difference, in RabbitMQ's words. Existing system exchanges are no
/// exception.
#[test]
fn redeclare_names_the_first_difference() {
    let peer = World::new().open();
    let x = || declare("x", "direct");
    let check = |request: Declare<'_>, difference: &str| {
        let name = request.exchange;
        let (field, values) = difference.split_once(": ").unwrap();
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg '{field}' for exchange '{name}' in vhost '/': \
             {values}"
        );
        peer.refused(1, request, 406, &text);
    };

    peer.call(1, x(), DeclareOk {});
    peer.call(1, x(), DeclareOk {});
    check(declare("x", "fanout"), "type: received 'fanout' but current is 'direct'");
    let (durable, auto_delete, internal) = (true, true, true);
    check(
        Declare { durable, auto_delete, internal, ..declare("x", "topic") },
        "type: received 'topic' but current is 'direct'",
    );
    check(
        Declare { durable, auto_delete, internal, ..x() },
        "durable: received 'true' but current is 'false'",
    );
    check(
        Declare { auto_delete, internal, ..x() },
        "auto_delete: received 'true' but current is 'false'",
    );
    check(
        Declare { internal, arguments: alternate("a"), ..x() },
        "internal: received 'true' but current is 'false'",
    );
    check(
        Declare { arguments: alternate("a"), ..x() },
        "alternate-exchange: received the value 'a' of type 'longstr' but current is none",
    );
    check(declare("amq.direct", "direct"), "durable: received 'false' but current is 'true'");

    let y = || declare("y", "direct");
    peer.call(1, Declare { arguments: alternate("a"), ..y() }, DeclareOk {});
    check(y(), "alternate-exchange: received none but current is the value 'a' of type 'longstr'");
    check(
        Declare { arguments: alternate("b"), ..y() },
        "alternate-exchange: received 'b' but current is 'a'",
    );
    // Of another type, it is not invalid but different.
    check(
        Declare { arguments: FieldTable::from_iter([("alternate-exchange", 5)]), ..y() },
        "alternate-exchange: received '5' but current is 'a'",
    );
}

/// B4.3: the other arguments may differ.
#[test]
fn redeclare_ignores_arguments_it_does_not_know() {
    let peer = World::new().open();
    for arguments in [vec![("x-color", 1)], vec![("x-color", 2)], vec![]] {
        let arguments = arguments.into_iter().collect();
        peer.call(1, Declare { arguments, ..declare("x", "direct") }, DeclareOk {});
    }
}

/// B4.4: a passive declare looks at the name alone.
#[test]
fn passive_declare_only_asks_whether_it_is_there() {
    let peer = World::new().open();
    peer.declare_exchange(1, "x", "direct");
    peer.call(1, passive("x"), DeclareOk {});
    let arguments = FieldTable::from_iter([("alternate-exchange", 5)]);
    let bogus = Declare { durable: true, internal: true, arguments, ..declare("x", "bogus") };
    peer.call(1, Declare { passive: true, ..bogus }, DeclareOk {});

    let missing = Declare { passive: true, ..declare("nowhere", "bogus") };
    peer.refused(1, missing, 404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'");
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    peer.refused(1, passive(""), 403, default);
}

/// B4.5.
#[test]
fn system_exchanges_cannot_be_deleted() {
    let peer = World::new().open();
    for (exchange, text) in [
        ("", "ACCESS_REFUSED - operation not permitted on the default exchange"),
        (
            "amq.direct",
            "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
        ),
        (
            "amq.none",
            "ACCESS_REFUSED - deletion of system exchange 'amq.none' in vhost '/' not allowed",
        ),
    ] {
        peer.refused(1, Delete { exchange, ..Delete::default() }, 403, text);
    }
}

/// B4.5 and B16.5: what is wanted is that it is gone.
#[test]
fn deleting_what_is_not_there_succeeds() {
    let peer = World::new().open();
    for if_unused in [false, true] {
        peer.call(1, Delete { exchange: "x", if_unused, nowait: false }, DeleteOk {});
    }
}

/// B4.5: used means that something is bound to it. That it is bound to something does not count.
#[test]
fn exchange_in_use_is_not_deleted_if_unused() {
    let peer = World::new().open();
    let if_unused = |exchange| Delete { exchange, if_unused: true, nowait: false };
    exchanges(&peer, &["x", "y"], false);
    bind(&peer, "y", "x");
    peer.refused(1, if_unused("x"), 406, "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use");
    peer.call(1, if_unused("y"), DeleteOk {});
    // With y its binding went, and x is unused.
    peer.call(1, if_unused("x"), DeleteOk {});
}

/// B4.5: a new exchange of that name starts without bindings, to and from it.
#[test]
fn bindings_go_with_their_exchange() {
    let peer = World::new().open();
    exchanges(&peer, &["a", "b", "c"], false);
    peer.declare(1, "q");
    bind(&peer, "b", "a");
    bind(&peer, "c", "b");
    peer.bind(1, "q", "b", "");
    peer.bind(1, "q", "c", "");
    peer.call(1, Delete { exchange: "b", ..Delete::default() }, DeleteOk {});
    exchanges(&peer, &["b"], false);
    for (exchange, arrives) in [("a", false), ("b", false), ("c", true)] {
        peer.publish_mandatory(1, exchange, "", exchange.as_bytes());
        if !arrives {
            assert_eq!(peer.expect_return(1).exchange, exchange);
        }
    }
    peer.expect_nothing();
    assert_eq!(peer.drain(1, "q"), ["c"]);
}

/// B4.6: an auto-delete exchange goes with its last binding, however that goes.
#[test]
fn auto_delete_exchange_goes_with_its_last_binding() {
    let unbind = |peer: &Peer| {
        peer.call(1, Unbind { source: "x", destination: "d", ..Unbind::default() }, UnbindOk {});
        peer.call(
            1,
            queue::Unbind { queue: "q", exchange: "x", ..Default::default() },
            queue::UnbindOk {},
        );
    };
    let delete = |peer: &Peer| {
        peer.call(1, Delete { exchange: "d", ..Delete::default() }, DeleteOk {});
        peer.call(
            1,
            queue::Delete { queue: "q", ..Default::default() },
            queue::DeleteOk { message_count: 0 },
        );
    };
    let ways: [&dyn Fn(&Peer); 2] = [&unbind, &delete];
    for go in ways {
        let peer = World::new().open();
        exchanges(&peer, &["x"], true);
        exchanges(&peer, &["d"], false);
        peer.declare(1, "q");
        bind(&peer, "d", "x");
        peer.bind(1, "q", "x", "");
        go(&peer);
        peer.refused(1, passive("x"), 404, "NOT_FOUND - no exchange 'x' in vhost '/'");
    }
}

/// B4.6: one of two bindings is not the last, and one that was never there is none.
#[test]
fn auto_delete_exchange_stays_while_something_is_bound() {
    let peer = World::new().open();
    exchanges(&peer, &["x"], true);
    peer.declare(1, "q");
    let unbind = |routing_key| {
        let unbind = queue::Unbind { queue: "q", exchange: "x", routing_key, ..Default::default() };
        peer.call(1, unbind, queue::UnbindOk {});
    };
    unbind("never");
    peer.call(1, passive("x"), DeclareOk {});
    peer.bind(1, "q", "x", "one");
    peer.bind(1, "q", "x", "two");
    unbind("one");
    unbind("one");
    peer.call(1, passive("x"), DeclareOk {});
    unbind("two");
    peer.refused(1, passive("x"), 404, "NOT_FOUND - no exchange 'x' in vhost '/'");
}

/// B4.6: only bindings from it count.
#[test]
fn auto_delete_exchange_stays_when_it_is_unbound_from_another() {
    let peer = World::new().open();
    exchanges(&peer, &["x"], true);
    bind(&peer, "x", "amq.fanout");
    let unbind = Unbind { source: "amq.fanout", destination: "x", ..Unbind::default() };
    peer.call(1, unbind, UnbindOk {});
    peer.call(1, passive("x"), DeclareOk {});
}

/// B4.6: a chain of them goes as a whole.
#[test]
fn auto_delete_exchanges_take_each_other_along() {
    let peer = World::new().open();
    exchanges(&peer, &["a", "b", "c"], true);
    let exclusive = queue::Declare { queue: "q", exclusive: true, ..Default::default() };
    peer.declare_as(1, exclusive);
    bind(&peer, "b", "a");
    bind(&peer, "c", "b");
    peer.bind(1, "q", "c", "");
    peer.call(
        1,
        queue::Delete { queue: "q", ..Default::default() },
        queue::DeleteOk { message_count: 0 },
    );
    for name in ["a", "b", "c"] {
        let text = format!("NOT_FOUND - no exchange '{name}' in vhost '/'");
        peer.refused(1, passive(name), 404, &text);
    }
}

/// B4.7: an internal exchange is fed by others only.
#[test]
fn internal_exchange_takes_no_publishes() {
    let peer = World::new().open();
    peer.call(1, Declare { internal: true, ..declare("x", "fanout") }, DeclareOk {});
    peer.declare(1, "q");
    bind(&peer, "x", "amq.fanout");
    peer.bind(1, "q", "x", "");
    peer.publish(1, "amq.fanout", "", &crate::support::text(), b"around");
    assert_eq!(peer.drain(1, "q"), ["around"]);
    peer.publish(1, "x", "", &crate::support::text(), b"directly");
    peer.expect_channel_error(
        1,
        403,
        "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'",
    )
    .for_method(60, 40);
    peer.reopen(1);
    peer.call(1, basic::Get { queue: "q", no_ack: true }, basic::GetEmpty {});
}

#[track_caller]
fn exchanges(peer: &Peer, names: &[&str], auto_delete: bool) {
    for name in names {
        peer.call(1, Declare { auto_delete, ..declare(name, "fanout") }, DeclareOk {});
    }
}

#[track_caller]
fn bind(peer: &Peer, destination: &str, source: &str) {
    peer.call(1, Bind { source, destination, ..Bind::default() }, BindOk {});
}
