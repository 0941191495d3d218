//! The journal as its callers see it, on a disk that can fail and lose power.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::mpsc;

use super::*;
use crate::message::{Traits, write_address};
use crate::storage::disk::{Fault, FaultyDisk, MemoryDisk, RealDisk};

mod damage;
mod faults;
mod model;
mod recycling;

/// Files of a journal, by name.
type Files = Vec<(String, Vec<u8>)>;

const DIRECTORY: &str = "/data/journal";

/// When messages are stored.
const NOW: Time = Time(1_700_000_000_000);

/// What is where: (queue, position, body).
type Contents = BTreeSet<(u64, u64, String)>;

struct Rig {
    disk: FaultyDisk,
    options: Options,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Rig {
    fn new() -> Self {
        Self::with_files_of(64 << 20)
    }

    fn with_files_of(file_bytes: u64) -> Self {
        let options = Options { file_bytes, ..Options::default() };
        let disk = FaultyDisk::new(MemoryDisk::default());
        Self { disk, options, failures: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(DIRECTORY)
    }

    fn try_open(&self) -> Result<(Arc<Journal>, Recovered), StoreError> {
        let failures = self.failures.clone();
        let on_failure = Box::new(move |error: StoreError| failures.lock().push(error.0));
        let disk = Arc::new(self.disk.clone());
        Journal::open(disk, &self.path(), self.options.clone(), on_failure)
    }

    fn open(&self) -> (Arc<Journal>, Recovered) {
        self.try_open().unwrap()
    }

    fn files(&self) -> Files {
        files(&self.disk, &self.path())
    }

    /// A journal that consists of these files.
    fn of(files: &[(String, Vec<u8>)]) -> Self {
        let rig = Self::new();
        rig.disk.create_dir_all(&rig.path()).unwrap();
        for (name, bytes) in files {
            let mut file = rig.disk.create(&rig.path().join(name)).unwrap();
            file.append(&mut [IoSlice::new(bytes)]).unwrap();
            file.sync_data().unwrap();
        }
        rig.disk.sync_dir(&rig.path()).unwrap();
        rig
    }
}

fn files(disk: &FaultyDisk, directory: &Path) -> Files {
    let read = |name: String| {
        let bytes = disk.read_all(&directory.join(&name)).unwrap();
        (name, bytes)
    };
    disk.list(directory).unwrap().into_iter().map(read).collect()
}

fn message(body: &str) -> Message {
    let (mut address, mut header) = (Vec::new(), vec![0, 60, 0, 0]);
    write_address(&mut address, b"", b"key");
    header.extend_from_slice(&(body.len() as u64).to_be_bytes());
    header.extend_from_slice(&[0x10, 0, 2]);
    let traits = Traits { persistent: true, ..Traits::default() };
    Message::with_inline_body(&address, &header, body.as_bytes(), traits, &mut Vec::new())
}

/// The content of a BCC header.
const BCC: &[u8] = b"S\0\0\0\x03bcc";

fn with_keys(body: &str) -> Message {
    let message = message(body);
    let (address, properties) = (message.address(), message.properties());
    message.readdressed(address, properties, Some(BCC), message.traits())
}

fn store(journal: &Journal, bodies: &[&str]) -> Stored {
    let messages: Vec<_> = bodies.iter().map(|body| message(body)).collect();
    journal.store(&mut messages.iter(), NOW)
}

/// Puts messages at consecutive positions of one queue.
fn put(journal: &Journal, queue: u64, position: u64, bodies: &[&str]) -> LogPosition {
    let stored = store(journal, bodies);
    journal.enqueue(0, queue, position, stored.first(), bodies.len() as u32)
}

/// Waits until a position is durable; false when it will not be.
fn wait(journal: &Journal, position: LogPosition) -> bool {
    let (sender, receiver) = mpsc::channel();
    journal.when_durable(position, Box::new(move || sender.send(()).unwrap()));
    let durable = receiver.recv().is_ok();
    assert!(!durable || journal.durable() >= position);
    durable
}

fn contents(recovered: &Recovered) -> Contents {
    let mut contents = Contents::new();
    for (queue, found) in &recovered.queues {
        assert!(found.messages.is_sorted_by_key(|found| found.position));
        for RecoveredMessage { position, message, .. } in &found.messages {
            let body = String::from_utf8(message.body()).unwrap();
            assert!(message.traits().persistent);
            assert!(contents.insert((*queue, position.0, body)));
            assert!(found.next_position > position.0);
        }
    }
    contents
}

fn expect(entries: &[(u64, u64, &str)]) -> Contents {
    entries.iter().map(|(queue, position, body)| (*queue, *position, (*body).to_owned())).collect()
}

#[test]
fn what_was_handed_in_is_there_after_a_restart() {
    let rig = Rig::new();
    let (journal, recovered) = rig.open();
    assert!(recovered.queues.is_empty() && recovered.report.is_empty() && !recovered.clean);
    let large = "x".repeat(30_000);
    let stored = store(&journal, &["a", &large, "c"]);
    journal.enqueue(0, 1, 1, stored.first(), 3);
    journal.enqueue_runs(0, 2, &[(5, stored.first(), 1), (9, stored.first() + 2, 1)]);
    journal.settle(0, 1, &[(1, 1)]);
    let position = journal.settle(0, 2, &[(9, 9)]);
    assert_eq!(position, journal.position());
    assert!(wait(&journal, position));
    assert_eq!(journal.pressure(), 0);
    drop((stored, journal));

    let (_journal, recovered) = rig.open();
    let expected = expect(&[(1, 2, &large), (1, 3, "c"), (2, 5, "a")]);
    assert_eq!(contents(&recovered), expected);
    assert_eq!(recovered.queues[&1].next_position, 4);
    assert_eq!(recovered.queues[&1].settled, [(1, 1)]);
    assert_eq!(recovered.queues[&2].next_position, 10);
    let messages = recovered.queues.values().flat_map(|queue| &queue.messages);
    assert!(messages.clone().all(|found| found.redelivered), "it was no clean end");
    assert!(recovered.report.is_empty() && recovered.torn_bytes == 0);
    assert_eq!(recovered.records, 3 + 4);
}

#[test]
fn times_and_extra_keys_come_back_also_from_where_they_were_carried() {
    let rig = Rig::with_files_of(2_000);
    let (journal, _) = rig.open();
    journal.segments_known();
    for (position, later) in [(1, 0), (2, 5)] {
        let messages = [with_keys("bcc")];
        let stored = journal.store(&mut messages.iter(), Time(NOW.0 + later));
        journal.enqueue(0, 1, position, stored.first(), 1);
    }
    while journal.stats().carried_bytes == 0 {
        for position in 1..=20 {
            put(&journal, 2, position, &[&"x".repeat(500)]);
            assert!(wait(&journal, journal.settle(0, 2, &[(position, position)])));
        }
    }
    drop(journal);
    let (_journal, recovered) = rig.open();
    let found: Vec<_> = recovered.queues[&1]
        .messages
        .iter()
        .map(|found| (found.stored, found.message.extra_keys(), found.message.body()))
        .collect();
    let expected = [0, 5].map(|later| (Some(Time(NOW.0 + later)), Some(BCC), b"bcc".to_vec()));
    assert_eq!(found, expected);
}

#[test]
fn it_works_on_a_real_disk_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let options = Options { file_bytes: 2_000, ..Options::default() };
    let open = || {
        let on_failure = Box::new(|error| panic!("{error}"));
        Journal::open(Arc::new(RealDisk), &path, options.clone(), on_failure).unwrap()
    };
    let (journal, _) = open();
    journal.segments_known();
    put(&journal, 1, 1, &["stays"]);
    for position in 1..=40 {
        put(&journal, 2, position, &[&"x".repeat(500)]);
        assert!(wait(&journal, journal.settle(0, 2, &[(position, position)])));
    }
    assert!(journal.stats().files_removed > 5);
    journal.shut_down(&[]).unwrap();
    let (_journal, recovered) = open();
    assert!(recovered.clean && recovered.report.is_empty());
    assert_eq!(contents(&recovered), expect(&[(1, 1, "stays")]));
}

#[test]
fn one_message_in_many_queues_is_one_message() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    let stored = store(&journal, &["shared"]);
    for queue in 1..=3 {
        journal.enqueue(0, queue, 1, stored.first(), 1);
    }
    drop((stored, journal));
    let (_journal, recovered) = rig.open();
    let addresses: BTreeSet<_> = recovered
        .queues
        .values()
        .map(|queue| queue.messages[0].message.inline_body().as_ptr() as usize)
        .collect();
    assert_eq!((recovered.queues.len(), addresses.len()), (3, 1));
}

#[test]
fn calls_that_follow_on_each_other_share_records() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    rig.disk.hold_syncs();
    let held = put(&journal, 9, 1, &["held"]);
    rig.disk.wait_for_held_sync();
    let stored = store(&journal, &["a", "b", "c", "d"]);
    let first = stored.first();
    journal.enqueue(0, 1, 1, first, 1);
    journal.enqueue(0, 1, 2, first + 1, 2);
    journal.enqueue(0, 1, 7, first + 3, 1);
    journal.settle(0, 1, &[(1, 1)]);
    journal.settle(0, 1, &[(2, 2), (7, 7)]);
    let last = journal.settle(0, 2, &[(1, 1)]);
    rig.disk.release_syncs();
    assert!(wait(&journal, held) && wait(&journal, last));
    // Four messages, one enqueue, one settle for each queue; two before.
    assert_eq!(journal.stats().records, 2 + 4 + 1 + 2);
    drop((stored, journal));
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(1, 3, "c"), (9, 1, "held")]));
    assert_eq!(recovered.queues[&1].settled, [(1, 2), (7, 7)]);
}

#[test]
fn what_comes_while_a_sync_is_under_way_is_one_group() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    rig.disk.hold_syncs();
    let first = put(&journal, 1, 1, &["first"]);
    rig.disk.wait_for_held_sync();
    let mut last = first;
    for position in 2..=100 {
        last = put(&journal, 1, position, &["later"]);
        assert!(journal.durable() < first, "nothing is durable before its sync");
    }
    assert_eq!(journal.pressure() as u64, last.0);
    let called = Arc::new(AtomicU64::new(0));
    let count = called.clone();
    journal.when_durable(last, Box::new(move || _ = count.fetch_add(1, Ordering::SeqCst)));
    assert_eq!(called.load(Ordering::SeqCst), 0);
    let syncs = rig.disk.syncs();
    rig.disk.release_syncs();
    assert!(wait(&journal, last));
    assert_eq!(called.load(Ordering::SeqCst), 1);
    assert_eq!(rig.disk.syncs() - syncs, 1, "all that came later is one group");
    assert_eq!(journal.stats().fsyncs, 2);
}

#[test]
fn written_is_enough_when_the_system_is_trusted_to_sync() {
    let mut rig = Rig::new();
    rig.options.sync = Sync::Os;
    let (journal, _) = rig.open();
    let syncs = rig.disk.syncs();
    let position = put(&journal, 1, 1, &["a"]);
    assert!(wait(&journal, position));
    assert_eq!((rig.disk.syncs(), journal.stats().fsyncs), (syncs, 0));
    drop(journal);
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(1, 1, "a")]));
}

#[test]
fn a_clean_end_knows_what_was_delivered_before() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    put(&journal, 1, 1, &["a", "b", "c"]);
    put(&journal, 2, 1, &["d"]);
    journal.shut_down(&[(1, vec![(2, 2), (50, 60)])]).unwrap();
    // Nothing counts after the end.
    let late = put(&journal, 1, 4, &["late"]);
    assert!(!wait(&journal, late) && journal.durable() < late);
    drop(journal);

    let flags = |recovered: &Recovered| -> Vec<bool> {
        let queues = recovered.queues.values();
        queues.flat_map(|queue| queue.messages.iter().map(|found| found.redelivered)).collect()
    };
    let (journal, recovered) = rig.open();
    assert!(recovered.clean);
    assert_eq!(flags(&recovered), [false, true, false, false]);
    assert_eq!(recovered.queues[&1].redelivered, [(2, 2), (50, 60)]);
    // Opened, nothing written, and ended badly: the mark is not at the end any more.
    drop(journal);
    let (_journal, recovered) = rig.open();
    assert!(!recovered.clean);
    assert_eq!(flags(&recovered), [true; 4]);
    assert!(rig.failures.lock().is_empty());
}

#[test]
fn a_group_counts_once_it_has_ended() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    put(&journal, 1, 1, &["old", "old too"]);
    let stored = store(&journal, &["x", "y"]);
    let (ended, open) = (journal.new_group(), journal.new_group());
    assert_ne!(ended, open);
    for (group, position, number) in [(ended, 3, stored.first()), (open, 4, stored.first() + 1)] {
        journal.enqueue(group, 2, position, number, 1);
        journal.settle(group, 1, &[(position - 2, position - 2)]);
    }
    let end = journal.end_group(ended);
    assert!(wait(&journal, end));
    drop((stored, journal));
    let (journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(1, 2, "old too"), (2, 3, "x")]));
    assert_eq!(recovered.queues[&2].next_position, 4);
    assert!(journal.new_group() > ended, "a number from an earlier life is not used again");
}

/// A consumer may be quicker than the end of the transaction that published.
#[test]
fn what_is_settled_before_its_group_has_ended_does_not_come_back() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    put(&journal, 1, 1, &["other"]);
    let stored = store(&journal, &["a", "b", "c"]);
    let (first, second) = (journal.new_group(), journal.new_group());
    journal.enqueue(first, 1, 2, stored.first(), 3);
    journal.settle(0, 1, &[(1, 2)]);
    journal.settle(second, 1, &[(3, 3)]);
    let settled = journal.end_group(second);
    let end = journal.end_group(first);
    assert!(wait(&journal, settled) && wait(&journal, end));
    drop((stored, journal));
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(1, 4, "c")]));
}

/// Whoever stores for a transaction lets go of the messages before it ends.
#[test]
fn what_an_open_group_enqueues_stays_in_the_journal() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    let stored = store(&journal, &["a", "b"]);
    let (first, second) = (journal.new_group(), journal.new_group());
    journal.enqueue(first, 1, 1, stored.first(), 2);
    journal.enqueue(second, 2, 1, stored.first(), 1);
    drop(stored);
    // The journal thread gets to see that they were let go of, before and after the first end.
    let seen = put(&journal, 3, 1, &["other"]);
    assert!(wait(&journal, seen));
    let end = journal.end_group(first);
    assert!(wait(&journal, end));
    let settled = journal.settle(0, 1, &[(1, 2)]);
    assert!(wait(&journal, settled));
    let end = journal.end_group(second);
    assert!(wait(&journal, end));
    assert_eq!(journal.stats().live_messages, 2, "b is let go of in the end");
    drop(journal);
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(2, 1, "a"), (3, 1, "other")]));
    assert!(rig.failures.lock().is_empty());
}

#[test]
fn what_is_in_segments_is_remembered_only_as_far_as_it_is_settled() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    journal.segments_known();
    put(&journal, 1, 1, &["a", "b", "c", "d", "e"]);
    journal.settle(0, 1, &[(1, 1)]);
    journal.in_segments(1, 2, 4);
    // While the segment is being written, and after.
    journal.settle(0, 1, &[(2, 2)]);
    journal.moved(1, 2, 4);
    let last = journal.settle(0, 1, &[(4, 4)]);
    assert!(wait(&journal, last));
    assert_eq!(journal.stats().live_messages, 1);
    drop(journal);
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(1, 5, "e")]));
    assert_eq!(recovered.queues[&1].settled, [(1, 2), (4, 4)]);
    assert_eq!(recovered.queues[&1].next_position, 6);
}

#[test]
fn a_queue_that_is_gone_stays_gone() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    put(&journal, 1, 1, &["a"]);
    put(&journal, 2, 1, &["b"]);
    let gone = journal.queue_gone(1);
    assert!(wait(&journal, gone));
    drop(journal);
    let (_journal, recovered) = rig.open();
    assert_eq!(contents(&recovered), expect(&[(2, 1, "b")]));
    assert!(!recovered.queues.contains_key(&1));
}

#[test]
fn a_wake_may_be_the_last_to_own_the_journal() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    rig.disk.hold_syncs();
    let position = put(&journal, 1, 1, &["a"]);
    let (sender, receiver) = mpsc::channel();
    let last = journal.clone();
    journal.when_durable(
        position,
        Box::new(move || {
            drop(last);
            sender.send(()).unwrap();
        }),
    );
    drop(journal);
    rig.disk.release_syncs();
    receiver.recv().unwrap();
}

#[test]
fn an_enqueue_of_what_was_never_stored_is_the_end() {
    let rig = Rig::new();
    let (journal, _) = rig.open();
    let position = journal.enqueue(0, 1, 1, 77, 1);
    assert!(!wait(&journal, position));
    let _ = journal.shut_down(&[]).unwrap_err();
    assert_eq!(rig.failures.lock().len(), 1);
}
