//! What comes back to a quorum queue without a delivery limit goes to the tail (behaviour B6.13).

use std::path::Path;
use std::time::Duration;

use leveret::broker::Limits;
use leveret::protocol::method::basic;
use leveret::protocol::method::queue::Declare;
use leveret::protocol::{FieldTable, FieldValue, Headers, OwnedProperties};
use leveret::queue::Budget;
use leveret::storage::memory::Record;
use leveret::time::Time;

use crate::support::{Delivery, Peer, World, text};

fn unlimited<const N: usize>(more: [(&str, FieldValue); N]) -> Declare<'static> {
    with_limit(-1, more)
}

fn with_limit<const N: usize>(limit: i32, more: [(&str, FieldValue); N]) -> Declare<'static> {
    let own = [("x-queue-type", "quorum".into()), ("x-delivery-limit", limit.into())];
    let arguments = own.into_iter().chain(more).collect();
    Declare { queue: "q", durable: true, arguments, ..Declare::default() }
}

/// A client and such a queue `q` with these messages.
#[track_caller]
fn filled(bodies: &[&str]) -> Peer {
    let peer = World::new().open();
    peer.declare_as(1, unlimited([]));
    peer.publish_texts(1, "q", bodies);
    peer
}

/// Delivery tags of the next ones.
#[track_caller]
fn take<const N: usize>(peer: &Peer) -> [u64; N] {
    [(); N].map(|()| peer.get(1, "q").unwrap().delivery_tag)
}

fn count(delivery: &Delivery) -> Option<i64> {
    let headers: FieldTable = delivery.content.properties().headers?.reader().try_into().unwrap();
    headers.get("x-delivery-count")?.as_int()
}

/// What is in the queue, in order: text, redelivered, delivery count. All of it goes.
fn all(peer: &Peer) -> Vec<(String, bool, Option<i64>)> {
    let next = || {
        let delivery = peer.get(1, "q")?;
        peer.ack(1, delivery.delivery_tag);
        Some((delivery.text(), delivery.redelivered, count(&delivery)))
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn it_goes_behind_the_others_in_the_order_of_its_return() {
    let peer = filled(&["a", "b", "c", "d"]);
    let tags: [u64; 3] = take(&peer);
    peer.nack(1, tags[1], true);
    peer.reject(1, tags[0], true);
    peer.publish_texts(1, "q", &["e"]);
    peer.nack(1, tags[2], true);
    assert_eq!(peer.counts(1, "q").0, 5);
    let first = |text: &str| (text.to_owned(), false, None);
    let again = |text: &str| (text.to_owned(), true, Some(1));
    assert_eq!(all(&peer), [first("d"), again("b"), again("a"), first("e"), again("c")]);
}

#[test]
fn whatever_gives_it_back() {
    let ends: [fn(&Peer); 3] = [
        |peer| peer.send(1, basic::Nack { delivery_tag: 2, multiple: true, requeue: true }),
        |peer| {
            peer.send(1, basic::Recover { requeue: true });
            peer.expect(1, basic::RecoverOk {});
        },
        |peer| {
            peer.close_channel(1);
            peer.open_channel(1);
        },
    ];
    for end in ends {
        let peer = filled(&["a", "b", "c"]);
        take::<2>(&peer);
        end(&peer);
        assert_eq!(peer.drain(1, "q"), ["c", "a", "b"]);
    }
}

/// One that fails for ever comes round as often as all the others.
#[test]
fn a_consumer_gets_the_others_before() {
    let peer = filled(&["bad", "1", "2"]);
    peer.qos(1, 1, false);
    peer.consume(1, "q", "c");
    for (body, count_before) in [("bad", None), ("1", None), ("2", None), ("bad", Some(1))] {
        let delivery = peer.expect_delivery(1);
        assert_eq!((delivery.text().as_str(), count(&delivery)), (body, count_before));
        match body {
            "bad" => peer.nack(1, delivery.delivery_tag, true),
            _ => peer.ack(1, delivery.delivery_tag),
        }
    }
    assert_eq!(count(&peer.expect_delivery(1)), Some(2));
}

#[test]
fn it_stays_in_its_priority() {
    let peer = World::new().open();
    peer.declare_as(1, unlimited([]));
    for (body, priority) in [("9a", 9), ("1a", 1), ("9b", 9), ("1b", 1)] {
        let properties = OwnedProperties { priority: Some(priority), ..text() };
        peer.publish(1, "", "q", &properties, body.as_bytes());
    }
    let tags: [u64; 3] = take(&peer);
    tags.into_iter().for_each(|tag| peer.nack(1, tag, true));
    assert_eq!(peer.drain(1, "q"), ["9a", "9b", "1b", "1a"]);
}

/// B6.13: what was never sent to the client has not come back from it.
#[test]
fn what_was_not_delivered_keeps_its_place() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    peer.declare_as(1, unlimited([]));
    peer.consume(1, "q", "c");
    peer.stop_reading();
    let body = |n: usize| format!("{n:02}{}", "x".repeat(200_000));
    (0..20).for_each(|n| other.publish_texts(1, "q", &[&body(n)]));
    peer.hang_up();
    let order = all(&other);
    let numbers = order.iter().map(|(text, ..)| text[..2].parse().unwrap());
    let numbers: Vec<usize> = numbers.collect();
    let sent = order.iter().filter(|(.., count)| count.is_some()).count();
    assert!((1..20).contains(&sent));
    assert!(numbers.into_iter().eq((sent..20).chain(0..sent)), "{sent} came back");
}

/// With a length limit the oldest goes, which is another one.
#[test]
fn a_limit_drops_the_head() {
    let peer = World::new().open();
    peer.declare_as(1, unlimited([("x-max-length", 2.into())]));
    peer.publish_texts(1, "q", &["a", "b"]);
    let [tag] = take(&peer);
    peer.publish_texts(1, "q", &["c"]);
    peer.nack(1, tag, true);
    assert_eq!(peer.drain(1, "q"), ["c", "a"]);
}

#[test]
fn its_time_to_live_goes_on() {
    let world = World::new();
    let peer = world.open();
    peer.declare_as(1, unlimited([("x-message-ttl", 10_000.into())]));
    peer.publish_texts(1, "q", &["a"]);
    let [tag] = take(&peer);
    world.advance(Duration::from_secs(9));
    peer.nack(1, tag, true);
    assert_eq!(peer.counts(1, "q").0, 1);
    world.advance(Duration::from_secs(1));
    assert_eq!(peer.counts(1, "q").0, 0);
}

#[test]
fn deduplication_knows_it_at_its_new_place() {
    let peer = World::new().open();
    peer.declare_as(1, unlimited([("x-message-deduplication", true.into())]));
    let headers = FieldTable::from_iter([("x-deduplication-header", 1)]);
    let same = OwnedProperties { headers: Some(Headers::from(&headers)), ..text() };
    peer.publish(1, "", "q", &same, b"a");
    let [tag] = take(&peer);
    peer.nack(1, tag, true);
    peer.publish(1, "", "q", &same, b"b");
    let [tag] = take(&peer);
    assert_eq!(peer.counts(1, "q").0, 0);
    peer.ack(1, tag);
    peer.publish(1, "", "q", &same, b"c");
    assert_eq!(peer.drain(1, "q"), ["c"]);
}

/// One group, and nothing where it does not move.
#[test]
fn the_store_hears_of_a_move_as_one() {
    for (limit, moves) in [(-1, true), (5, false)] {
        let world = World::held();
        let peer = world.connect();
        peer.open_channel(1);
        peer.send(1, with_limit(limit, []));
        world.finish_commits(&Ok(()));
        peer.recv();
        peer.publish_texts(1, "q", &["a", "b"]);
        let tags: [u64; 2] = take(&peer);
        world.take_records();
        peer.nack(1, tags[0], true);
        let records = world.take_records();
        match records[..] {
            [
                Record::Enqueue { group, queue, run },
                Record::Settle { group: same, queue: also, first, last },
                Record::EndGroup(end),
            ] if moves => {
                assert!(group != 0 && group == same && group == end && queue == also);
                assert!(first == last && last < run.position && run.count == 1);
            }
            [] if !moves => {}
            _ => panic!("{records:?}"),
        }
        // What is acknowledged then is what is at the new place.
        let [tag] = take(&peer);
        peer.ack(1, tag);
        let settled = world.take_records();
        let [Record::Settle { first, last, .. }] = settled[..] else { panic!("{settled:?}") };
        let new = records.iter().find_map(|record| match record {
            Record::Enqueue { run, .. } => Some(run.position),
            _ => None,
        });
        assert!(first == last && new.is_none_or(|new| new == first));
    }
}

// Over a restart.

fn small(directory: &Path, now: Time) -> World {
    let limits = Limits { queue_budget: Budget::of(64 * 1024), ..Limits::default() };
    World::in_directory_with(directory, now, limits)
}

/// Its deadline as well: the store has it as if it had come in when it did.
#[test]
fn order_and_deadlines_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let world = small(directory.path(), Time(0));
    let peer = world.open();
    peer.declare_as(1, unlimited([("x-message-ttl", 60_000.into())]));
    peer.publish_texts(1, "q", &["a", "b", "c", "d"]);
    world.advance(Duration::from_secs(20));
    let tags: [u64; 3] = take(&peer);
    for n in [1, 0] {
        peer.nack(1, tags[n], true);
    }
    peer.publish_texts(1, "q", &["e"]);
    let now = world.now();
    drop((world, peer));
    for end in [39, 40] {
        let world = small(directory.path(), now + Duration::from_secs(end));
        let peer = world.open();
        if end == 39 {
            // The end of the connection gave back the third one.
            let texts: Vec<_> = [(); 5].map(|()| peer.get(1, "q").unwrap().text()).into();
            assert_eq!(texts, ["d", "b", "a", "e", "c"]);
        } else {
            assert_eq!(peer.drain(1, "q"), ["e"]);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, path) = entry.map(|entry| (entry.file_name(), entry.path())).unwrap();
        if path.is_dir() {
            std::fs::create_dir_all(to.join(&entry)).unwrap();
            copy(&path, &to.join(&entry));
        } else if !entry.to_string_lossy().ends_with("lock") {
            std::fs::copy(&path, to.join(&entry)).unwrap();
        }
    }
}

/// The log may end anywhere in what the return wrote.
#[test]
fn a_crash_finds_it_at_one_place() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_directory(directory.path(), Time(0));
    let peer = world.open();
    peer.declare_as(1, unlimited([]));
    peer.publish_texts(1, "q", &["a", "b"]);
    let [tag] = take(&peer);
    let journal = directory.path().join("journal");
    let log = || {
        let files = std::fs::read_dir(&journal).unwrap().map(|file| file.unwrap().path());
        let file = files.max().unwrap();
        (file.metadata().unwrap().len(), file.file_name().unwrap().to_owned())
    };
    let (before, _) = log();
    peer.nack(1, tag, true);
    peer.counts(1, "q");
    let (after, name) = log();
    assert!(before < after, "{before} to {after}");
    let mut orders = Vec::new();
    for length in (before..after).step_by(7).chain([after]) {
        let crashed = tempfile::tempdir().unwrap();
        copy(directory.path(), crashed.path());
        let file = crashed.path().join("journal").join(&name);
        std::fs::File::options().write(true).open(file).unwrap().set_len(length).unwrap();
        let world = World::in_directory(crashed.path(), Time(0));
        let order = world.open().drain(1, "q").concat();
        if orders.last() != Some(&order) {
            orders.push(order);
        }
    }
    assert_eq!(orders, ["ab", "ba"]);
}

/// More than memory takes: they go to segments, with what is known of them, and old segments end.
#[test]
fn many_that_come_back_are_there_once_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let world = small(directory.path(), Time(0));
    let peer = world.open();
    peer.declare_as(1, unlimited([]));
    let body = |n: usize| format!("{n:04} {}", "x".repeat(1000));
    let order = |peer: &Peer| -> Vec<(usize, Option<i64>)> {
        let number = |text: &str| text[..4].parse().unwrap();
        all(peer).into_iter().map(|(text, _, count)| (number(&text), count)).collect()
    };
    (0..500).for_each(|n| peer.publish_texts(1, "q", &[&body(n)]));
    for _ in 0..300 {
        let [tag] = take(&peer);
        peer.nack(1, tag, true);
    }
    drop((world, peer));
    let world = small(directory.path(), Time(0));
    let peer = world.open();
    assert_eq!(peer.counts(1, "q").0, 500);
    let fresh = take::<200>(&peer);
    assert_eq!(fresh.len(), 200);
    fresh.into_iter().for_each(|tag| peer.nack(1, tag, true));
    drop((world, peer));
    let world = small(directory.path(), Time(0));
    let found = order(&world.open());
    assert!(found.iter().map(|(n, _)| *n).eq(0..500), "{found:?}");
    // Nothing says how often what was in memory came back; of what was on disk its segment does.
    assert!(found.iter().filter(|(_, count)| *count == Some(1)).count() > 200, "{found:?}");
    assert!(found.iter().all(|(_, count)| count.is_none_or(|count| count == 1)), "{found:?}");
    drop(world);
    let world = small(directory.path(), Time(0));
    assert!(world.open().get(1, "q").is_none());
}
