//! A stream with a store and a pager that work when they are told to.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::delivery::{ChannelLimit, Outbox, SourceId};
use crate::message::{Message, Traits};
use crate::protocol::FieldTable;
use crate::queue::{Budget, Declaration, Paging, QueueKind, QueueLog};
use crate::storage::memory::HeldStore;
use crate::storage::segment::HeldPager;
use crate::storage::{Group, MessageStore, QueueId};

const NOW: Time = Time(1000);

struct Scene {
    queue: Arc<Queue>,
    store: Arc<HeldStore>,
    pager: Arc<HeldPager>,
    /// How often somebody was to look.
    called: Arc<AtomicUsize>,
    effects: Effects,
    stored: u64,
}

/// Messages of the tests cost about a hundred bytes.
const SEGMENT: usize = 1000;

impl Scene {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let (store, pager) = (Arc::new(HeldStore::default()), Arc::new(HeldPager::default()));
        let called = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&called);
        let paging = Paging {
            pager: Arc::clone(&pager) as _,
            budget: Budget { head: SEGMENT, segment: SEGMENT },
            attention: Box::new(move |_| _ = count.fetch_add(1, Ordering::Relaxed)),
            patient: AtomicUsize::new(0),
        };
        let options = Options { kind: QueueKind::Stream, ..options };
        let declaration = Declaration {
            durable: true,
            auto_delete: false,
            owner: None,
            arguments: FieldTable::default(),
            options: Arc::new(options),
        };
        let log = QueueLog::new(QueueId(1), Arc::clone(&store) as _);
        let queue = Queue::new("s".into(), declaration, Some(log), Some(Arc::new(paging)));
        Self { queue, store, pager, called, effects: Effects::default(), stored: 0 }
    }

    fn publish(&mut self, count: u64, group: Group) {
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let message =
            Message::with_inline_body(b"\0\x01s", &header, b"", Traits::default(), &mut Vec::new());
        let incoming =
            |stored: u64| Incoming { message: message.clone(), token: 0, stored: stored as u32 };
        let mut batch = (0..count).map(incoming).collect();
        let arrival =
            Arrival { first_stored: self.stored, by_client: true, ..Arrival::of(group, NOW) };
        self.stored += count;
        self.queue.publish(&mut batch, arrival, &mut Vec::new(), &mut self.effects);
    }

    fn subscribe(&mut self, prefetch: u16, offset: StreamOffset) -> (SubscriptionId, Arc<Outbox>) {
        let outbox = Arc::new(Outbox::new(1 << 20));
        let subscription = Subscription {
            outbox: Arc::clone(&outbox),
            source: SourceId(0),
            limit: Arc::new(ChannelLimit::default()),
            prefetch,
            no_ack: false,
            exclusive: false,
            priority: 0,
            stream: Some(StreamStart { offset, filter: None }),
        };
        let id = self.queue.subscribe(subscription, NOW, &mut self.effects).unwrap();
        (id, outbox)
    }

    /// Looks if it is to be done. False when it is not.
    fn look(&mut self) -> bool {
        let is_called = self.called.swap(0, Ordering::Relaxed) > 0;
        if is_called {
            self.queue.look(NOW, &mut self.effects);
        }
        is_called
    }

    /// What the store and the pager have to do is done, and looked at.
    fn work(&mut self) {
        loop {
            self.store.sync();
            if !self.look() & !self.pager.step() {
                break;
            }
        }
    }
}

fn positions(outbox: &Outbox) -> Vec<u64> {
    outbox.positions(SourceId(0)).iter().map(|position| position.0).collect()
}

#[test]
fn nobody_sees_a_message_before_it_is_safe() {
    let mut scene = Scene::new();
    let (_, outbox) = scene.subscribe(100, StreamOffset::First);
    scene.publish(3, Group::ALONE);
    scene.publish(2, Group::ALONE);
    assert!(positions(&outbox).is_empty() && !scene.look());
    let (_, late) = scene.subscribe(100, StreamOffset::First);
    assert!(positions(&late).is_empty());
    scene.store.sync();
    assert!(scene.look(), "somebody is to look when it is");
    assert_eq!(positions(&outbox), [1, 2, 3, 4, 5]);
    assert_eq!(positions(&late), [1, 2, 3, 4, 5]);
    // Who comes when it is safe and nobody has looked yet finds it.
    scene.publish(1, Group::ALONE);
    scene.store.sync();
    let (_, last) = scene.subscribe(100, StreamOffset::Last);
    assert_eq!(positions(&last), [6]);
}

#[test]
fn messages_of_a_group_are_seen_when_the_group_counts() {
    let mut scene = Scene::new();
    let (_, outbox) = scene.subscribe(100, StreamOffset::First);
    let group = scene.store.new_group();
    scene.publish(2, group);
    scene.publish(1, Group::ALONE);
    scene.store.sync();
    scene.queue.look(NOW, &mut scene.effects);
    assert!(positions(&outbox).is_empty(), "nor what is behind them");
    scene.store.end_group(group);
    scene.work();
    assert_eq!(positions(&outbox), [1, 2, 3]);
}

#[test]
fn only_what_is_safe_is_written_to_a_segment() {
    let mut scene = Scene::new();
    let group = scene.store.new_group();
    scene.publish(5, Group::ALONE);
    scene.store.sync();
    scene.publish(50, group);
    assert!(scene.pager.step() && !scene.pager.is_asked());
    assert_eq!(scene.pager.files(), [5], "a crash may take the others back");
    scene.store.end_group(group);
    scene.work();
    assert_eq!(scene.pager.files(), [5, 13, 13, 13], "each as large as is wanted");
    assert_eq!(scene.queue.counts(NOW, &mut scene.effects).ready, 55);
}

/// A restart knows the next offset by the newest segment.
#[test]
fn the_newest_segment_stays_until_there_is_a_newer_one() {
    let mut scene = Scene::with(Options { max_length_bytes: Some(1), ..Options::default() });
    scene.publish(13, Group::ALONE);
    scene.work();
    assert_eq!(scene.pager.files(), [13]);
    scene.publish(14, Group::ALONE);
    scene.store.sync();
    assert!(scene.look() && scene.pager.is_asked());
    assert_eq!(scene.queue.counts(NOW, &mut scene.effects).ready, 27);
    assert!(scene.pager.step(), "it is written");
    assert_eq!(scene.pager.files(), [13, 13]);
    scene.work();
    assert_eq!(scene.pager.files(), [13]);
    assert_eq!(scene.queue.counts(NOW, &mut scene.effects).ready, 14);
}

#[test]
fn what_nobody_reads_any_more_leaves_memory() {
    let mut scene = Scene::new();
    for _ in 0..10 {
        scene.publish(13, Group::ALONE);
        scene.work();
    }
    let cached = |scene: &Scene| match &scene.queue.content {
        super::super::Content::Stream(stream) => stream.lock().parts.cached(),
        super::super::Content::Queue(_) => panic!("it is a stream"),
    };
    let (id, outbox) = scene.subscribe(100, StreamOffset::First);
    scene.work();
    assert_eq!(positions(&outbox).len(), 100);
    assert!((2..=4).contains(&cached(&scene)), "{}", cached(&scene));
    scene.queue.cancel(id, NOW, &mut scene.effects);
    assert_eq!(cached(&scene), 1);
}

/// Each reads another segment, more than are kept in memory for all.
#[test]
fn many_at_different_places_do_not_read_anew_for_each_settlement() {
    let mut scene = Scene::new();
    for _ in 0..30 {
        scene.publish(13, Group::ALONE);
        scene.work();
    }
    assert_eq!(scene.pager.files().len(), 30);
    let offsets: Vec<i64> = (0..10).map(|n| n * 39).collect();
    let readers: Vec<_> =
        offsets.iter().map(|offset| scene.subscribe(2, StreamOffset::At(*offset))).collect();
    scene.work();
    let mut reads = 0;
    for (id, _) in readers.iter().cycle().take(5 * readers.len()) {
        scene.queue.settle(&Settled::count(Some(*id), 2), NOW, &mut scene.effects);
        reads += usize::from(scene.pager.is_asked());
        scene.work();
    }
    for ((_, outbox), offset) in readers.iter().zip(offsets) {
        let first = offset as u64 + 1;
        assert_eq!(positions(outbox), (first..first + 12).collect::<Vec<_>>());
    }
    assert_eq!(reads, 0, "each kept what came next for it");
}
