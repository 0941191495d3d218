//! A disk that fails at each operation in turn, and then the power goes.

use super::*;

/// What a caller was told, and what it asked for.
#[derive(Default)]
struct Story {
    /// Reported durable: put and not asked to be settled since.
    confirmed: Contents,
    /// Settled, and that was reported durable.
    settled: BTreeSet<(u64, u64)>,
    /// Ever handed in.
    offered: Contents,
}

impl Story {
    fn put(&mut self, journal: &Journal, group: u64, queue: u64, at: u64, bodies: &[&str]) -> bool {
        let stored = store(journal, bodies);
        let mut durable = journal.enqueue(group, queue, at, stored.first(), bodies.len() as u32);
        if group != 0 {
            durable = journal.end_group(group);
        }
        let entries: Vec<_> =
            (at..).zip(bodies).map(|(at, body)| (queue, at, (*body).to_owned())).collect();
        self.offered.extend(entries.iter().cloned());
        let done = wait(journal, durable);
        if done {
            self.confirmed.extend(entries);
        }
        done
    }

    fn settle(&mut self, journal: &Journal, queue: u64, first: u64, last: u64) -> bool {
        self.confirmed.retain(|(of, at, _)| *of != queue || *at < first || last < *at);
        let done = wait(journal, journal.settle(0, queue, &[(first, last)]));
        if done {
            self.settled.extend((first..=last).map(|at| (queue, at)));
        }
        done
    }

    /// Goes through all that a journal does to files. Returns whether all of it worked.
    fn tell(&mut self, journal: &Journal) -> bool {
        let filler = "filler ".repeat(30);
        let mut good = self.put(journal, 0, 1, 1, &["stays", "for", "ever"]);
        for round in 0..14 {
            let at = 1 + 2 * round;
            good &= self.put(journal, 0, 2, at, &[&filler, "in order"]);
            good &= self.settle(journal, 2, at, at + round % 2);
            let group = journal.new_group();
            journal.settle(group, 3, &[(round, round)]);
            self.confirmed.retain(|(queue, at, _)| *queue != 3 || *at != round);
            good &= self.put(journal, group, 3, round + 1, &["moves"]);
            if good && round > 0 {
                self.settled.insert((3, round));
            }
        }
        good
    }

    /// Nothing that was reported durable is missing, and nothing is there that should not be.
    fn check(&self, recovered: &Recovered, context: &str) {
        let found = contents(recovered);
        let lost: Vec<_> = self.confirmed.difference(&found).collect();
        assert!(lost.is_empty(), "{context}: lost {lost:?}");
        let invented: Vec<_> = found.difference(&self.offered).collect();
        assert!(invented.is_empty(), "{context}: invented {invented:?}");
        let back: Vec<_> =
            found.iter().filter(|(queue, at, _)| self.settled.contains(&(*queue, *at))).collect();
        assert!(back.is_empty(), "{context}: back again {back:?}");
        // The move from position to position is one group: there is never none, and never two.
        let moving = found.iter().filter(|(queue, ..)| *queue == 3).count();
        let moved = self.confirmed.iter().any(|(queue, ..)| *queue == 3);
        assert!(moving <= 1 && (!moved || moving == 1), "{context}: {moving} moving");
        assert_eq!(recovered.report, [""; 0], "{context}");
    }
}

fn rig() -> Rig {
    Rig::with_files_of(1024)
}

/// One run: the fault comes after `skip` operations, then the power goes, and of what was not synced
/// as much stays as `keep` says. Returns whether the fault came at all.
fn run(skip: u64, fault: Fault, onwards: bool, keep: impl Fn(u64) -> u64) -> bool {
    let context = format!("{fault:?} after {skip} operations, onwards: {onwards}");
    let rig = rig();
    if onwards {
        rig.disk.fail_from(skip, fault);
    } else {
        rig.disk.fail_once(skip, fault);
    }
    let mut story = Story::default();
    let opened = rig.try_open();
    let mut good = false;
    if let Ok((journal, _)) = opened {
        good = story.tell(&journal);
        good &= journal.shut_down(&[]).is_ok();
        assert_eq!(rig.failures.lock().len(), usize::from(!good), "{context}");
        if !good {
            // It is over for good, even though the disk might work again.
            let durable = journal.durable();
            assert!(!story.put(&journal, 0, 9, 1, &["after"]), "{context}");
            assert_eq!((journal.durable(), journal.pressure()), (durable, journal.pressure()));
        }
    }
    rig.disk.power_off();
    rig.disk.power_on(keep).unwrap();
    let (journal, recovered) = rig.open();
    story.check(&recovered, &context);
    drop(journal);
    // What was read once is read again.
    let (_journal, recovered) = rig.open();
    story.check(&recovered, &context);
    !good
}

fn every_operation(fault: Fault, onwards: bool) {
    let keeps: [fn(u64) -> u64; 3] = [|_| 0, |all| all, |all| all / 2];
    for skip in 0.. {
        let mut came = false;
        for keep in keeps {
            came |= run(skip, fault, onwards, keep);
        }
        if !came {
            assert!(skip > 60, "only {skip} operations");
            return;
        }
    }
}

#[test]
fn nothing_confirmed_is_lost_when_an_operation_fails() {
    every_operation(Fault::Io, false);
}

#[test]
fn nothing_confirmed_is_lost_when_a_disk_dies() {
    every_operation(Fault::Io, true);
}

#[test]
fn nothing_confirmed_is_lost_when_a_disk_is_full() {
    every_operation(Fault::Full, true);
}

#[test]
fn nothing_confirmed_is_lost_when_a_write_is_short() {
    every_operation(Fault::Short, false);
}

/// The same while the journal is being opened: reading and repairing must not cost anything either.
#[test]
fn nothing_is_lost_when_opening_fails() {
    for damaged in [false, true] {
        let mut story = Story::default();
        let first = rig();
        let (journal, _) = first.open();
        assert!(story.tell(&journal));
        drop(journal);
        let mut files = first.files();
        let torn = files.len() - 1;
        files[torn].1.extend_from_slice(b"torn");
        if damaged {
            // A byte of the header costs no record.
            files[1].1[9] ^= 0xff;
        }
        for skip in 0.. {
            let rig = Rig::of(&files);
            rig.disk.fail_from(skip, Fault::Io);
            let opened = rig.try_open();
            let good = opened.is_ok();
            drop(opened);
            rig.disk.power_off();
            rig.disk.power_on(|changes| changes / 2).unwrap();
            let (journal, mut recovered) = rig.open();
            drop(journal);
            recovered.report.clear();
            story.check(&recovered, &format!("{skip} operations, damaged: {damaged}"));
            if good && skip > 40 {
                break;
            }
        }
    }
}

#[test]
fn a_failed_sync_confirms_nothing_and_is_told_once() {
    let rig = rig();
    let (journal, _) = rig.open();
    assert!(wait(&journal, put(&journal, 1, 1, &["good"])));
    let durable = journal.durable();
    // The append works, the sync does not.
    rig.disk.fail_once(1, Fault::Io);
    let position = put(&journal, 1, 2, &["bad"]);
    assert!(!wait(&journal, position));
    assert_eq!(journal.durable(), durable);
    for position in [put(&journal, 1, 3, &["later"]), journal.settle(0, 1, &[(1, 1)])] {
        assert!(position > durable && !wait(&journal, position));
    }
    let error = journal.shut_down(&[]).unwrap_err().0;
    assert!(error.starts_with("cannot sync /data/journal/00000001.log: "), "{error}");
    assert_eq!(*rig.failures.lock(), [error]);
    drop(journal);
    rig.disk.power_off();
    rig.disk.power_on(|_| 0).unwrap();
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(1, 1, "good")]));
}
