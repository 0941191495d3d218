use super::*;
use crate::message::Traits;
use crate::storage::{Figures, QueueId};

fn message() -> Message {
    let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0];
    Message::with_inline_body(b"\0\x01s", &header, b"abc", Traits::default(), &mut Vec::new())
}

/// The file that a pager would have made of these.
fn segment(number: u64, messages: &[Queued]) -> Segment {
    Segment {
        number,
        queue: Some(QueueId(1)),
        first: messages.first().unwrap().position,
        last: messages.last().unwrap().position,
        figures: Figures::of(messages),
        persistent: messages.len(),
        span: Some(Span::of(messages)),
        recovered: false,
    }
}

/// So many parts of ten messages that were written, and three messages behind them. The time of each
/// is its position.
fn filled(count: u64) -> (Parts, Vec<(Segment, Vec<Queued>)>) {
    let (mut parts, mut files) = (Parts::new(), Vec::new());
    for number in 0..count {
        for position in number * 10 + 1..=number * 10 + 10 {
            assert_eq!(parts.push(message(), Time(position)), Position(position));
        }
        let messages = parts.seal(parts.next(), usize::MAX, true).unwrap();
        let segment = segment(number + 1, &messages);
        assert!(parts.written(Some(&segment)));
        files.push((segment, messages.to_vec()));
    }
    (0..3).for_each(|n| _ = parts.push(message(), Time(count * 10 + n + 1)));
    (parts, files)
}

/// Reads from one position to before another one as a consumer does, and says which positions it got.
/// What is on disk is found in `files`.
fn read(parts: &mut Parts, files: &[(Segment, Vec<Queued>)], from: u64, end: u64) -> Vec<u64> {
    let (mut next, mut positions) = (Position(from), Vec::new());
    loop {
        match parts.run(next, Position(end)) {
            Run::Messages(run) => {
                positions.extend(run.iter().map(|queued| queued.position.0));
                next = Position(run.last().unwrap().position.0 + 1);
            }
            Run::Asleep(position) => {
                let wanted = parts.wake(position).expect("nobody has asked for it");
                assert_eq!(parts.wake(position), None, "it is on its way");
                let (_, messages) = files.iter().find(|(file, _)| *file == wanted).unwrap();
                parts.read(&wanted, messages.clone());
            }
            Run::End => return positions,
        }
    }
}

fn in_memory(parts: &Parts) -> Vec<u64> {
    let resident = parts.sealed.iter().filter(|part| part.memory.is_some());
    resident.map(|part| part.first.0).collect()
}

#[test]
fn everything_is_read_in_order_wherever_it_lies() {
    let (mut parts, files) = filled(5);
    assert_eq!((parts.messages(), parts.first(), parts.next()), (53, Position(1), Position(54)));
    for cost_max in [usize::MAX, 0] {
        parts.shrink(cost_max);
        for (from, end) in [(1, 54), (7, 33), (50, 54), (52, 53), (11, 11), (54, 54)] {
            assert_eq!(read(&mut parts, &files, from, end), (from..end).collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_was_read_longest_ago_leaves_memory_first() {
    let (mut parts, files) = filled(5);
    let cost = parts.sealed[0].cost;
    assert_eq!(in_memory(&parts), [1, 11, 21, 31, 41]);
    read(&mut parts, &files, 12, 13);
    assert_eq!(parts.shrink(3 * cost).len(), 2);
    assert_eq!(in_memory(&parts), [11, 31, 41]);
    read(&mut parts, &files, 1, 5);
    assert_eq!(parts.shrink(3 * cost).len(), 1);
    assert_eq!(in_memory(&parts), [1, 11, 41]);
    assert_eq!(parts.shrink(0).len(), 2);
    assert_eq!(in_memory(&parts), [1], "one stays, or nobody would ever get anything");
    assert_eq!(parts.cached_cost, cost);
    // What goes altogether costs nothing any more.
    assert_eq!(parts.drop_oldest().map(|segment| segment.number), Some(1));
    assert_eq!((parts.cached_cost, parts.first(), parts.messages()), (0, Position(11), 43));
}

#[test]
fn what_is_not_written_stays_in_memory() {
    let mut parts = Parts::new();
    (1..=4).for_each(|n| _ = parts.push(message(), Time(n)));
    let first = parts.seal(Position(4), usize::MAX, true).unwrap();
    assert_eq!(first.len(), 3, "what may not be read yet stays in the tail");
    assert_eq!(parts.tail().map(|queued| queued.position), Some(Position(4)));
    parts.shrink(0);
    assert!(parts.written(None), "the pager failed");
    parts.shrink(0);
    assert_eq!(read(&mut parts, &[], 1, 5), [1, 2, 3, 4]);
    assert!(parts.seal(Position(4), usize::MAX, true).is_none());
}

#[test]
fn what_cannot_be_read_is_passed_over_and_counts_no_more() {
    let (mut parts, mut files) = filled(3);
    files[0].1.clear();
    files[1].1.retain(|queued| queued.position.0 % 2 == 0);
    parts.shrink(0);
    let expected: Vec<u64> = [12, 14, 16, 18, 20].into_iter().chain(21..=33).collect();
    assert_eq!(read(&mut parts, &files, 1, 34), expected);
    assert_eq!(parts.messages(), 18);
    assert_eq!(read(&mut parts, &files, 3, 34), expected);
}

#[test]
fn a_time_is_found_in_a_part_or_in_the_tail() {
    let (parts, _) = filled(3);
    for (time, position) in
        [(0, 1), (10, 1), (11, 11), (15, 11), (30, 21), (31, 31), (33, 33), (34, 34)]
    {
        assert_eq!(parts.at(Time(time)), Position(position), "at {time}");
    }
}

#[test]
fn a_restart_puts_messages_between_the_segments_they_belong_to() {
    let (_, mut files) = filled(4);
    // The second was not written, though the third was; and there are some behind the last.
    let (_, lost) = files.remove(1);
    let tail = [41, 42].map(|position| Queued { position: Position(position), ..lost[0].clone() });
    let messages = lost.iter().cloned().chain(tail).collect();
    let segments = files.iter().map(|(segment, _)| segment.clone()).collect();
    let mut parts = Parts::new();
    let unwritten = parts.restore(segments, messages, Position(40));
    assert_eq!(unwritten.iter().map(|part| part.len()).collect::<Vec<_>>(), [10]);
    assert_eq!((parts.messages(), parts.next()), (42, Position(43)));
    let written = segment(9, &lost);
    assert!(parts.written(Some(&written)));
    files.push((written, lost));
    parts.shrink(0);
    assert_eq!(read(&mut parts, &files, 1, 99), (1..=42).collect::<Vec<_>>());
}
