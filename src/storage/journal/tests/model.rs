//! Random lives of a journal beside a model of what it should say afterwards.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// So many messages of a size, to the queues of a bit set, in a group of their own or not.
    Publish {
        count: u8,
        size: u16,
        queues: u8,
        group: bool,
    },
    /// From the front, or from some place on.
    Settle {
        queue: u8,
        skip: u8,
        count: u8,
        group: bool,
    },
    /// The front goes to a segment; it is finished when the next one of the queue begins.
    Spill {
        queue: u8,
        count: u8,
    },
    /// All segments up to here are dropped.
    DropSegments {
        queue: u8,
    },
    Purge {
        queue: u8,
    },
    Restart(End),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Clean,
    Dropped,
    /// With so much left of what was not synced, in 255ths.
    Power(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let queue = 0u8..4;
    prop_oneof![
        8 => (1u8..6, 0u16..400, 1u8..16, any::<bool>()).prop_map(|(count, size, queues, group)| {
            Step::Publish { count, size, queues, group }
        }),
        8 => (queue.clone(), prop_oneof![Just(0u8), 0u8..20], 1u8..12, any::<bool>())
            .prop_map(|(queue, skip, count, group)| Step::Settle { queue, skip, count, group }),
        2 => (queue.clone(), 1u8..20).prop_map(|(queue, count)| Step::Spill { queue, count }),
        1 => queue.clone().prop_map(|queue| Step::DropSegments { queue }),
        1 => queue.prop_map(|queue| Step::Purge { queue }),
        1 => prop_oneof![
            Just(End::Clean),
            Just(End::Dropped),
            any::<u8>().prop_map(End::Power)
        ]
        .prop_map(Step::Restart),
    ]
}

#[derive(Default)]
struct Queue {
    next: u64,
    held: BTreeMap<u64, String>,
    /// Positions in segments, and whether they are settled.
    segments: BTreeMap<u64, bool>,
    /// Positions on their way to a segment.
    spilling: Option<(u64, u64)>,
}

struct World {
    rig: Rig,
    journal: Option<Arc<Journal>>,
    queues: [Queue; 4],
    bodies: u64,
}

impl World {
    fn new(file_bytes: u64) -> Self {
        let rig = Rig::with_files_of(file_bytes);
        let (journal, _) = rig.open();
        journal.segments_known();
        Self { rig, journal: Some(journal), queues: Default::default(), bodies: 0 }
    }

    fn step(&mut self, step: &Step) {
        let journal = self.journal.clone().unwrap();
        match *step {
            Step::Publish { count, size, queues, group } => {
                self.bodies += 1;
                let body = |at| format!("{}.{at}:{}", self.bodies, "x".repeat(size.into()));
                let bodies: Vec<String> = (0..count).map(body).collect();
                let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
                let stored = store(&journal, &texts);
                let group = if group { journal.new_group() } else { 0 };
                for (id, queue) in (0u64..).zip(&mut self.queues) {
                    if queues & (1 << id) == 0 {
                        continue;
                    }
                    // Some positions go to messages that are not in the journal.
                    let start = queue.next + u64::from(size % 3);
                    journal.enqueue(group, id, start, stored.first(), count.into());
                    queue.held.extend((start..).zip(bodies.iter().cloned()));
                    queue.next = start + u64::from(count);
                }
                journal.end_group(group);
            }
            Step::Settle { queue, skip, count, group } => {
                let group = if group { journal.new_group() } else { 0 };
                let id = u64::from(queue);
                let queue = &mut self.queues[usize::from(queue)];
                let mut positions: BTreeSet<u64> = queue.held.keys().copied().collect();
                let unsettled = queue.segments.iter().filter(|(_, settled)| !**settled);
                positions.extend(unsettled.map(|(position, _)| *position));
                for position in positions.into_iter().skip(skip.into()).take(count.into()) {
                    journal.settle(group, id, &[(position, position)]);
                    queue.held.remove(&position);
                    queue.segments.entry(position).and_modify(|settled| *settled = true);
                }
                journal.end_group(group);
            }
            Step::Spill { queue, count } => {
                let id = u64::from(queue);
                let queue = &mut self.queues[usize::from(queue)];
                queue.finish_spill(&journal, id);
                let mut front = queue.held.keys().copied().take(count.into());
                if let Some(first) = front.next() {
                    let last = front.next_back().unwrap_or(first);
                    journal.in_segments(id, first, last);
                    queue.spilling = Some((first, last));
                    let held = queue.held.range(first..=last).map(|(at, _)| (*at, false));
                    queue.segments.extend(held);
                }
            }
            Step::DropSegments { queue } => {
                let id = u64::from(queue);
                let queue = &mut self.queues[usize::from(queue)];
                queue.finish_spill(&journal, id);
                if let Some((last, _)) = queue.segments.pop_last() {
                    journal.settle(0, id, &[(0, last)]);
                    journal.segment_dropped(id, 0, last);
                    queue.segments.clear();
                    queue.held.retain(|position, _| last < *position);
                }
            }
            Step::Purge { queue } => {
                let id = u64::from(queue);
                let queue = &mut self.queues[usize::from(queue)];
                queue.finish_spill(&journal, id);
                journal.settle(0, id, &[(0, queue.next)]);
                journal.segment_dropped(id, 0, u64::MAX);
                queue.next += 1;
                queue.held.clear();
                queue.segments.clear();
            }
            Step::Restart(end) => {
                drop(journal);
                self.restart(end);
            }
        }
    }

    fn restart(&mut self, end: End) {
        let journal = self.journal.take().unwrap();
        match end {
            End::Clean => journal.shut_down(&[(1, vec![(3, 9)])]).unwrap(),
            End::Dropped => {}
            End::Power(part) => {
                assert!(wait(&journal, journal.position()));
                self.rig.disk.power_off();
                drop(journal);
                self.rig.disk.power_on(|all| all * u64::from(part) / 255).unwrap();
                return self.reopen(false);
            }
        }
        drop(journal);
        self.reopen(matches!(end, End::Clean));
    }

    fn reopen(&mut self, clean: bool) {
        let (journal, recovered) = self.rig.open();
        assert_eq!(recovered.report, [""; 0]);
        assert_eq!(recovered.clean, clean);
        let mut expected = Contents::new();
        for (id, queue) in (0u64..).zip(&mut self.queues) {
            let entries = queue.held.iter().map(|(at, body)| (id, *at, body.clone()));
            expected.extend(entries);
            let found = recovered.queues.get(&id);
            let settled = found.map_or(&[][..], |found| &found.settled);
            for (position, is_settled) in &queue.segments {
                let said = settled.iter().any(|(a, b)| a <= position && position <= b);
                assert_eq!(said, *is_settled, "queue {id}, position {position}");
                journal.in_segments(id, *position, *position);
            }
            for message in found.iter().flat_map(|found| &found.messages) {
                let before = !clean || (id == 1 && (3..=9).contains(&message.position.0));
                assert_eq!((message.redelivered, message.stored), (before, Some(NOW)));
            }
            // It may be found that a position was not used at all, but no used one is free.
            queue.next = queue.next.max(found.map_or(1, |found| found.next_position));
        }
        assert_eq!(contents(&recovered), expected);
        journal.segments_known();
        self.journal = Some(journal);
    }
}

impl Queue {
    fn finish_spill(&mut self, journal: &Journal, id: u64) {
        if let Some((first, last)) = self.spilling.take() {
            journal.moved(id, first, last);
            self.held.retain(|position, _| *position < first || last < *position);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_says_what_happened(
        file_bytes in prop_oneof![Just(600u64), Just(4_000), Just(1 << 20)],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(file_bytes);
        for step in &steps {
            world.step(step);
        }
        world.restart(End::Dropped);
        world.restart(End::Power(0));
    }
}
