//! Queues after they were declared: purged, deleted, and gone by themselves (behaviour B5.3 and B5.9
//! to B5.12).

use leveret::protocol::Method;
use leveret::protocol::method::basic::{self, Cancel, CancelOk};
use leveret::protocol::method::connection;
use leveret::protocol::method::queue::{self, Declare, Delete, DeleteOk, Purge, PurgeOk};

use crate::support::{Peer, World, text};

fn purge(queue: &str) -> Purge<'_> {
    Purge { queue, nowait: false }
}

fn delete(queue: &str) -> Delete<'_> {
    Delete { queue, ..Delete::default() }
}

fn gone(name: &str) -> String {
    format!("NOT_FOUND - no queue '{name}' in vhost '/'")
}

#[track_caller]
fn expect_gone(peer: &Peer, name: &str) {
    let passive = Declare { queue: name, passive: true, ..Declare::default() };
    peer.refused(1, passive, 404, &gone(name));
}

/// B5.10: what is ready goes, what was delivered stays and comes back.
#[test]
fn purge_removes_what_is_ready() {
    let peer = World::new().open();
    peer.refused(1, purge("q"), 404, &gone("q"));
    peer.declare(1, "q");
    peer.call(1, purge("q"), PurgeOk { message_count: 0 });
    peer.publish_texts(1, "q", &["1", "2", "3"]);
    let first = peer.get(1, "q").unwrap();
    peer.call(1, purge("q"), PurgeOk { message_count: 2 });
    assert_eq!(peer.get(1, "q"), None);
    peer.nack(1, first.delivery_tag, true);
    peer.publish_texts(1, "q", &["4"]);
    peer.send(1, Purge { queue: "none", nowait: false });
    peer.expect_channel_error(1, 404, &gone("none")).for_method(50, 30);
    peer.reopen(1);
    assert_eq!(peer.drain(1, "q"), ["1", "4"]);

    peer.publish_texts(1, "q", &["5"]);
    peer.send(1, Purge { queue: "q", nowait: true });
    peer.expect_nothing();
    assert_eq!(peer.counts(1, "q"), (0, 0));
}

/// B5.11: the answer counts what was ready.
#[test]
fn delete_ok_counts_ready_messages() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["1", "2", "3"]);
    peer.get(1, "q").unwrap();
    peer.call(1, delete("q"), DeleteOk { message_count: 2 });
    expect_gone(&peer, "q");
    peer.declare(1, "q");
    assert_eq!(peer.get(1, "q"), None, "a new queue is empty");
    peer.send(1, Delete { nowait: true, ..delete("q") });
    peer.expect_nothing();
    expect_gone(&peer, "q");
}

/// B5.11 and B16.5: what is wanted is that it is gone.
#[test]
fn deleting_what_is_not_there_succeeds() {
    let peer = World::new().open();
    for (if_unused, if_empty) in [(false, false), (true, true)] {
        let request = Delete { if_unused, if_empty, ..delete("q") };
        peer.call(1, request, DeleteOk { message_count: 0 });
    }
    for queue in ["amq.none", "amq.rabbitmq.reply-to"] {
        peer.call(1, delete(queue), DeleteOk { message_count: 0 });
    }
    peer.refused(1, delete(""), 404, "NOT_FOUND - no previously declared queue");
}

/// B5.11: both conditions, the one for messages first.
#[test]
fn delete_has_conditions() {
    let peer = World::new().open();
    peer.open_channel(2);
    let not_empty = "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty";
    let in_use = "PRECONDITION_FAILED - queue 'q' in vhost '/' in use";
    for (ready, consumed, if_unused, if_empty, refusal) in [
        (true, true, true, true, Some(not_empty)),
        (true, false, true, true, Some(not_empty)),
        (true, true, false, true, Some(not_empty)),
        (true, true, true, false, Some(in_use)),
        (false, true, true, true, Some(in_use)),
        (true, false, true, false, None),
        (false, true, false, true, None),
        (true, true, false, false, None),
    ] {
        peer.declare(1, "q");
        if consumed {
            // It holds one message, and takes no more.
            peer.qos(2, 1, false);
            peer.consume(2, "q", "c");
            peer.publish_texts(1, "q", &["held"]);
            peer.expect_texts(2, &["held"]);
        }
        if ready {
            peer.publish_texts(1, "q", &["ready"]);
        }
        let request = Delete { if_unused, if_empty, ..delete("q") };
        match refusal {
            Some(text) => {
                peer.refused(1, request, 406, text);
                assert_eq!(peer.counts(1, "q"), (ready.into(), consumed.into()), "it stays");
                peer.send(1, delete("q"));
            }
            None => peer.send(1, request),
        }
        peer.expect(1, DeleteOk { message_count: ready.into() });
        if consumed {
            peer.expect(2, Cancel { consumer_tag: "c", nowait: true });
            peer.ack(2, 1);
            peer.close_channel(2);
            peer.open_channel(2);
        }
    }
}

/// B5.11, B6.9 and B6.12: delete-ok, then the cancels; what was delivered can still be settled.
#[test]
fn consumers_of_a_deleted_queue_are_told_and_may_settle() {
    let peer = World::new().open();
    peer.declare(1, "q");
    peer.declare(1, "other");
    peer.consume(1, "q", "c");
    peer.publish_texts(1, "q", &["1", "2", "3"]);
    peer.expect_texts(1, &["1", "2", "3"]);
    peer.call(1, delete("q"), DeleteOk { message_count: 0 });
    peer.expect(1, Cancel { consumer_tag: "c", nowait: true });
    // The answer that a client may give (behaviour B1.12).
    peer.send(1, CancelOk { consumer_tag: "c" });
    peer.declare(1, "q");
    peer.ack(1, 1);
    peer.nack(1, 2, true);
    peer.reject(1, 3, false);
    assert_eq!(peer.counts(1, "q"), (0, 0), "what was nacked was another queue's");
    // Its tag is free.
    peer.consume(1, "other", "c");
    peer.publish_texts(1, "other", &["4"]);
    assert_eq!(peer.expect_delivery(1).delivery_tag, 4);
}

/// B5.12: a publish whose queue is gone before it was safe there is confirmed like any other.
#[test]
fn publish_to_a_queue_that_is_deleted_meanwhile_is_confirmed() {
    let world = World::held();
    let (peer, other) = (world.open(), world.open());
    peer.send(1, Declare { queue: "q", durable: true, ..Declare::default() });
    world.finish_commits(&Ok(()));
    peer.recv();
    peer.confirm_select(1);
    peer.publish(1, "", "q", &crate::support::persistent(), b"");
    peer.expect_nothing();
    other.send(1, delete("q"));
    world.finish_commits(&Ok(()));
    other.expect(1, DeleteOk { message_count: 1 });
    world.sync();
    peer.expect_confirm(1, 1, false);
    peer.expect_nothing();
}

/// B5.3: nobody else does anything with it by name, but messages come from everywhere.
#[test]
fn exclusive_queue_takes_orders_from_its_owner_alone() {
    let world = World::new();
    let (owner, other) = (world.open(), world.open());
    owner.declare_as(1, Declare { queue: "mine", exclusive: true, ..Declare::default() });
    let text = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost \
                '/'. It could be originally declared on another connection or the exclusive \
                property value does not match that of the original declaration.";
    let requests: [Method<'_>; 6] = [
        purge("mine").into(),
        delete("mine").into(),
        Delete { if_empty: true, if_unused: true, ..delete("mine") }.into(),
        basic::Get { queue: "mine", no_ack: true }.into(),
        basic::Consume { queue: "mine", ..basic::Consume::default() }.into(),
        queue::Bind { queue: "mine", exchange: "amq.fanout", ..queue::Bind::default() }.into(),
    ];
    for request in requests {
        other.refused(1, request, 405, text);
    }
    other.publish_texts(1, "mine", &["hello"]);
    assert_eq!(owner.drain(1, "mine"), ["hello"]);
    owner.call(1, delete("mine"), DeleteOk { message_count: 0 });
    other.declare(1, "mine");
}

/// B5.3, B2.11 and B16.17: its end is its connection's, whatever the flags say, and its name is free
/// before close-ok.
#[test]
fn exclusive_queue_ends_with_its_connection() {
    for durable in [false, true] {
        let world = World::new();
        let (owner, other) = (world.open(), world.open());
        let mine = || Declare { queue: "mine", durable, exclusive: true, ..Declare::default() };
        owner.declare_as(1, mine());
        owner.close_channel(1);
        owner.open_channel(1);
        owner.publish_texts(1, "mine", &["1"]);
        assert_eq!(owner.counts(1, "mine"), (1, 0), "a channel's end does not matter");

        owner.call(0, connection_close(), connection::CloseOk {});
        assert_eq!(other.declare_as(1, mine()), ("mine".to_owned(), 0, 0));
        other.hang_up();
        expect_gone(&world.open(), "mine");
    }
}

fn connection_close() -> connection::Close<'static> {
    connection::Close { reply_code: 200, reply_text: "bye", class_id: 0, method_id: 0 }
}

/// B5.9: it goes with its last consumer, before the consumer's end is confirmed (B16.17).
#[test]
fn auto_delete_queue_goes_with_its_last_consumer() {
    let ends: [&dyn Fn(&Peer); 3] =
        [&|peer| peer.cancel(1, "two"), &|peer| peer.close_channel(1), &|peer| {
            peer.refused(1, delete(""), 404, "NOT_FOUND - no previously declared queue")
        }];
    for end in ends {
        let world = World::new();
        let (peer, other) = (world.open(), world.open());
        auto_delete(&other);
        peer.consume(1, "q", "one");
        peer.consume(1, "q", "two");
        peer.cancel(1, "one");
        assert_eq!(other.counts(1, "q"), (0, 1));
        end(&peer);
        expect_gone(&other, "q");
    }
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    auto_delete(&other);
    peer.consume(1, "q", "one");
    peer.hang_up();
    expect_gone(&other, "q");
}

/// B5.9: it was never consumed from, or only looked at.
#[test]
fn auto_delete_queue_waits_for_its_first_consumer() {
    let world = World::new();
    let peer = world.open();
    auto_delete(&peer);
    peer.publish_texts(1, "q", &["1"]);
    assert_eq!(peer.get(1, "q").unwrap().text(), "1");
    peer.hang_up();
    let peer = world.open();
    assert_eq!(peer.counts(1, "q"), (1, 0));
    // A consumer that was refused is none.
    peer.consume_as(1, basic::Consume { queue: "q", exclusive: true, ..Default::default() });
    peer.expect_delivery(1);
    peer.open_channel(2);
    let text = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
    peer.refused(2, basic::Consume { queue: "q", ..Default::default() }, 403, text);
    assert_eq!(peer.counts(2, "q"), (0, 1));
}

/// B5.9: what its consumer had not settled is lost with it, and may be settled all the same.
#[test]
fn messages_of_an_auto_delete_queue_go_with_it() {
    let peer = World::new().open();
    auto_delete(&peer);
    peer.qos(1, 2, false);
    peer.consume(1, "q", "c");
    peer.publish_texts(1, "q", &["1", "2", "3"]);
    peer.expect_texts(1, &["1", "2"]);
    peer.cancel(1, "c");
    auto_delete(&peer);
    peer.ack(1, 1);
    peer.nack(1, 2, true);
    assert_eq!(peer.counts(1, "q"), (0, 0));
    // It is another queue, which waits for its own first consumer.
    peer.publish(1, "", "q", &text(), b"4");
    assert_eq!(peer.counts(1, "q"), (1, 0));
}

#[track_caller]
fn auto_delete(peer: &Peer) {
    peer.declare_as(1, Declare { queue: "q", auto_delete: true, ..Declare::default() });
}
