//! Bindings, and where messages go over them (behaviour B4.8 to B4.15).

use leveret::protocol::method::exchange::{self, Declare, DeclareOk};
use leveret::protocol::method::queue::{self, Bind, BindOk, Unbind, UnbindOk};
use leveret::protocol::{FieldTable, FieldValue, Headers, Method, OwnedProperties};
use leveret::storage::Change;

use crate::support::{Peer, World};

const DEFAULT: &str = "ACCESS_REFUSED - operation not permitted on the default exchange";
const LOCKED: &str = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in \
                      vhost '/'. It could be originally declared on another connection or the \
                      exclusive property value does not match that of the original declaration.";

fn bind<'a>(queue: &'a str, exchange: &'a str, routing_key: &'a str) -> Bind<'a> {
    Bind { queue, exchange, routing_key, ..Bind::default() }
}

fn unbind<'a>(queue: &'a str, exchange: &'a str, routing_key: &'a str) -> Unbind<'a> {
    Unbind { queue, exchange, routing_key, ..Unbind::default() }
}

fn link<'a>(destination: &'a str, source: &'a str) -> exchange::Bind<'a> {
    exchange::Bind { destination, source, routing_key: "k", ..exchange::Bind::default() }
}

fn unlink<'a>(destination: &'a str, source: &'a str) -> exchange::Unbind<'a> {
    exchange::Unbind { destination, source, routing_key: "k", ..exchange::Unbind::default() }
}

/// A direct exchange; whoever finds nothing there goes on to `alternate`.
fn with_alternate<'a>(exchange: &'a str, alternate: &'a str) -> Declare<'a> {
    let arguments = FieldTable::from_iter([("alternate-exchange", alternate)]);
    Declare { exchange, kind: "direct", arguments, ..Declare::default() }
}

/// Publishes, and says whether it went anywhere.
#[track_caller]
fn arrives(peer: &Peer, exchange: &str, routing_key: &str) -> bool {
    peer.confirm_select(1);
    peer.publish_mandatory(1, exchange, routing_key, b"");
    let returned =
        matches!(peer.recv().method(), Method::Basic(method) if method.id().method == 50);
    if returned {
        // Behaviour B6.4: it comes before the confirm.
        peer.recv();
    }
    peer.expect_nothing();
    !returned
}

/// B4.8: the default exchange first, then the source, then the destination.
#[test]
fn bind_is_refused_by_the_first_rule_it_breaks() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.declare_exchange(1, "x", "direct");
    let check = |request: Method<'_>, code, text: &str| peer.refused(1, request, code, text);
    let no_exchange = "NOT_FOUND - no exchange 'none' in vhost '/'";
    let volatile = "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue";

    check(bind("none", "", "k").into(), 403, DEFAULT);
    check(bind("none", "none", "k").into(), 404, no_exchange);
    check(bind("q", "none", "k").into(), 404, no_exchange);
    check(bind("none", "x", "k").into(), 404, "NOT_FOUND - no queue 'none' in vhost '/'");
    check(bind("amq.rabbitmq.reply-to.abc", "x", "k").into(), 403, volatile);
    check(unbind("none", "", "k").into(), 403, DEFAULT);
    check(unbind("amq.rabbitmq.reply-to.abc", "x", "k").into(), 403, volatile);

    check(link("", "x").into(), 403, DEFAULT);
    check(link("x", "").into(), 403, DEFAULT);
    check(link("other", "none").into(), 404, no_exchange);
    check(link("none", "x").into(), 404, no_exchange);
    check(unlink("", "none").into(), 403, DEFAULT);
    check(unlink("none", "").into(), 403, DEFAULT);
}

/// B4.8 and B16.5.
#[test]
fn unbinding_what_is_not_there_succeeds() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.declare_exchange(1, "x", "direct");
    for (queue, exchange) in [("q", "x"), ("q", "none"), ("none", "x"), ("none", "none")] {
        peer.call(1, unbind(queue, exchange, "k"), UnbindOk {});
    }
    for (destination, source) in [("x", "amq.direct"), ("x", "none"), ("none", "x"), ("a", "b")] {
        peer.call(1, unlink(destination, source), exchange::UnbindOk {});
    }
}

/// B4.8: a binding exists once.
#[test]
fn binding_again_changes_nothing() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.bind(1, "q", "amq.direct", "k");
    peer.bind(1, "q", "amq.direct", "k");
    peer.send(1, Bind { nowait: true, ..bind("q", "amq.direct", "k") });
    assert!(arrives(&peer, "amq.direct", "k"));
    assert_eq!(peer.counts(1, "q"), (1, 0));
    peer.call(1, unbind("q", "amq.direct", "k"), UnbindOk {});
    assert!(!arrives(&peer, "amq.direct", "k"));
}

/// B4.8: the arguments are part of what a binding is, their types and not their order.
#[test]
fn binding_is_told_apart_by_its_arguments() {
    let table = |pairs: &[(&str, FieldValue)]| -> FieldTable { pairs.iter().cloned().collect() };
    let (one, long_one, two) = (FieldValue::I32(1), FieldValue::I64(1), FieldValue::from("2"));
    let bound = [("a", one.clone()), ("b", two.clone())];
    for (removed, arrives_still) in [
        (vec![("b", two.clone()), ("a", one.clone())], false),
        (vec![("a", long_one), ("b", two.clone())], true),
        (vec![("a", one)], true),
        (vec![], true),
    ] {
        let peer = World::new().open();
        peer.declare(1, "q");
        let arguments = table(&bound);
        peer.call(1, Bind { arguments, ..bind("q", "amq.direct", "k") }, BindOk {});
        let arguments = table(&removed);
        peer.call(1, Unbind { arguments, ..unbind("q", "amq.direct", "k") }, UnbindOk {});
        assert_eq!(arrives(&peer, "amq.direct", "k"), arrives_still, "{removed:?}");
    }
}

/// B4.8: an exclusive queue is bound by its owner, and so is it unbound; but what is not there may
/// be unbound by anybody.
#[test]
fn bindings_of_an_exclusive_queue_are_its_owners() {
    let world = World::new();
    let (owner, other) = (world.open(), world.open());
    let mine = queue::Declare { queue: "mine", exclusive: true, ..queue::Declare::default() };
    owner.declare_as(1, mine);
    owner.bind(1, "mine", "amq.direct", "k");
    other.refused(1, bind("mine", "amq.direct", "k"), 405, LOCKED);
    other.refused(1, bind("mine", "amq.direct", "l"), 405, LOCKED);
    other.refused(1, unbind("mine", "amq.direct", "k"), 405, LOCKED);
    other.call(1, unbind("mine", "amq.direct", "l"), UnbindOk {});
    assert!(arrives(&other, "amq.direct", "k"));
    owner.call(1, unbind("mine", "amq.direct", "k"), UnbindOk {});
    assert!(!arrives(&other, "amq.direct", "k"));
}

/// B4.8: an empty queue name means the last one, and with it an empty routing key means its name.
#[test]
fn empty_names_in_a_bind_mean_the_last_queue() {
    let peer = World::new().open();
    let none = "NOT_FOUND - no previously declared queue";
    peer.refused(1, bind("", "", "k"), 404, none);
    peer.refused(1, unbind("", "none", "k"), 404, none);
    peer.declare(1, "q");
    peer.bind(1, "", "amq.direct", "k");
    peer.bind(1, "", "amq.direct", "");
    for (key, bound) in [("k", true), ("q", true), ("", false)] {
        assert_eq!(arrives(&peer, "amq.direct", key), bound, "{key:?}");
    }
    // With its name spelt out, an empty routing key is an empty routing key.
    peer.call(1, unbind("", "amq.direct", ""), UnbindOk {});
    peer.bind(1, "q", "amq.direct", "");
    for (key, bound) in [("k", true), ("q", false), ("", true)] {
        assert_eq!(arrives(&peer, "amq.direct", key), bound, "{key:?}");
    }
}

/// B4.9: however many ways lead to a queue, it gets one.
#[test]
fn message_reaches_a_queue_once() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.declare(1, "r");
    peer.declare_exchange(1, "x", "fanout");
    for key in ["a.b", "a.#", "#"] {
        peer.bind(1, "q", "amq.topic", key);
    }
    peer.call(1, link("x", "amq.topic"), exchange::BindOk {});
    let to_x = exchange::Bind { routing_key: "#", ..link("x", "amq.topic") };
    peer.call(1, to_x, exchange::BindOk {});
    peer.bind(1, "q", "x", "");
    peer.bind(1, "r", "x", "");
    let mut headers = Headers::default();
    let keys = ["a.b", "a.c", "d"].map(FieldValue::from);
    headers.set("CC", &FieldValue::Array(keys.to_vec()));
    let properties = OwnedProperties { headers: Some(headers), ..OwnedProperties::default() };
    peer.publish(1, "amq.topic", "a.b", &properties, b"once");
    assert_eq!(peer.drain(1, "q"), ["once"]);
    assert_eq!(peer.drain(1, "r"), ["once"]);
}

/// B4.9, B4.14: exchanges in a circle are visited once each, and the last one routes by its own type
/// with the key of the publish.
#[test]
fn message_goes_round_a_circle_of_exchanges_once() {
    let peer = World::new().open();
    for name in ["a", "b", "c"] {
        peer.declare_exchange(1, name, if name == "c" { "direct" } else { "fanout" });
    }
    for (destination, source) in [("b", "a"), ("c", "b"), ("a", "c"), ("a", "a")] {
        peer.call(1, link(destination, source), exchange::BindOk {});
    }
    peer.declare(1, "q");
    peer.declare(1, "r");
    peer.bind(1, "q", "c", "k");
    peer.bind(1, "r", "c", "other");
    for from in ["a", "b", "c"] {
        peer.publish(1, from, "k", &crate::support::text(), from.as_bytes());
    }
    assert_eq!(peer.drain(1, "q"), ["a", "b", "c"]);
    assert_eq!(peer.drain(1, "r"), [""; 0]);
    peer.call(1, unlink("b", "a"), exchange::UnbindOk {});
    assert!(!arrives(&peer, "a", "k"));
}

/// B4.10 to B4.12: which keys a binding takes. Topics and headers have more rows with their
/// exchanges.
#[test]
fn binding_takes_keys_by_the_type_of_its_exchange() {
    for (exchange, bound, key, taken) in [
        ("amq.direct", "a.b", "a.b", true),
        ("amq.direct", "a.*", "a.b", false),
        ("amq.direct", "A", "a", false),
        ("amq.direct", "", "", true),
        ("amq.fanout", "a", "b", true),
        ("amq.topic", "a.*", "a.b", true),
        // B16.12: an empty key has no words, a trailing dot makes an empty one.
        ("amq.topic", "*", "", false),
        ("amq.topic", "#", "", true),
        ("amq.topic", "a.*", "a.", true),
        ("amq.topic", "a.*", "a", false),
        // B16.11: nothing to compare matches everything.
        ("amq.headers", "a", "b", true),
        ("amq.match", "a", "b", true),
    ] {
        let peer = World::new().open();
        peer.declare(1, "queue");
        peer.call(1, bind("queue", exchange, bound), BindOk {});
        assert_eq!(arrives(&peer, exchange, key), taken, "{exchange} {bound:?} {key:?}");
        assert!(arrives(&peer, "", "queue"), "every queue is bound to the default exchange");
    }
}

/// B4.12: what only a headers exchange asks for.
#[test]
fn headers_binding_is_refused_for_a_bad_x_match() {
    let peer = World::new().open();
    peer.declare(1, "q");
    let check = |value: FieldValue, text: &str| {
        let arguments = FieldTable::from_iter([("x-match", value)]);
        peer.refused(1, Bind { arguments, ..bind("q", "amq.headers", "") }, 406, text);
    };
    check(
        FieldValue::from("some"),
        "PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; expected all, any, \
         all-with-x, or any-with-x",
    );
    check(
        FieldValue::I32(1),
        "PRECONDITION_FAILED - Invalid x-match field type signedint (value 1); expected longstr",
    );
}

/// B4.13: what an exchange has no destination for goes to its alternate, which may come to be later.
#[test]
fn message_without_destination_takes_the_alternate_exchange() {
    let peer = World::new().open();
    peer.call(1, with_alternate("x", "ae"), DeclareOk {});
    assert!(!arrives(&peer, "x", "k"), "the alternate is not there yet");
    peer.declare_exchange(1, "ae", "fanout");
    assert!(!arrives(&peer, "x", "k"), "nothing is bound to the alternate");
    peer.declare(1, "q");
    peer.declare(1, "rest");
    peer.bind(1, "q", "x", "k");
    peer.bind(1, "rest", "ae", "");
    for key in ["k", "l"] {
        assert!(arrives(&peer, "x", key));
    }
    assert_eq!((peer.counts(1, "q"), peer.counts(1, "rest")), ((1, 0), (1, 0)));
}

/// B4.13: a binding to an exchange is a destination, whether or not it leads any further.
#[test]
fn alternate_exchange_is_for_want_of_any_binding() {
    let peer = World::new().open();
    peer.call(1, with_alternate("x", "amq.fanout"), DeclareOk {});
    peer.declare_exchange(1, "empty", "fanout");
    peer.declare(1, "q");
    peer.bind(1, "q", "amq.fanout", "");
    assert!(arrives(&peer, "x", "k"));
    peer.call(1, link("empty", "x"), exchange::BindOk {});
    assert!(!arrives(&peer, "x", "k"));
    // An exchange on the way has an alternate of its own.
    peer.call(1, with_alternate("y", "amq.fanout"), DeclareOk {});
    peer.call(1, link("y", "x"), exchange::BindOk {});
    assert!(arrives(&peer, "x", "k"));
}

/// B4.13: alternates in a circle end.
#[test]
fn alternate_exchanges_in_a_circle_lead_nowhere() {
    let peer = World::new().open();
    for (name, alternate) in [("x", "y"), ("y", "x"), ("self", "self")] {
        peer.call(1, with_alternate(name, alternate), DeclareOk {});
    }
    assert!(!arrives(&peer, "x", "k"));
    assert!(!arrives(&peer, "self", "k"));
}

/// B4.15: a binding is kept when both of its ends are.
#[test]
fn binding_is_stored_when_both_ends_are_durable() {
    for (exchange_durable, queue_durable, exclusive, stored) in [
        (true, true, false, true),
        (true, false, false, false),
        (false, true, false, false),
        (true, true, true, false),
    ] {
        let world = World::held();
        let peer = world.open();
        let declare = queue::Declare {
            queue: "q",
            durable: queue_durable,
            exclusive,
            ..queue::Declare::default()
        };
        peer.send(1, declare);
        let exchange = Declare {
            exchange: "x",
            kind: "direct",
            durable: exchange_durable,
            ..Declare::default()
        };
        peer.send(1, exchange);
        world.finish_commits(&Ok(()));
        world.finish_commits(&Ok(()));
        peer.recv();
        peer.expect(1, DeclareOk {});
        peer.send(1, bind("q", "x", "k"));
        let changes = world.finish_commits(&Ok(()));
        let is_stored = matches!(changes.as_slice(), [Change::PutBinding(_)]);
        assert_eq!(is_stored, stored, "{changes:?}");
        peer.expect(1, BindOk {});
        // Bound again, it is stored already.
        peer.call(1, bind("q", "x", "k"), BindOk {});
        peer.send(1, unbind("q", "x", "k"));
        let changes = world.finish_commits(&Ok(()));
        let is_removed = matches!(changes.as_slice(), [Change::DeleteBinding(_)]);
        assert_eq!(is_removed, stored, "{changes:?}");
        peer.expect(1, UnbindOk {});
    }
}
