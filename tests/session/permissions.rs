//! What a user may do (behaviour B10.3 to B10.6, B14.11, B14.12).

use leveret::auth::{PasswordHash, Patterns, User, UserLimits, unheard};
use leveret::protocol::method::{basic, channel, confirm, exchange, queue, tx};
use leveret::protocol::{FieldTable, FieldValue, Method, OwnedProperties};

use crate::support::{Client, Peer, World, persistent, text};

/// A world with the user hare, whose password is the name, and who may enter `/` only with `patterns`.
fn world(patterns: Patterns<'_>) -> World {
    let world = World::new();
    let hare = User {
        name: "hare".into(),
        password: PasswordHash::new("hare"),
        tags: Vec::new(),
        limits: UserLimits::default(),
    };
    world.authenticator.put_user(hare, unheard());
    permit(&world, patterns);
    world
}

fn permit(world: &World, patterns: Patterns<'_>) {
    let (hare, root) = ("hare".into(), "/".into());
    world.authenticator.permit(&hare, &root, patterns, unheard()).unwrap();
}

fn topics(world: &World, exchange: &str, write: &str, read: &str) {
    let (hare, root, exchange) = ("hare".into(), "/".into(), exchange.into());
    let topics = (write, read);
    world.authenticator.permit_topics(&hare, &root, &exchange, topics, unheard()).unwrap();
}

fn client() -> Client {
    Client { response: b"\0hare\0hare".to_vec(), ..Client::default() }
}

fn hare(world: &World) -> Peer {
    let peer = world.connect_as(&client());
    peer.open_channel(1);
    peer
}

const NOTHING: Patterns<'_> = Patterns { configure: "", write: "", read: "" };

fn refusal(access: &str, resource: &str) -> String {
    format!("ACCESS_REFUSED - {access} access to {resource} in vhost '/' refused for user 'hare'")
}

fn argument(name: &str, value: &str) -> FieldTable {
    [(name, FieldValue::from(value))].into_iter().collect()
}

/// Sends `request` with exactly the accesses that it needs, where each pattern matches one name, and
/// with each of them missing.
#[track_caller]
fn check<'m>(request: impl Fn() -> Method<'m>, needs: &[(&str, &str)]) {
    let pattern = |access: &str, but: Option<usize>| {
        let names = needs.iter().enumerate();
        let names: Vec<String> = names
            .filter(|(n, (needed, _))| *needed == access && Some(*n) != but)
            .map(|(_, (_, resource))| {
                let name = resource.split('\'').nth(1).unwrap();
                format!("^{}$", name.replace('.', "\\."))
            })
            .collect();
        names.join("|")
    };
    for missing in (0..needs.len()).map(Some).chain([None]) {
        let [configure, write, read] =
            ["configure", "write", "read"].map(|access| pattern(access, missing));
        let world = world(Patterns { configure: &configure, write: &write, read: &read });
        let guest = world.open();
        guest.declare(1, "there");
        guest.declare_exchange(1, "x", "direct");
        guest.declare_exchange(1, "y", "fanout");
        let peer = hare(&world);
        let Some(missing) = missing else {
            peer.send(1, request());
            let answer = peer.recv();
            let refused = matches!(answer.method(), Method::Channel(channel::Method::Close(_)));
            assert!(!refused, "{:?}: {answer:?}", request());
            continue;
        };
        let (access, resource) = needs[missing];
        peer.refused(1, request(), 403, &refusal(access, resource));
    }
}

#[test]
fn every_method_needs_what_it_touches() {
    let there = "queue 'there'";
    let queue = |queue| queue::Declare { queue, ..queue::Declare::default() };
    check(|| queue("new").into(), &[("configure", "queue 'new'")]);
    check(|| queue("there").into(), &[("configure", there)]);
    check(
        || queue::Delete { queue: "there", ..Default::default() }.into(),
        &[("configure", there)],
    );
    check(|| queue::Purge { queue: "there", nowait: false }.into(), &[("read", there)]);
    check(|| basic::Get { queue: "there", no_ack: true }.into(), &[("read", there)]);
    check(|| basic::Consume { queue: "there", ..Default::default() }.into(), &[("read", there)]);
    let ends = [("write", there), ("read", "exchange 'x'")];
    let bind = queue::Bind { queue: "there", exchange: "x", ..Default::default() };
    check(|| bind.clone().into(), &ends);
    let unbind = queue::Unbind { queue: "there", exchange: "x", ..Default::default() };
    check(|| unbind.clone().into(), &ends);

    let exchange =
        |exchange| exchange::Declare { exchange, kind: "direct", ..exchange::Declare::default() };
    check(|| exchange("new").into(), &[("configure", "exchange 'new'")]);
    check(|| exchange("x").into(), &[("configure", "exchange 'x'")]);
    let delete = exchange::Delete { exchange: "x", ..Default::default() };
    check(|| delete.clone().into(), &[("configure", "exchange 'x'")]);
    let ends = [("write", "exchange 'y'"), ("read", "exchange 'x'")];
    let bind = exchange::Bind { destination: "y", source: "x", ..Default::default() };
    check(|| bind.clone().into(), &ends);
    let unbind = exchange::Unbind { destination: "y", source: "x", ..Default::default() };
    check(|| unbind.clone().into(), &ends);
}

/// Only who makes it: for who finds it there it is no more than an argument to compare.
#[test]
fn dead_letters_and_alternates_need_more_at_the_making() {
    let dead = |name| queue::Declare {
        queue: name,
        arguments: argument("x-dead-letter-exchange", "x"),
        ..queue::Declare::default()
    };
    let needs = [("configure", "queue 'new'"), ("read", "queue 'new'"), ("write", "exchange 'x'")];
    check(|| dead("new").into(), &needs);
    let passing = |name| exchange::Declare {
        exchange: name,
        kind: "fanout",
        arguments: argument("alternate-exchange", "x"),
        ..exchange::Declare::default()
    };
    let needs =
        [("configure", "exchange 'new'"), ("read", "exchange 'new'"), ("write", "exchange 'x'")];
    check(|| passing("new").into(), &needs);

    let world = world(Patterns { configure: ".*", ..NOTHING });
    let guest = world.open();
    guest.declare_as(1, dead("q"));
    guest.call(1, passing("p"), exchange::DeclareOk {});
    let peer = hare(&world);
    peer.declare_as(1, dead("q"));
    peer.call(1, passing("p"), exchange::DeclareOk {});
}

/// B14.12: any access at all shows that it is there; without one it cannot be told from what is not.
#[test]
fn passive_declare_needs_any_access() {
    for access in ["configure", "write", "read"] {
        let pattern = |of: &str| if of == access { "^(there|x|gone)$" } else { "" };
        let [configure, write, read] = ["configure", "write", "read"].map(pattern);
        let world = world(Patterns { configure, write, read });
        let guest = world.open();
        guest.declare(1, "there");
        guest.declare_exchange(1, "x", "direct");
        let peer = hare(&world);
        assert_eq!(peer.counts(1, "there"), (0, 0));
        let x = exchange::Declare { exchange: "x", passive: true, ..Default::default() };
        peer.call(1, x, exchange::DeclareOk {});
        let gone = queue::Declare { queue: "gone", passive: true, ..Default::default() };
        peer.refused(1, gone, 404, "NOT_FOUND - no queue 'gone' in vhost '/'");
    }
    let world = world(NOTHING);
    world.open().declare(1, "there");
    let peer = hare(&world);
    for name in ["there", "gone"] {
        let passive = queue::Declare { queue: name, passive: true, ..Default::default() };
        let text = format!(
            "ACCESS_REFUSED - access to queue '{name}' in vhost '/' refused for user 'hare'"
        );
        peer.refused(1, passive, 403, &text);
    }
    let passive = exchange::Declare { exchange: "amq.topic", passive: true, ..Default::default() };
    let text =
        "ACCESS_REFUSED - access to exchange 'amq.topic' in vhost '/' refused for user 'hare'";
    peer.refused(1, passive, 403, text);
}

#[test]
fn what_touches_nothing_needs_nothing() {
    let peer = hare(&world(NOTHING));
    peer.call(1, basic::Qos { prefetch_count: 1, ..Default::default() }, basic::QosOk {});
    peer.call(1, confirm::Select { nowait: false }, confirm::SelectOk {});
    let cancel = basic::Cancel { consumer_tag: "c", nowait: false };
    peer.call(1, cancel, basic::CancelOk { consumer_tag: "c" });
    let replies = "amq.rabbitmq.reply-to";
    let consume =
        basic::Consume { queue: replies, consumer_tag: "r", no_ack: true, ..Default::default() };
    peer.call(1, consume, basic::ConsumeOk { consumer_tag: "r" });
    peer.open_channel(2);
    peer.call(2, tx::Select {}, tx::SelectOk {});
    peer.call(2, tx::Commit {}, tx::CommitOk {});
}

/// B5.1: the name is checked once there is one.
#[test]
fn server_named_queue_needs_its_name() {
    let world = world(Patterns { configure: "^mine", ..NOTHING });
    let peer = hare(&world);
    peer.send(1, queue::Declare::default());
    let text = format!("{:?}", peer.recv());
    assert!(text.contains("configure access to queue 'amq.gen-"), "{text}");
    permit(&world, Patterns { configure: "^amq\\.gen-", ..NOTHING });
    peer.reopen(1);
    peer.declare_as(1, queue::Declare::default());
}

/// B6.1, B0: who may not touch it does not learn whether it is there.
#[test]
fn permission_comes_before_existence() {
    let peer = hare(&world(NOTHING));
    let gone = "queue 'gone'";
    let get = basic::Get { queue: "gone", no_ack: true };
    peer.refused(1, get, 403, &refusal("read", gone));
    let consume = basic::Consume { queue: "gone", ..Default::default() };
    peer.refused(1, consume, 403, &refusal("read", gone));
    let purge = queue::Purge { queue: "gone", nowait: false };
    peer.refused(1, purge, 403, &refusal("read", gone));
    let delete = queue::Delete { queue: "gone", ..Default::default() };
    peer.refused(1, delete, 403, &refusal("configure", gone));
    for (exchange, shown) in [("gone", "gone"), ("", "amq.default")] {
        peer.publish(1, exchange, "k", &text(), b"");
        let text = refusal("write", &format!("exchange '{shown}'"));
        peer.expect_channel_error(1, 403, &text).for_method(60, 40);
        peer.reopen(1);
    }
}

/// Small bodies go another way than large ones, and the first of an address another than the next.
#[test]
fn publish_needs_write_on_the_exchange() {
    for size in [0, 1, 100_000] {
        let world = world(Patterns { write: "^amq\\.default$", ..NOTHING });
        let guest = world.open();
        guest.declare(1, "q");
        guest.bind(1, "q", "amq.topic", "k");
        let peer = hare(&world);
        let body = vec![0; size];
        for _ in 0..3 {
            peer.publish(1, "", "q", &text(), &body);
        }
        peer.publish(1, "amq.topic", "k", &text(), &body);
        let text_of = refusal("write", "exchange 'amq.topic'");
        peer.expect_channel_error(1, 403, &text_of).for_method(60, 40);
        assert_eq!(guest.counts(1, "q"), (3, 0), "{size}");
    }
}

#[test]
fn refused_publish_confirms_nothing_and_ends_a_transaction() {
    let world = world(Patterns { write: "^amq\\.default$", ..NOTHING });
    let guest = world.open();
    guest.declare(1, "q");
    let peer = hare(&world);
    peer.call(1, tx::Select {}, tx::SelectOk {});
    peer.publish(1, "", "q", &text(), b"");
    peer.publish(1, "amq.fanout", "q", &text(), b"");
    let _ = peer.expect_channel_error(1, 403, &refusal("write", "exchange 'amq.fanout'"));
    assert_eq!(guest.counts(1, "q"), (0, 0), "what was not committed is gone");
    peer.reopen(1);
    peer.call(1, confirm::Select { nowait: false }, confirm::SelectOk {});
    peer.publish(1, "amq.fanout", "q", &persistent(), b"");
    let _ = peer.expect_channel_error(1, 403, &refusal("write", "exchange 'amq.fanout'"));
    peer.expect_nothing();
}

// Permissions that change while there are connections.

#[test]
fn change_counts_at_once_for_open_connections() {
    let world = world(Patterns::EVERYTHING);
    let peer = hare(&world);
    peer.declare(1, "q");
    for _ in 0..3 {
        peer.publish(1, "", "q", &text(), b"");
    }
    permit(&world, Patterns { write: "^other$", ..Patterns::EVERYTHING });
    peer.publish(1, "", "q", &text(), b"");
    let _ = peer.expect_channel_error(1, 403, &refusal("write", "exchange 'amq.default'"));
    peer.reopen(1);
    assert_eq!(peer.counts(1, "q"), (3, 0));
    permit(&world, Patterns::EVERYTHING);
    peer.publish(1, "", "q", &text(), b"");
    assert_eq!(peer.counts(1, "q"), (4, 0));

    // An entry that is gone permits nothing, and ends no connection.
    world.authenticator.forbid(&"hare".into(), &"/".into(), unheard()).unwrap();
    let get = basic::Get { queue: "q", no_ack: true };
    peer.refused(1, get, 403, &refusal("read", "queue 'q'"));
    peer.publish(1, "", "q", &text(), b"");
    let _ = peer.expect_channel_error(1, 403, &refusal("write", "exchange 'amq.default'"));
    let late = world.dial();
    late.send_header();
    late.expect_start();
    late.send_start_ok(&client());
    late.expect_tune();
    late.send_tune_ok(&client());
    late.send_open("/");
    let text = "NOT_ALLOWED - access to vhost '/' refused for user 'hare'";
    late.expect_connection_error(530, text, 10, 40);
}

/// As in RabbitMQ: what a consumer was allowed to read once goes on, and is acknowledged.
#[test]
fn consumer_goes_on_when_its_permission_is_taken() {
    let world = world(Patterns::EVERYTHING);
    let guest = world.open();
    let peer = hare(&world);
    peer.declare(1, "q");
    peer.consume(1, "q", "c");
    permit(&world, NOTHING);
    guest.publish(1, "", "q", &text(), b"late");
    let delivery = peer.expect_delivery(1);
    assert_eq!(delivery.content.body, b"late");
    peer.ack(1, delivery.delivery_tag);
    assert_eq!(guest.counts(1, "q"), (0, 1));
    let again = basic::Consume { queue: "q", consumer_tag: "d", ..Default::default() };
    peer.refused(1, again, 403, &refusal("read", "queue 'q'"));
    assert_eq!(guest.counts(1, "q"), (0, 0), "it ended with its channel");
}

// Topic permissions.

fn topic_refusal(access: &str, key: &str) -> String {
    format!(
        "ACCESS_REFUSED - {access} access to topic '{key}' in exchange 'amq.topic' in vhost '/' \
         refused for user 'hare'"
    )
}

#[test]
fn topics_are_checked_for_publishes_and_bindings() {
    let world = world(Patterns::EVERYTHING);
    topics(&world, "amq.topic", "^{username}\\.", "^{username}\\.[^#]*$");
    let guest = world.open();
    guest.declare(1, "q");
    guest.declare_exchange(1, "x", "fanout");
    guest.bind(1, "q", "amq.topic", "#");
    let peer = hare(&world);
    // More than once: the second one finds the way known.
    for key in ["hare.a", "hare.a", "hare.b", "hare.a"] {
        peer.publish(1, "amq.topic", key, &text(), b"");
    }
    for _ in 0..2 {
        peer.publish(1, "amq.topic", "fox.a", &text(), b"");
        let _ = peer.expect_channel_error(1, 403, &topic_refusal("write", "fox.a"));
        peer.reopen(1);
    }
    // A copy under another key is a publish under that key.
    for name in ["CC", "BCC"] {
        let keys = FieldValue::Array(vec!["hare.c".into(), "fox.b".into()]);
        let headers = [(name, keys)].into_iter().collect::<FieldTable>();
        let properties = OwnedProperties { headers: Some((&headers).into()), ..text() };
        peer.publish(1, "amq.topic", "hare.a", &properties, b"");
        let _ = peer.expect_channel_error(1, 403, &topic_refusal("write", "fox.b"));
        peer.reopen(1);
    }
    assert_eq!(guest.counts(1, "q"), (4, 0));

    let bind = |key| queue::Bind {
        queue: "q",
        exchange: "amq.topic",
        routing_key: key,
        ..queue::Bind::default()
    };
    peer.call(1, bind("hare.*"), queue::BindOk {});
    peer.refused(1, bind("#"), 403, &topic_refusal("read", "#"));
    let unbind = queue::Unbind {
        queue: "q",
        exchange: "amq.topic",
        routing_key: "#",
        ..queue::Unbind::default()
    };
    peer.refused(1, unbind, 403, &topic_refusal("read", "#"));
    let bind = exchange::Bind {
        destination: "x",
        source: "amq.topic",
        routing_key: "fox.*",
        ..exchange::Bind::default()
    };
    peer.refused(1, bind, 403, &topic_refusal("read", "fox.*"));
}

#[test]
fn topics_matter_to_topic_exchanges_with_an_entry_only() {
    let world = world(Patterns::EVERYTHING);
    topics(&world, "amq.direct", "", "");
    topics(&world, "gone", "", "");
    let peer = hare(&world);
    peer.declare(1, "q");
    peer.bind(1, "q", "amq.direct", "k");
    peer.bind(1, "q", "amq.topic", "k");
    peer.publish(1, "amq.direct", "k", &text(), b"");
    peer.publish(1, "amq.topic", "k", &text(), b"");
    assert_eq!(peer.counts(1, "q"), (2, 0));
    peer.publish(1, "gone", "k", &text(), b"");
    let _ = peer.expect_channel_error(1, 404, "NOT_FOUND - no exchange 'gone' in vhost '/'");
    peer.reopen(1);

    // An entry on top of the permission, not instead of it; and it can be lifted.
    topics(&world, "amq.topic", "^k$", "");
    peer.publish(1, "amq.topic", "k", &text(), b"");
    assert_eq!(peer.counts(1, "q"), (3, 0));
    peer.publish(1, "amq.topic", "j", &text(), b"");
    let _ = peer.expect_channel_error(1, 403, &topic_refusal("write", "j"));
    peer.reopen(1);
    world.authenticator.forget_topics(&"hare".into(), &"/".into(), None, unheard()).unwrap();
    peer.publish(1, "amq.topic", "j", &text(), b"");
    assert_eq!(peer.counts(1, "q"), (3, 0));
    permit(&world, Patterns { write: "^amq\\.default$", ..Patterns::EVERYTHING });
    topics(&world, "amq.topic", ".*", ".*");
    peer.publish(1, "amq.topic", "k", &text(), b"");
    let _ = peer.expect_channel_error(1, 403, &refusal("write", "exchange 'amq.topic'"));
}
