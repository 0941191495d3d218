use std::collections::BTreeSet;
use std::sync::mpsc::channel;

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use super::*;
use crate::queue::Got;
use crate::queue::paging::tests::{publish, queue};
use crate::storage::segment::HeldPager;

const NOW: Time = Time(1);

fn positions(messages: &[Queued]) -> Vec<u64> {
    messages.iter().map(|queued| queued.position.0).collect()
}

fn read(queue: &Queue, pager: &HeldPager, segment: &Segment) -> Vec<Queued> {
    let (done, read) = channel();
    queue.read_segment(segment, Box::new(move |result| _ = done.send(result)));
    loop {
        if let Ok(result) = read.try_recv() {
            return result.unwrap();
        }
        assert!(pager.step());
    }
}

/// Everything there is to see from a place on, `max` at a time.
fn browse(queue: &Arc<Queue>, pager: &HeldPager, mut place: Place, max: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    loop {
        let step = match queue.browse(&mut place, max) {
            Browsed::Messages(messages) => messages,
            Browsed::OnDisk(segment) => {
                let messages = read(queue, pager, &segment);
                queue.browse_segment(&segment, messages, &mut place, max)
            }
            Browsed::End => return seen,
            Browsed::NotSupported => panic!("it is a queue"),
        };
        assert!(step.len() <= max);
        seen.extend(positions(&step));
    }
}

fn take(queue: &Arc<Queue>, pager: &HeldPager, wanted: &[(u64, u64)]) -> Vec<u64> {
    let Taken { messages, on_disk } = queue.take(wanted, NOW, &mut Effects::default());
    let mut taken = positions(&messages);
    for segment in on_disk {
        let messages = read(queue, pager, &segment);
        match queue.take_from_segment(&segment, messages, wanted) {
            Some(messages) => taken.extend(positions(&messages)),
            None => taken.extend(take(queue, pager, wanted)),
        }
    }
    taken
}

fn drain(queue: &Arc<Queue>, pager: &HeldPager) -> Vec<u64> {
    let (mut found, mut effects) = (Vec::new(), Effects::default());
    loop {
        match queue.get(true, NOW, &mut effects) {
            Got::Message { queued, .. } => found.push(queued.position.0),
            Got::Empty | Got::NotSupported => return found,
            Got::OnItsWay => {
                // It may have come already.
                pager.step();
                queue.look(NOW, &mut effects);
            }
        }
    }
}

#[test]
fn whoever_looks_sees_everything_in_order_and_changes_nothing() {
    let pager = Arc::new(HeldPager::default());
    let (queue, _) = queue(&pager);
    publish(&queue, 100);
    let everything: Vec<u64> = (1..=100).collect();
    for _ in 0..5 {
        for max in [1, 7, 1000] {
            assert_eq!(browse(&queue, &pager, Place::START, max), everything);
        }
        // What was written lies on disk from here on.
        pager.step();
        queue.look(NOW, &mut Effects::default());
    }
    assert!(!pager.files().is_empty());
    assert_eq!(browse(&queue, &pager, Place::After(Position(42)), 10), everything[42..]);
    assert_eq!(drain(&queue, &pager), everything);
}

/// Whatever lies where, and whatever the pager is at: what is taken is gone, and nothing else is.
#[test]
fn messages_are_taken_from_anywhere() {
    let seed = rand::random();
    let mut random = SmallRng::seed_from_u64(seed);
    for round in 0..200 {
        let pager = Arc::new(HeldPager::default());
        let (queue, _) = queue(&pager);
        let (mut expected, mut next) = (BTreeSet::new(), 1..);
        for _ in 0..random.random_range(1..12) {
            match random.random_range(0..4) {
                0 | 1 => {
                    let count = random.random_range(1..60);
                    publish(&queue, count);
                    expected.extend(next.by_ref().take(count));
                }
                2 => {
                    for _ in 0..random.random_range(0..4) {
                        pager.step();
                    }
                    queue.look(NOW, &mut Effects::default());
                }
                _ => {
                    let wanted = some_ranges(&mut random);
                    let is_wanted = |at: &u64| super::super::within(&wanted, Position(*at));
                    let taken = take(&queue, &pager, &wanted);
                    let gone: BTreeSet<u64> = expected.extract_if(.., |at| is_wanted(at)).collect();
                    assert_eq!(taken.len(), gone.len(), "seed {seed}, round {round}");
                    assert_eq!(BTreeSet::from_iter(taken), gone, "seed {seed}, round {round}");
                }
            }
            let left = queue.counts(NOW, &mut Effects::default()).ready;
            assert_eq!(left, expected.len(), "seed {seed}, round {round}");
        }
        let left: Vec<u64> = expected.into_iter().collect();
        assert_eq!(browse(&queue, &pager, Place::START, 9), left, "seed {seed}, round {round}");
        assert_eq!(drain(&queue, &pager), left, "seed {seed}, round {round}");
    }
}

fn some_ranges(random: &mut impl Rng) -> Vec<(u64, u64)> {
    let (mut ranges, mut at) = (Vec::new(), 1);
    while at < 300 {
        let first = at + random.random_range(0..40);
        let last = first + random.random_range(0..20);
        ranges.push((first, last));
        at = last + 2;
    }
    ranges
}
