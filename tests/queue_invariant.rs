//! The invariant of the queue, by random lists of operations: a message that a queue took in is in
//! exactly one place (ready, an outbox, unacked, or gone), whatever consumers, publishers, limits and
//! dying connections do.
//!
//! A failure prints its seed and the shortest list of operations that still fails. To run a seed again,
//! and to run more than the usual number of lists:
//!
//! ```text
//! LEVERET_SEED=42 PROPTEST_CASES=100000 cargo test --test queue_invariant
//! ```

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "queue_invariant/world.rs"]
mod world;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use leveret::delivery::{ChannelLimit, Outbox, Outgoing, SourceId};
use leveret::message::Queued;
use leveret::queue::{
    Arrival, Budget, Effects, Incoming, Options, Overflow, Paging, Queue, Settled, Subscription,
};
use leveret::storage::SegmentStore;
use leveret::storage::disk::MemoryDisk;
use leveret::time::Time;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestError, TestRunner};
use world::{Op, Returned, Setup, World, message};

fn op() -> impl Strategy<Value = Op> {
    let any_index = any::<usize>;
    prop_oneof![
        8 => vec((0..6_u8, 0..60_usize), 1..6).prop_map(Op::Publish),
        6 => (0..3_usize, 0..2_usize, 0..4_u16, any::<bool>(), 0..12_u8, -1..=1_i64).prop_map(
            |(connection, channel, prefetch, no_ack, exclusive, priority)| Op::Subscribe {
                connection,
                channel,
                prefetch,
                no_ack,
                exclusive: exclusive == 0,
                priority,
            }
        ),
        3 => any_index().prop_map(Op::Cancel),
        8 => (0..3_usize).prop_map(Op::Take),
        8 => (any_index(), 1..4_usize).prop_map(|(holder, count)| Op::Ack { holder, count }),
        4 => (any_index(), 1..4_usize, any::<bool>()).prop_map(
            |(holder, count, newest)| Op::Requeue { holder, count, newest }
        ),
        2 => (any_index(), 1..4_usize).prop_map(|(holder, count)| Op::Reject { holder, count }),
        3 => any::<bool>().prop_map(|no_ack| Op::Get { no_ack }),
        3 => (any_index(), returned()).prop_map(|(index, how)| Op::Return { index, how }),
        1 => Just(Op::Purge),
        2 => (0..3_usize, any::<bool>()).prop_map(|(connection, abrupt)| Op::Die {
            connection,
            abrupt
        }),
        3 => (0..3_usize, 0..2_usize, 0..4_u16).prop_map(|(connection, channel, limit)| {
            Op::Limit { connection, channel, limit }
        }),
        2 => (1..30_u64).prop_map(Op::Pass),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(if_unused, if_empty)| Op::Delete {
            if_unused,
            if_empty
        }),
    ]
}

fn returned() -> impl Strategy<Value = Returned> {
    prop_oneof![Just(Returned::Ack), Just(Returned::Requeue), Just(Returned::Reject)]
}

fn setup() -> impl Strategy<Value = Setup> {
    let overflow = prop_oneof![
        Just(Overflow::DropHead),
        Just(Overflow::RejectPublish),
        Just(Overflow::RejectPublishDlx)
    ];
    let rarely = |of: u8| (0..of).prop_map(|number| number == 0);
    let outbox_bytes_high = || prop_oneof![Just(1 << 20), 1..400_usize];
    let with_arguments = (
        proptest::option::of(1..4_u8),
        proptest::option::of(0..6_u64),
        proptest::option::of(20..200_u64),
        overflow,
        proptest::option::of(0..40_u64),
        (rarely(4), rarely(8)),
        outbox_bytes_high(),
    )
        .prop_map(
            |(max_priority, length, bytes, overflow, ttl, (single, auto_delete), high)| {
                let options = Options {
                    message_ttl_millis: ttl,
                    max_length: length,
                    max_length_bytes: bytes,
                    overflow: Some(overflow),
                    max_priority,
                    single_active_consumer: single,
                    ..reporting()
                };
                Setup { options, auto_delete, outbox_bytes_high: high, budget: None }
            },
        );
    let plain = outbox_bytes_high().prop_map(|high| Setup {
        options: reporting(),
        auto_delete: false,
        outbox_bytes_high: high,
        budget: None,
    });
    (prop_oneof![with_arguments, plain], budget())
        .prop_map(|(setup, budget)| Setup { budget, ..setup })
}

/// Down to a segment for every message, and nothing else in memory.
fn budget() -> impl Strategy<Value = Option<Budget>> {
    let bytes = || 1..400_usize;
    proptest::option::of((bytes(), bytes()).prop_map(|(head, segment)| Budget { head, segment }))
}

/// A queue with a dead letter exchange says what died.
fn reporting() -> Options {
    Options { dead_letter_exchange: Some("dead".to_owned()), ..Options::default() }
}

#[test]
fn every_message_is_in_exactly_one_place() {
    let seed = match std::env::var("LEVERET_SEED") {
        Ok(seed) => seed.parse().expect("LEVERET_SEED is a number"),
        Err(_) => rand::random(),
    };
    let config = ProptestConfig {
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 50_000,
        ..ProptestConfig::with_cases(cases())
    };
    let lists = (setup(), vec(op(), 1..80));
    let result = quietly(|| {
        let run = TestRunner::new(config).run(&lists, |(setup, ops)| {
            let mut world = World::new(setup);
            for op in &ops {
                world.act(op);
            }
            world.end();
            Ok(())
        });
        run.map_err(Box::new)
    });
    let Err(failure) = result else { return };
    match *failure {
        TestError::Fail(reason, (setup, ops)) => {
            let ops: Vec<String> = ops.iter().map(|op| format!("    {op:?}")).collect();
            let ops = ops.join("\n");
            panic!("LEVERET_SEED={seed} fails: {reason}\n{setup:?}\n{ops}");
        }
        abort @ TestError::Abort(_) => panic!("{abort}"),
    }
}

/// Without a report of every panic on the way to the shortest list.
fn quietly<T>(run: impl FnOnce() -> T) -> T {
    let hook = Arc::new(std::panic::take_hook());
    let (loud, noisy) = (Arc::clone(&hook), std::thread::current().id());
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() != noisy {
            loud(panic);
        }
    }));
    let result = run();
    std::panic::set_hook(Box::new(move |panic| hook(panic)));
    result
}

fn cases() -> u32 {
    let cases = std::env::var("PROPTEST_CASES").ok();
    cases.map_or(600, |cases| cases.parse().expect("PROPTEST_CASES is a number"))
}

/// The same promise between threads: publishers, consumers that acknowledge, give back and die, all at
/// once. Every message is acknowledged exactly once.
#[test]
fn threads_neither_lose_nor_double_a_message() {
    with_threads(&world::queue(Options::default(), false, None), || {});
}

/// The same for a queue of which little fits into memory.
#[test]
fn threads_and_a_pager_neither_lose_nor_double_a_message() {
    let disk = Arc::new(MemoryDisk::default());
    let failed = Box::new(|error| panic!("{error}"));
    let (pager, _) = SegmentStore::open(disk, Path::new("/segments"), failed).unwrap();
    let (attention, to_look_at) = mpsc::channel::<Arc<Queue>>();
    let paging = Paging {
        pager,
        budget: Budget { head: 2000, segment: 1000 },
        attention: Box::new(move |queue| _ = attention.send(Arc::clone(queue))),
        patient: AtomicUsize::new(0),
    };
    let queue = world::queue(Options::default(), false, Some(paging));
    with_threads(&queue, move || {
        while let Ok(queue) = to_look_at.try_recv() {
            queue.look(Time(1), &mut Effects::default());
        }
    });
}

/// `look` is called over and over.
fn with_threads(queue: &Arc<Queue>, look: impl Fn()) {
    const PUBLISHERS: usize = 2;
    const CONSUMERS: usize = 3;
    const MESSAGES: usize = 4000;
    let done = AtomicBool::new(false);
    let acked: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|_| scope.spawn(|| (0..MESSAGES / 8).for_each(|_| publish(queue, 8))))
            .collect();
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|number| {
                scope.spawn({
                    let (queue, done) = (queue, &done);
                    move || consume(queue, number, done)
                })
            })
            .collect();
        let mut effects = Effects::default();
        loop {
            look();
            let counts = queue.counts(Time(1), &mut effects);
            let published = publishers.iter().all(|publisher| publisher.is_finished());
            if published && (counts.ready, counts.unacked) == (0, 0) {
                break;
            }
            std::thread::yield_now();
        }
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        done.store(true, Ordering::Release);
        consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect()
    });
    let mut all: Vec<u64> = acked.into_iter().flatten().collect();
    all.sort_unstable();
    let expected: Vec<u64> = (1..=(PUBLISHERS * MESSAGES) as u64).collect();
    assert_eq!(all, expected);
}

fn publish(queue: &Arc<Queue>, count: usize) {
    let mut batch = (0..count).map(|_| Incoming::new(message(0, 10), 0)).collect();
    queue.publish(&mut batch, Arrival::at(Time(1)), &mut Vec::new(), &mut Effects::default());
}

/// Connects, takes, settles or gives back by turns, and dies with its hands full, over and over.
fn consume(queue: &Arc<Queue>, number: usize, done: &AtomicBool) -> Vec<u64> {
    let (mut acked, mut effects) = (Vec::new(), Effects::default());
    let mut life = number;
    while !done.load(Ordering::Acquire) {
        life += 1;
        let outbox = Arc::new(Outbox::new(2000));
        let subscription = Subscription {
            outbox: Arc::clone(&outbox),
            source: SourceId(0),
            limit: Arc::new(ChannelLimit::default()),
            prefetch: (life % 7 * 10) as u16,
            no_ack: false,
            exclusive: false,
            priority: 0,
            stream: None,
        };
        let id = queue.subscribe(subscription, Time(1), &mut effects).unwrap();
        let mut held: Vec<Queued> = Vec::new();
        for turn in 0..20 {
            let (mut entries, mut starved) = (Vec::new(), Vec::new());
            outbox.take(&mut entries, &mut starved);
            held.extend(entries.into_iter().map(|entry| match entry {
                Outgoing::Delivery(delivery) => delivery.queued,
                other => panic!("{other:?} from a living queue"),
            }));
            if !starved.is_empty() {
                queue.resume(id, Time(1), &mut effects);
            }
            let some = held.split_off(held.len() / 2);
            let count = some.len() as u32;
            if turn % 3 == 0 {
                queue.requeue(some, &[(Some(id), count)], Time(1), &mut effects);
            } else {
                acked.extend(some.iter().map(|queued| queued.position.0));
                queue.settle(&Settled::count(Some(id), count), Time(1), &mut effects);
            }
        }
        queue.cancel(id, Time(1), &mut effects);
        held.extend(outbox.close().into_iter().map(|delivery| delivery.queued));
        let count = held.len() as u32;
        queue.requeue(held, &[(Some(id), count)], Time(1), &mut effects);
    }
    acked
}
