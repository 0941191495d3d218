use super::*;

/// A queue's open segments of ten messages each, at positions 1 to 10, 11 to 20 and so on.
struct Scene {
    pager: Arc<HeldPager>,
    open: OpenSegments,
}

impl Scene {
    fn new(segments: u64) -> Self {
        let store = Arc::<HeldStore>::default();
        let pager = Arc::new(HeldPager::default());
        let open = OpenSegments::new(QueueId(7), store, Arc::clone(&pager) as _);
        let scene = Self { pager, open };
        for number in 0..segments {
            let from = number * 10 + 1;
            let messages: Vec<_> = (from..from + 10).map(|at| queued(at, true, b"x")).collect();
            let (done, written) = channel();
            let live = messages.clone();
            let done = Box::new(move |segment| _ = done.send(segment));
            scene.pager.write(OWNER, Arc::new(messages), done);
            scene.work();
            let segment = written.recv().unwrap().unwrap();
            scene.open.opened(&segment, live.iter().map(|queued| queued.position));
        }
        scene
    }

    fn work(&self) {
        while self.pager.step() {}
    }

    fn settle(&self, first: u64, last: u64) {
        let mut positions = Positions::default();
        positions.add(Position(first), Position(last));
        self.open.settled(&positions);
        self.work();
    }
}

#[test]
fn a_segment_goes_when_everything_in_it_is_settled() {
    let scene = Scene::new(2);
    scene.settle(2, 10);
    scene.settle(11, 19);
    assert_eq!(scene.pager.files(), [10, 10]);
    scene.settle(1, 1);
    assert_eq!(scene.pager.files(), [10]);
    scene.settle(20, 20);
    assert_eq!(scene.pager.files(), Vec::<usize>::new());
    assert!(scene.open.is_empty());
    // Again, and elsewhere: nothing more happens.
    scene.settle(1, 99);
}

#[test]
fn a_segment_with_nothing_left_goes_at_once() {
    let scene = Scene::new(1);
    let segment = Segment {
        number: 9,
        queue: QUEUE,
        first: Position(50),
        last: Position(60),
        figures: Figures::default(),
        persistent: 0,
        span: None,
        recovered: true,
    };
    scene.open.opened(&segment, std::iter::empty());
    assert!(scene.pager.is_asked());
    scene.work();
    assert_eq!(scene.pager.files(), [10]);
}

#[test]
fn one_message_that_stays_pins_itself_only() {
    let scene = Scene::new(4);
    // The newest are spared: they are just being consumed.
    scene.settle(22, 40);
    assert_eq!(scene.pager.files(), [10, 10, 10], "of the newest one is left, and one is gone");
    scene.settle(2, 10);
    scene.settle(12, 15);
    assert_eq!(scene.pager.files(), [1, 10, 10]);
    let scene = Scene::new(20);
    for first in (0..200).step_by(10) {
        scene.settle(first + 1, first + 9);
    }
    let files = scene.pager.files();
    assert_eq!(files.iter().sum::<usize>(), 18 + 20, "{files:?}");
    scene.settle(1, 200);
    assert_eq!(scene.pager.files(), Vec::<usize>::new());
}

#[test]
fn what_a_group_settles_counts_when_the_group_is_durable() {
    let store = Arc::new(HeldStore::default());
    let group = store.new_group();
    let (wake, woken) = channel();
    store.when_group_durable(group, Box::new(move || _ = wake.send(())));
    store.sync();
    assert!(woken.try_recv().is_err(), "the group is open");
    store.end_group(group);
    assert!(woken.try_recv().is_err(), "it is not durable");
    store.sync();
    woken.try_recv().unwrap();
    let (wake, woken) = channel();
    store.when_group_durable(Group::ALONE, Box::new(move || _ = wake.send(())));
    woken.try_recv().unwrap();
}
