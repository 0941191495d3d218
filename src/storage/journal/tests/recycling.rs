//! How much disk a journal takes, and what it copies to stay small.

use super::damage::{boundaries, records, replay};
use super::*;

const FILE: u64 = 4096;

/// What a turn may add before the bound is looked at again: a group, and a piece that is carried.
const SLACK: u64 = 2 * FILE;

/// Puts and settles in order, one message at a time, and checks the size after each.
fn stream(journal: &Journal, queue: u64, from: u64, count: u64, body: &str) {
    for position in from..from + count {
        assert!(wait(journal, put(journal, queue, position, &[body])));
        assert!(wait(journal, journal.settle(0, queue, &[(position, position)])));
        let stats = journal.stats();
        let bound = 2 * stats.live_bytes + 4 * FILE + SLACK;
        assert!(stats.file_bytes <= bound, "{position}: {} > {bound}", stats.file_bytes);
    }
}

#[test]
fn files_that_hold_nothing_go() {
    let rig = Rig::with_files_of(FILE);
    let (journal, _) = rig.open();
    journal.segments_known();
    stream(&journal, 1, 1, 200, &"x".repeat(200));
    let stats = journal.stats();
    assert_eq!((stats.carried_bytes, stats.live_messages), (0, 0));
    assert!(stats.files_removed > 10 && stats.files <= 2, "{stats:?}");
    assert_eq!(rig.files().len() as u64, stats.files);
    let on_disk: usize = rig.files().iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(on_disk as u64, stats.file_bytes);
}

#[test]
fn one_message_that_stays_for_ever_pins_nothing() {
    let rig = Rig::with_files_of(FILE);
    let (journal, _) = rig.open();
    let old = put(&journal, 1, 1, &["settled", "old", "settled"]);
    journal.settle(0, 1, &[(1, 1), (3, 3)]);
    assert!(wait(&journal, old));
    stream(&journal, 2, 1, 1000, &"x".repeat(100));
    let stats = journal.stats();
    assert!(stats.files_removed > 20 && stats.carried_bytes > 0, "{stats:?}");
    assert!(stats.carried_bytes < stats.bytes / 10, "{stats:?}");
    drop(journal);
    let (journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(1, 2, "old")]));
    // And it goes on after a restart.
    stream(&journal, 2, 1001, 200, &"x".repeat(100));
    drop(journal);
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(1, 2, "old")]));
}

/// Every other message stays until half of everything is old, then the old half goes.
#[test]
fn no_more_is_carried_than_was_handed_in() {
    let rig = Rig::with_files_of(FILE);
    let (journal, _) = rig.open();
    let body = "y".repeat(300);
    let (mut next, mut oldest) = (1, 1);
    for round in 0..600 {
        put(&journal, 1, next, &[&body, "small", &body]);
        let settled = journal.settle(0, 1, &[(next, next), (next + 2, next + 2)]);
        assert!(wait(&journal, settled));
        next += 3;
        if round % 100 == 99 {
            assert!(wait(&journal, journal.settle(0, 1, &[(oldest, next - 60)])));
            oldest = next - 59;
            // So much waste at once takes some turns, but only so many.
            for turn in 1..=200 {
                assert!(wait(&journal, journal.settle(0, 2, &[(turn, turn)])));
            }
        }
        let stats = journal.stats();
        let bound = 2 * stats.live_bytes + 4 * FILE + SLACK;
        assert!(stats.file_bytes <= bound, "{round}: {} > {bound}", stats.file_bytes);
        assert!(stats.carried_bytes <= journal.position().0, "{stats:?}");
    }
    assert!(journal.stats().carried_bytes > 0);
    let left: Contents = (oldest..next)
        .filter(|position| position % 3 == 2)
        .map(|position| (1, position, "small".to_owned()))
        .collect();
    drop(journal);
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), left);
}

/// A backlog that is all live leaves nothing to win, and so nothing is copied in circles.
#[test]
fn a_journal_without_waste_is_left_alone() {
    let rig = Rig::with_files_of(FILE);
    let (journal, _) = rig.open();
    for position in 1..=300 {
        // Many queues, one small message each: what a run costs is most of it.
        let stored = store(&journal, &["s"]);
        let mut last = journal.position();
        for queue in 1..=8 {
            last = journal.enqueue(0, queue, position * 2, stored.first(), 1);
        }
        assert!(wait(&journal, last));
    }
    assert_eq!(journal.stats().carried_bytes, 0);
    let before = journal.stats();
    assert!(wait(&journal, journal.settle(0, 1, &[(2, 2)])));
    assert_eq!(journal.stats().files_removed, before.files_removed);
}

/// A message may be settled by one queue before the next one has taken it.
#[test]
fn what_is_stored_stays_until_it_is_let_go() {
    let rig = Rig::with_files_of(FILE);
    let (journal, _) = rig.open();
    journal.segments_known();
    let stored = store(&journal, &["wanted"]);
    journal.enqueue(0, 1, 1, stored.first(), 1);
    journal.settle(0, 1, &[(1, 1)]);
    for position in 1..=100 {
        assert!(wait(&journal, put(&journal, 2, position, &[&"x".repeat(300)])));
        journal.settle(0, 2, &[(position, position)]);
    }
    assert_eq!(journal.stats().files_removed, 0, "the first file is held");
    let last = journal.enqueue(0, 3, 1, stored.first(), 1);
    drop(stored);
    assert!(wait(&journal, last));
    stream(&journal, 2, 101, 60, &"x".repeat(300));
    assert!(journal.stats().files_removed > 5);
    drop(journal);
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(3, 1, "wanted")]));
}

/// Which positions of a segment are settled outlives the files that said so first.
#[test]
fn what_is_settled_in_segments_is_told_again() {
    let rig = Rig::with_files_of(FILE);
    let (journal, _) = rig.open();
    journal.segments_known();
    let bodies = ["m"; 40];
    put(&journal, 1, 1, &bodies);
    journal.in_segments(1, 1, 40);
    journal.settle(0, 1, &[(7, 7)]);
    journal.moved(1, 1, 40);
    assert!(wait(&journal, journal.settle(0, 1, &[(20, 29)])));
    stream(&journal, 2, 1, 300, &"x".repeat(300));
    assert!(journal.stats().files_removed > 10);
    drop(journal);

    let (journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), Contents::new());
    assert_eq!(recovered.queues[&1].settled, [(7, 7), (20, 29)]);
    // Nobody said yet which segments there are; it has to be kept all the same.
    stream(&journal, 2, 301, 300, &"x".repeat(300));
    drop(journal);
    let (journal, recovered) = rig.open();
    assert_eq!(recovered.queues[&1].settled, [(7, 7), (20, 29)]);

    journal.in_segments(1, 1, 40);
    journal.segments_known();
    journal.segment_dropped(1, 1, 25);
    stream(&journal, 2, 601, 300, &"x".repeat(300));
    drop(journal);
    let (_journal, recovered) = rig.open();
    assert_eq!(recovered.queues[&1].settled, [(26, 29)]);
}

/// A piece that was carried is torn, anywhere, and the file it comes from is still there.
#[test]
fn a_torn_piece_costs_nothing() {
    let rig = Rig::with_files_of(1024);
    let (journal, _) = rig.open();
    for position in [1, 4, 7] {
        assert!(wait(&journal, put(&journal, 1, position, &["one", "two", "three"])));
        assert!(wait(&journal, journal.settle(0, 1, &[(position, position)])));
    }
    journal.segments_known();
    let (sender, receiver) = mpsc::channel();
    go_on(journal, rig.disk.clone(), 1, sender);
    let before: Vec<_> = receiver.iter().collect();
    assert!(before.len() > 2, "{}", before.len());
    for mut files in before.into_iter().take(3) {
        let last = files.len() - 1;
        let whole = std::mem::take(&mut files[last].1);
        let ends = boundaries(&whole);
        for cut in file::HEADER as usize..whole.len() {
            files[last].1 = whole[..cut].to_vec();
            let kept = ends.partition_point(|end| *end <= cut) - 1;
            let mut log = files.clone();
            log[last].1.truncate(ends[kept]);
            let expected = replay(records(&log, |_, _| false));
            let rig = Rig::of(&files);
            for _ in 0..2 {
                let (journal, recovered) = rig.open();
                // So that nothing else keeps the old file.
                journal.segments_known();
                assert_eq!(contents(&recovered), expected, "cut to {cut} of {}", whole.len());
                assert_eq!(recovered.report, [""; 0]);
            }
        }
    }
}

/// Publishes and settles from the journal thread itself, between syncing a group and removing files, so
/// that each group is looked at. Sends the files as they are when something was carried.
fn go_on(journal: Arc<Journal>, disk: FaultyDisk, turn: u64, sender: mpsc::Sender<Files>) {
    let carried = journal.stats().carried_bytes;
    put(&journal, 2, turn, &[&"x".repeat(200)]);
    let last = journal.settle(0, 2, &[(turn, turn)]);
    let next = journal.clone();
    let look = move || {
        if next.stats().carried_bytes > carried {
            sender.send(files(&disk, Path::new(DIRECTORY))).unwrap();
        }
        if turn < 60 {
            go_on(next, disk, turn + 1, sender);
        }
    };
    journal.when_durable(last, Box::new(look));
}

/// A message that is in the journal already may be handed to another queue while its file is being
/// carried.
#[test]
fn a_message_taken_while_its_file_is_carried_is_not_forgotten() {
    let rig = Rig::with_files_of(FILE);
    let (journal, _) = rig.open();
    journal.segments_known();
    let mut first = None;
    let mut given = Contents::new();
    for position in 1..=40 {
        let stored = store(&journal, &["keep"]);
        first.get_or_insert_with(|| stored.first());
        assert!(wait(&journal, journal.enqueue(0, 1, position, stored.first(), 1)));
        given.insert((1, position, "keep".to_owned()));
    }
    // While waste gathers, other queues take messages, so that some do in the midst of it.
    for position in 1..=400 {
        let number = first.unwrap() + position % 40;
        assert!(wait(&journal, journal.enqueue(0, 3, position, number, 1)));
        given.insert((3, position, "keep".to_owned()));
        put(&journal, 2, position, &[&"x".repeat(400)]);
        journal.settle(0, 2, &[(position, position)]);
    }
    assert!(journal.stats().carried_bytes > 0);
    drop(journal);
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), given);
}

/// Where nobody waits for syncs, what a file was home to must be synced before the file goes: a loss
/// of power may cost what came last, never what came long before.
#[test]
fn nothing_old_is_lost_with_the_power_when_the_system_syncs() {
    for rounds in 20..80 {
        let mut rig = Rig::with_files_of(2048);
        rig.options.sync = Sync::Os;
        let (journal, _) = rig.open();
        put(&journal, 1, 1, &["old"]);
        stream(&journal, 2, 1, rounds, &"x".repeat(400));
        rig.disk.power_off();
        drop(journal);
        rig.disk.power_on(|_| 0).unwrap();
        let (_journal, recovered) = rig.open();
        assert!(contents(&recovered).is_superset(&expect(&[(1, 1, "old")])), "{rounds}");
        assert_eq!(recovered.report, [""; 0], "{rounds}");
    }
}
