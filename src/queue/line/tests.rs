use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::message::{Message, Position, Traits};
use crate::storage::Figures;
use crate::time::Time;

fn queued(position: u64) -> Queued {
    let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    let message =
        Message::with_inline_body(b"\0\x01q", &header, b"x", Traits::default(), &mut Vec::new());
    Queued {
        message,
        position: Position(position),
        deadline: Time::NEVER,
        redelivered: false,
        kept: false,
        delivery_count: 0,
    }
}

/// A line, its pager as two lists of what it is to do, and where every message is.
struct World {
    line: Line,
    budget: Budget,
    patience: usize,
    next: u64,
    segments: u64,
    writes: VecDeque<Arc<Vec<Queued>>>,
    reads: VecDeque<Segment>,
    files: BTreeMap<u64, Vec<Queued>>,
    ready: BTreeSet<u64>,
    out: BTreeMap<u64, Queued>,
}

#[derive(Clone, Debug)]
enum Op {
    Push(u8),
    Pop(u8),
    /// Some of those that are out come back.
    Return(u8),
    Write {
        fails: bool,
    },
    Patience(usize),
    Read,
    Clear,
}

impl World {
    fn new(head: usize, segment: usize) -> Self {
        Self {
            line: Line::default(),
            budget: Budget { head, segment },
            patience: 0,
            next: 1,
            segments: 0,
            writes: VecDeque::new(),
            reads: VecDeque::new(),
            files: BTreeMap::new(),
            ready: BTreeSet::new(),
            out: BTreeMap::new(),
        }
    }

    fn act(&mut self, op: &Op) {
        match *op {
            Op::Push(count) => {
                for _ in 0..count {
                    self.line.push(queued(self.next), self.budget);
                    self.ready.insert(self.next);
                    self.next += 1;
                }
            }
            Op::Pop(count) => {
                for _ in 0..count {
                    let Some(queued) = self.line.pop() else { break };
                    let position = queued.position.0;
                    assert_eq!(self.ready.pop_first(), Some(position), "in order");
                    self.out.insert(position, queued);
                }
            }
            Op::Return(every) => {
                let back: Vec<u64> =
                    self.out.keys().copied().filter(|at| at % u64::from(every) == 0).collect();
                self.ready.extend(&back);
                let back = back.iter().filter_map(|at| self.out.remove(at)).collect();
                self.line.put_back(back);
            }
            Op::Write { fails } => self.write(fails),
            Op::Patience(bytes) => self.patience = bytes,
            Op::Read => self.finish_read(),
            Op::Clear => {
                let (mut messages, mut segments) = (Vec::new(), Vec::new());
                self.line.clear(&mut messages, &mut segments);
                let mut all: Vec<u64> = messages.iter().map(|queued| queued.position.0).collect();
                for segment in segments {
                    let gone = self.files.remove(&segment.number).unwrap();
                    all.extend(gone.iter().map(|queued| queued.position.0));
                }
                all.sort_unstable();
                let ready: Vec<u64> = std::mem::take(&mut self.ready).into_iter().collect();
                assert_eq!(all, ready);
            }
        }
        self.ask();
        let next = self.line.front().map(|queued| queued.position.0);
        assert!(next.is_none() || next == self.ready.first().copied());
        assert!(!self.line.is_empty() || self.ready.is_empty(), "what is ready is somewhere");
        let resident = self.line.resident().map(|queued| queued.position.0);
        assert!(resident.is_sorted());
    }

    /// As a queue does after everything it does.
    fn ask(&mut self) {
        while let Some(batch) = self.line.next_write(self.budget, self.patience) {
            self.writes.push_back(batch);
        }
        self.reads.extend(self.line.next_read(self.budget));
    }

    fn write(&mut self, fails: bool) {
        let Some(batch) = self.writes.pop_front() else { return };
        if fails {
            assert_eq!(self.line.written(None), Written::Unneeded);
            return;
        }
        self.segments += 1;
        let segment = Segment {
            number: self.segments,
            queue: None,
            first: batch.first().unwrap().position,
            last: batch.last().unwrap().position,
            figures: Figures::of(batch.iter()),
            persistent: 0,
            span: None,
            recovered: false,
        };
        if self.line.written(Some(segment)) == Written::Kept {
            self.files.insert(self.segments, batch.to_vec());
        }
    }

    fn finish_read(&mut self) {
        let Some(segment) = self.reads.pop_front() else { return };
        if self.line.take_read(segment.number).is_some() {
            self.line.append(self.files.remove(&segment.number).unwrap());
        } else {
            assert!(!self.files.contains_key(&segment.number), "it was cleared");
        }
    }

    /// The pager does all it has to, and everything comes out, in order.
    fn end(mut self) {
        self.act(&Op::Return(1));
        while !self.ready.is_empty() {
            let before = self.ready.len();
            self.act(&Op::Pop(255));
            let idle =
                self.ready.len() == before && self.writes.is_empty() && self.reads.is_empty();
            assert!(!idle, "{before} are ready and nobody does anything");
            self.act(&Op::Read);
            self.act(&Op::Write { fails: false });
        }
        while !self.writes.is_empty() {
            self.act(&Op::Write { fails: false });
        }
        assert!(self.line.is_empty() && self.files.is_empty());
        assert_eq!(self.line.head_cost, 0);
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..20_u8).prop_map(Op::Push),
        5 => (1..30_u8).prop_map(Op::Pop),
        2 => (1..4_u8).prop_map(Op::Return),
        4 => any::<bool>().prop_map(|fails| Op::Write { fails }),
        4 => Just(Op::Read),
        1 => (0..3000_usize).prop_map(Op::Patience),
        1 => Just(Op::Clear),
    ]
}

proptest! {
    /// Whenever the pager does what it has to, everything comes out once and in order.
    #[test]
    fn order_is_kept_whatever_lies_on_disk(
        head in 1..1500_usize,
        segment in 1..800_usize,
        ops in vec(op(), 1..60),
    ) {
        let mut world = World::new(head, segment);
        for op in &ops {
            world.act(op);
        }
        world.end();
    }
}

#[test]
fn a_short_line_never_asks_for_anything() {
    let mut world = World::new(10_000, 1000);
    world.act(&Op::Push(50));
    assert!(!world.line.is_deep() && world.writes.is_empty());
    world.end();
}

#[test]
fn memory_does_not_grow_with_depth() {
    let mut world = World::new(1000, 500);
    for _ in 0..100 {
        world.act(&Op::Push(100));
        while !world.writes.is_empty() {
            world.act(&Op::Write { fails: false });
        }
    }
    assert_eq!(world.ready.len(), 10_000);
    let resident = world.line.resident().count();
    assert!(resident < 40, "{resident} messages in memory");
    world.end();
}
