//! What a message costs between its publisher's batch and its settlement: publish, dispatch, the
//! outbox swapped out, settle. No codec, no session, no store. The batch is what one read brings.
//!
//! `cargo bench --bench queue`

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leveret::delivery::{ChannelLimit, Outbox, SourceId};
use leveret::message::{Message, Traits};
use leveret::protocol::FieldTable;
use leveret::queue::{
    Arrival, Declaration, Effects, Got, Incoming, Options, Queue, Settled, Subscription,
    SubscriptionId,
};
use leveret::time::Time;

const NOW: Time = Time(1);

/// A queue whose consumers each have a connection of their own.
struct Scene {
    queue: Arc<Queue>,
    consumers: Vec<(SubscriptionId, Arc<Outbox>)>,
    no_ack: bool,
    effects: Effects,
    incoming: Vec<Incoming>,
}

impl Scene {
    fn new(options: Options, consumers: usize, no_ack: bool) -> Self {
        let declaration = Declaration {
            durable: false,
            auto_delete: false,
            owner: None,
            arguments: FieldTable::default(),
            options: Arc::new(options),
        };
        let queue = Queue::new("q".into(), declaration, None, None);
        let mut effects = Effects::default();
        let consumers = (0..consumers)
            .map(|_| {
                let outbox = Arc::new(Outbox::new(1 << 30));
                let subscription = Subscription {
                    outbox: Arc::clone(&outbox),
                    source: SourceId(0),
                    limit: Arc::new(ChannelLimit::default()),
                    prefetch: 0,
                    no_ack,
                    exclusive: false,
                    priority: 0,
                    stream: None,
                };
                let id = queue.subscribe(subscription, NOW, &mut effects);
                (id.expect("nobody forbids it"), outbox)
            })
            .collect();
        Self { queue, consumers, no_ack, effects, incoming: Vec::new() }
    }

    fn publish(&mut self, message: &Message, count: usize) {
        let copies = (0..count).map(|_| Incoming::new(message.clone(), 0));
        self.incoming.extend(copies);
        self.publish_incoming();
    }

    fn publish_incoming(&mut self) {
        let Self { queue, incoming, effects, .. } = self;
        queue.publish(incoming, Arrival::at(NOW), &mut Vec::new(), effects);
        effects.wakes.ring();
    }

    /// Empties the outboxes and settles what was in them, by one call for each.
    fn take_and_settle(&mut self) -> usize {
        let (mut entries, mut starved) = (Vec::new(), Vec::new());
        let mut all = 0;
        for (id, outbox) in &self.consumers {
            outbox.take(&mut entries, &mut starved);
            let count = entries.len();
            all += count;
            entries.clear();
            if !self.no_ack {
                let settled = Settled::count(Some(*id), u32::try_from(count).expect("a batch"));
                self.queue.settle(&settled, NOW, &mut self.effects);
            }
        }
        self.effects.wakes.ring();
        all
    }
}

fn message() -> Message {
    let mut header = vec![0, 60, 0, 0];
    header.extend(16_u64.to_be_bytes());
    header.extend([0, 0]);
    Message::with_inline_body(b"\0\x01q", &header, &[7; 16], Traits::default(), &mut Vec::new())
}

/// A new message each time, as from a publisher, through a queue to one consumer and away.
fn flow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow");
    for batch in [1, 100, 1000] {
        group.throughput(Throughput::Elements(batch as u64));
        for (name, consumers, no_ack) in
            [("no-ack", 1, true), ("settled", 1, false), ("settled, 4 consumers", 4, false)]
        {
            let mut scene = Scene::new(Options::default(), consumers, no_ack);
            group.bench_function(BenchmarkId::new(name, batch), |bencher| {
                bencher.iter(|| {
                    scene.incoming.extend((0..batch).map(|_| Incoming::new(message(), 0)));
                    scene.publish_incoming();
                    assert_eq!(scene.take_and_settle(), batch);
                });
            });
        }
    }
    group.finish();
}

/// One message to ten queues, each with a consumer: throughput counts deliveries.
fn fanout(criterion: &mut Criterion) {
    const QUEUES: usize = 10;
    let mut group = criterion.benchmark_group("fanout to 10 queues");
    for batch in [1, 100] {
        group.throughput(Throughput::Elements((batch * QUEUES) as u64));
        let mut scenes: Vec<Scene> =
            (0..QUEUES).map(|_| Scene::new(Options::default(), 1, true)).collect();
        group.bench_function(BenchmarkId::new("no-ack", batch), |bencher| {
            bencher.iter(|| {
                let messages: Vec<Message> = (0..batch).map(|_| message()).collect();
                for scene in &mut scenes {
                    let copies = messages.iter().map(|one| Incoming::new(one.clone(), 0));
                    scene.incoming.extend(copies);
                    scene.publish_incoming();
                }
                for scene in &mut scenes {
                    assert_eq!(scene.take_and_settle(), batch);
                }
            });
        });
    }
    group.finish();
}

/// Everything a dead connection held comes back at once, in the middle of a backlog.
fn requeue(criterion: &mut Criterion) {
    const BACKLOG: usize = 100_000;
    const HELD: usize = 10_000;
    let mut group = criterion.benchmark_group("requeue 10 000 into a backlog of 90 000");
    group.throughput(Throughput::Elements(HELD as u64));
    let (plain, prioritized) =
        (Options::default(), Options { max_priority: Some(9), ..Options::default() });
    for (name, options) in [("plain", plain), ("with priorities", prioritized)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let mut scene = Scene::new(options.clone(), 0, false);
                    scene.publish(&message(), BACKLOG);
                    let mut all = Vec::new();
                    while let Got::Message { queued, .. } =
                        scene.queue.get(false, NOW, &mut scene.effects)
                    {
                        all.push(queued);
                    }
                    let every_tenth = |index: &usize| index.is_multiple_of(BACKLOG / HELD);
                    let (mut held, mut ready) = (Vec::new(), Vec::new());
                    for (index, queued) in all.into_iter().enumerate() {
                        if every_tenth(&index) { &mut held } else { &mut ready }.push(queued);
                    }
                    let (queue, effects) = (&scene.queue, &mut scene.effects);
                    queue.requeue(ready, &[(None, (BACKLOG - HELD) as u32)], NOW, effects);
                    let since = Instant::now();
                    queue.requeue(held, &[(None, HELD as u32)], NOW, effects);
                    spent += since.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = flow, fanout, requeue
}
criterion_main!(benches);
