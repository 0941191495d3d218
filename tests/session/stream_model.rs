//! Streams over a directory, by random lists of operations, against a model that is a list: publishes,
//! consumers at any offset and at their own pace, retention, restarts that lose nothing confirmed.
//!
//! A failure prints its seed and the shortest list of operations that still fails. To run a seed again,
//! and to run more than the usual number of lists:
//!
//! ```text
//! LEVERET_SEED=42 PROPTEST_CASES=1000 cargo test --test stream_model
//! ```

// All of this is a test: whatever it stumbles over fails it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{Delivery, Peer, World};
use leveret::protocol::method::basic;
use leveret::protocol::{FieldTable, FieldValue, Method, OwnedProperties};
use leveret::time::Time;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestError, TestRunner};

#[derive(Clone, Debug)]
enum Op {
    /// Bytes of each body, and whether it is called persistent.
    Publish(Vec<(usize, bool)>),
    /// A consumer with this prefetch that begins somewhere.
    Consume(u16, Start),
    /// So many of the oldest deliveries of a consumer are settled, one way or another.
    Settle(usize, usize, Settle),
    Cancel(usize),
    Wait(u64),
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    First,
    Last,
    Next,
    /// Of a hundred, how far into the stream.
    At(i64),
    /// Seconds ago.
    Ago(u64),
}

#[derive(Clone, Copy, Debug)]
enum Settle {
    Ack,
    Requeue,
    Reject,
}

#[derive(Clone, Copy, Debug)]
struct Setup {
    segment_bytes: u32,
    length_bytes_max: Option<u32>,
    age_seconds_max: Option<u32>,
}

fn op() -> impl Strategy<Value = Op> {
    let start = prop_oneof![
        Just(Start::First),
        Just(Start::Last),
        Just(Start::Next),
        (-10..110_i64).prop_map(Start::At),
        (1..200_u64).prop_map(Start::Ago),
    ];
    let settle = prop_oneof![Just(Settle::Ack), Just(Settle::Requeue), Just(Settle::Reject)];
    prop_oneof![
        8 => vec((0..600_usize, any::<bool>()), 1..12).prop_map(Op::Publish),
        4 => (1..40_u16, start).prop_map(|(prefetch, start)| Op::Consume(prefetch, start)),
        8 => (any::<usize>(), 1..40_usize, settle)
            .prop_map(|(consumer, count, how)| Op::Settle(consumer, count, how)),
        1 => any::<usize>().prop_map(Op::Cancel),
        2 => (1..100_u64).prop_map(Op::Wait),
        1 => Just(Op::Restart),
    ]
}

fn setup() -> impl Strategy<Value = Setup> {
    let bytes = prop_oneof![Just(None), (1000..20_000_u32).prop_map(Some)];
    let age = prop_oneof![Just(None), (1..120_u32).prop_map(Some)];
    (200..5000_u32, bytes, age).prop_map(|(segment_bytes, length_bytes_max, age_seconds_max)| {
        Setup { segment_bytes, length_bytes_max, age_seconds_max }
    })
}

struct Published {
    body: Vec<u8>,
    time: Time,
}

struct Consumer {
    prefetch: usize,
    /// The offset that comes next, if it is still there.
    next: usize,
    /// What came before this time is not wanted.
    since: Option<Time>,
    /// Tags that are not settled.
    held: Vec<u64>,
}

struct Model {
    directory: tempfile::TempDir,
    setup: Setup,
    world: Option<World>,
    peer: Option<Peer>,
    all: Vec<Published>,
    /// The oldest offset that is there.
    first: usize,
    consumers: BTreeMap<String, Consumer>,
    /// What is before this offset must be gone, for a consumer did not get it.
    skipped_to: usize,
    tags: usize,
}

impl Model {
    fn new(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut model = Self {
            directory,
            setup,
            world: None,
            peer: None,
            all: Vec::new(),
            first: 0,
            consumers: BTreeMap::new(),
            skipped_to: 0,
            tags: 0,
        };
        model.open(Time(0));
        model
    }

    fn open(&mut self, now: Time) {
        let world = World::in_directory(self.directory.path(), now);
        let peer = world.open();
        peer.confirm_select(1);
        let Setup { segment_bytes, length_bytes_max, age_seconds_max } = self.setup;
        let mut arguments = FieldTable::new();
        arguments.insert("x-queue-type", FieldValue::from("stream"));
        let segment_bytes = i64::from(segment_bytes);
        arguments.insert("x-stream-max-segment-size-bytes", segment_bytes);
        if let Some(bytes) = length_bytes_max {
            arguments.insert("x-max-length-bytes", i64::from(bytes));
        }
        if let Some(seconds) = age_seconds_max {
            arguments.insert("x-max-age", FieldValue::from(&*format!("{seconds}s")));
        }
        peer.declare_durable_with(1, "s", arguments);
        (self.world, self.peer) = (Some(world), Some(peer));
    }

    fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    fn peer(&self) -> &Peer {
        self.peer.as_ref().unwrap()
    }

    fn act(&mut self, op: &Op) {
        match op {
            Op::Publish(batch) => self.publish(batch),
            Op::Consume(prefetch, start) => self.consume(*prefetch, *start),
            Op::Settle(consumer, count, how) => self.settle(*consumer, *count, *how),
            Op::Cancel(index) => {
                if let Some(tag) = self.pick(*index) {
                    self.peer().cancel(1, &tag);
                    self.consumers.remove(&tag);
                }
            }
            Op::Wait(seconds) => self.world().advance(Duration::from_secs(*seconds)),
            Op::Restart => {
                let now = self.world().now();
                (self.peer, self.world) = (None, None);
                self.consumers.clear();
                self.open(now);
            }
        }
        self.look_what_is_left();
        self.receive();
    }

    fn publish(&mut self, batch: &[(usize, bool)]) {
        for (length, persistent) in batch {
            let number = self.all.len();
            let mut body = number.to_string().into_bytes();
            body.resize(body.len() + length, b'.');
            let delivery_mode = Some(if *persistent { 2 } else { 1 });
            let properties = OwnedProperties { delivery_mode, ..OwnedProperties::default() };
            self.peer().publish(1, "", "s", &properties, &body);
            self.all.push(Published { body, time: self.world().now() });
        }
    }

    fn consume(&mut self, prefetch: u16, start: Start) {
        // Where things stand right now: what is asked for is relative to it.
        self.look_what_is_left();
        self.receive();
        let end = self.all.len();
        let now = self.world().now();
        let mut since = None;
        let (offset, next): (FieldValue, usize) = match start {
            Start::First => ("first".into(), self.first),
            Start::Last => ("last".into(), end.saturating_sub(1).max(self.first)),
            Start::Next => ("next".into(), end),
            Start::At(percent) => {
                let offset = percent * end as i64 / 100;
                (offset.into(), usize::try_from(offset).unwrap_or(0).clamp(self.first, end))
            }
            Start::Ago(seconds) => {
                let time = Time(now.0 - seconds * 1000);
                since = Some(time);
                (FieldValue::from(&*format!("{seconds}s")), self.first)
            }
        };
        self.peer().qos(1, prefetch, false);
        let tag = format!("c{}", self.tags);
        self.tags += 1;
        let arguments = [("x-stream-offset", offset)].into_iter().collect();
        let consume = basic::Consume { queue: "s", arguments, ..basic::Consume::default() };
        self.peer().consume_as(1, basic::Consume { consumer_tag: &tag, ..consume });
        let prefetch = prefetch.into();
        self.consumers.insert(tag, Consumer { prefetch, next, since, held: Vec::new() });
    }

    fn settle(&mut self, consumer: usize, count: usize, how: Settle) {
        let Some(tag) = self.pick(consumer) else { return };
        for _ in 0..count {
            let held = &mut self.consumers.get_mut(&tag).unwrap().held;
            if held.is_empty() {
                break;
            }
            let delivery = held.remove(0);
            match how {
                Settle::Ack => self.peer().ack(1, delivery),
                Settle::Requeue => self.peer().nack(1, delivery, true),
                Settle::Reject => self.peer().reject(1, delivery, false),
            }
            // Retention may take messages between two of them.
            self.receive();
        }
    }

    fn pick(&self, index: usize) -> Option<String> {
        let tags: Vec<&String> = self.consumers.keys().collect();
        (!tags.is_empty()).then(|| tags[index % tags.len()].clone())
    }

    /// What is there is a piece at the end, and no less than the limits say.
    fn look_what_is_left(&mut self) {
        self.receive();
        let end = self.all.len();
        let first = end - self.peer().counts(1, "s").0 as usize;
        assert!(self.skipped_to <= first, "{} was skipped", self.skipped_to);
        assert!(first >= self.first, "nothing comes back: {first} after {}", self.first);
        assert!(first < end || end == 0, "something of it stays");
        let now = self.world().now();
        for gone in &self.all[self.first..first] {
            let Setup { length_bytes_max, age_seconds_max, .. } = self.setup;
            let is_old = age_seconds_max
                .is_some_and(|seconds| gone.time.0 + u64::from(seconds) * 1000 <= now.0);
            // What a message takes is more than its body and less than that and a hundred.
            let size = |message: &Published| message.body.len() + 100;
            let is_over = length_bytes_max.is_some_and(|bytes| {
                self.all[self.first..].iter().map(size).sum::<usize>() > bytes as usize
            });
            assert!(is_old || is_over, "a message was dropped for no reason");
        }
        if self.setup.length_bytes_max.is_none() && self.setup.age_seconds_max.is_none() {
            assert_eq!(first, 0);
        }
        if let Some(bytes) = self.setup.length_bytes_max {
            // Two segments, of which either may be somewhat larger than asked for, and the tail.
            let slack = 3 * (self.setup.segment_bytes as usize + 30 * 800);
            let left: usize = self.all[first..].iter().map(|message| message.body.len()).sum();
            assert!(left <= bytes as usize + slack, "{left} bytes are left");
        }
        self.first = first;
    }

    /// Takes what has come, each message being what its consumer had to get next.
    fn receive(&mut self) {
        loop {
            if self.peer().unseen() == 0 {
                break;
            }
            let received = self.peer().recv();
            if matches!(received.method(), Method::Basic(basic::Method::Ack(_))) {
                continue;
            }
            self.delivered(&received.delivery());
        }
        for (tag, consumer) in &self.consumers {
            let since = consumer.since.unwrap_or(Time(0));
            let has_more = self
                .all
                .get(consumer.next..)
                .is_some_and(|rest| rest.iter().any(|published| published.time >= since));
            let full = consumer.held.len() == consumer.prefetch;
            assert!(full || !has_more, "{tag} waits for {}", consumer.next);
        }
    }

    fn delivered(&mut self, delivery: &Delivery) {
        let headers = delivery.content.properties().headers.unwrap_or_default();
        let offset = headers.find("x-stream-offset").unwrap().as_int().unwrap();
        let offset = usize::try_from(offset).unwrap();
        assert!(!delivery.redelivered);
        assert_eq!(delivery.content.body, self.all[offset].body);
        let consumer = self.consumers.get_mut(&delivery.consumer_tag).unwrap();
        if let Some(since) = consumer.since.take() {
            let wanted = self.all.iter().position(|published| published.time >= since);
            consumer.next = consumer.next.max(wanted.unwrap());
        }
        // Only what is gone by now may be left out.
        assert!(offset >= consumer.next, "{offset} instead of {}", consumer.next);
        if offset > consumer.next {
            self.skipped_to = self.skipped_to.max(offset);
        }
        consumer.next = offset + 1;
        consumer.held.push(delivery.delivery_tag);
        assert!(consumer.held.len() <= consumer.prefetch);
    }
}

fn run(setup: Setup, ops: &[Op]) {
    let mut model = Model::new(setup);
    ops.iter().for_each(|op| model.act(op));
    // In the end everything that is left is read once more, by the next process.
    model.act(&Op::Restart);
    model.act(&Op::Consume(1000, Start::First));
    let last = model.consumers.values().next().unwrap();
    assert_eq!(last.next, model.all.len());
    assert_eq!(last.held.len(), model.all.len() - model.first);
}

#[test]
fn a_stream_is_a_list_that_loses_its_front_and_nothing_else() {
    let mut config = ProptestConfig { cases: 12, max_shrink_iters: 200, ..Default::default() };
    if let Ok(cases) = std::env::var("PROPTEST_CASES") {
        config.cases = cases.parse().unwrap();
    }
    let seed = match std::env::var("LEVERET_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => rand::random(),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    config.failure_persistence = None;
    let mut runner = TestRunner::new(config);
    let result = runner.run(&(setup(), vec(op(), 1..25)), |(setup, ops)| {
        run(setup, &ops);
        Ok(())
    });
    if let Err(TestError::Fail(reason, (setup, ops))) = result {
        panic!("seed {seed}: {reason}\n{setup:#?}\n{ops:#?}");
    }
}
