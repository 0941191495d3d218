//! What it costs to make messages durable: 100-byte messages in batches, each waited for, on the disk
//! that holds the temporary directory (`TMPDIR` names another one).
//!
//! `cargo bench --bench journal`

// A bench that cannot do its work has nothing to measure.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use leveret::message::{Message, Traits, write_address};
use leveret::storage::LogPosition;
use leveret::storage::disk::RealDisk;
use leveret::storage::journal::{Journal, Options, Sync};
use leveret::time::Time;

fn message() -> Message {
    let (mut address, mut header) = (Vec::new(), vec![0, 60, 0, 0]);
    write_address(&mut address, b"", b"queue");
    header.extend_from_slice(&100u64.to_be_bytes());
    header.extend_from_slice(&[0x10, 0, 2]);
    let traits = Traits { persistent: true, ..Traits::default() };
    Message::with_inline_body(&address, &header, &[b'm'; 100], traits, &mut Vec::new())
}

fn open(sync: Sync) -> (tempfile::TempDir, Arc<Journal>) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { sync, ..Options::default() };
    let on_failure = Box::new(|error| panic!("{error}"));
    let path = directory.path().join("journal");
    let (journal, _) = Journal::open(Arc::new(RealDisk), &path, options, on_failure).unwrap();
    journal.segments_known();
    (directory, journal)
}

/// A publisher whose queue is emptied as fast as it fills.
struct Publisher {
    queue: u64,
    position: u64,
    batch: Vec<Message>,
}

impl Publisher {
    fn new(queue: u64, batch: usize) -> Self {
        Self { queue, position: 1, batch: vec![message(); batch] }
    }

    fn publish(&mut self, journal: &Journal) -> LogPosition {
        let (first, count) = (self.position, self.batch.len() as u64);
        let stored = journal.store(&mut self.batch.iter(), Time(0));
        let position = journal.enqueue(0, self.queue, first, stored.first(), count as u32);
        if let Some(last) = first.checked_sub(1).filter(|last| *last > 0) {
            journal.settle(0, self.queue, &[(first.saturating_sub(count), last)]);
        }
        self.position += count;
        position
    }
}

fn wait(journal: &Journal, position: LogPosition) {
    let (sender, receiver) = mpsc::channel();
    journal.when_durable(position, Box::new(move || sender.send(()).unwrap()));
    receiver.recv().unwrap();
}

fn report(what: &str, journal: &Journal, messages: u64, took: Duration) {
    let (stats, seconds) = (journal.stats(), took.as_secs_f64());
    let (syncs, rate) = (stats.fsyncs as f64 / seconds, messages as f64 / seconds);
    let each = messages as f64 / stats.fsyncs.max(1) as f64;
    println!("{what}: {rate:.0} messages/s, {syncs:.0} fsyncs/s, {each:.1} messages/fsync");
}

/// One publisher that waits for each batch.
fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish and wait");
    group.sample_size(20);
    for batch in [1, 100, 1000] {
        group.throughput(Throughput::Elements(batch as u64));
        let (_directory, journal) = open(Sync::Always);
        let mut publisher = Publisher::new(1, batch);
        let start = Instant::now();
        group.bench_function(BenchmarkId::from_parameter(batch), |bench| {
            bench.iter(|| {
                let position = publisher.publish(&journal);
                wait(&journal, position);
            });
        });
        report(&format!("batches of {batch}"), &journal, publisher.position, start.elapsed());
    }
    group.finish();
}

/// One publisher that goes on while the disk is busy, up to 16 MiB ahead.
fn stream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish ahead");
    group.sample_size(20);
    for sync in [Sync::Always, Sync::Os] {
        group.throughput(Throughput::Elements(1000));
        let (_directory, journal) = open(sync);
        let mut publisher = Publisher::new(1, 1000);
        let start = Instant::now();
        group.bench_function(format!("{sync:?}"), |bench| {
            bench.iter(|| {
                let position = publisher.publish(&journal);
                if journal.pressure() > 16 << 20 {
                    wait(&journal, position);
                }
            });
        });
        wait(&journal, journal.position());
        report(&format!("ahead, {sync:?}"), &journal, publisher.position, start.elapsed());
    }
    group.finish();
}

/// Opening a journal that holds so many messages.
fn recovery(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recovery");
    group.sample_size(10);
    for (what, messages, settled) in [("live", 1_000_000, 0), ("settled", 1_000_000, 999_000)] {
        let (directory, journal) = open(Sync::Os);
        let mut publisher = Publisher::new(1, 1000);
        // So that the settled ones stay where they are.
        let _held = journal.store(&mut publisher.batch.iter(), Time(0));
        for first in (1..messages).step_by(1000) {
            let stored = journal.store(&mut publisher.batch.iter(), Time(0));
            journal.enqueue(0, 1, first, stored.first(), 1000);
        }
        journal.settle(0, 1, &[(0, settled)]);
        wait(&journal, journal.position());
        drop(journal);
        publisher.batch.clear();
        let path = directory.path().join("journal");
        group.throughput(Throughput::Elements(messages));
        group.bench_function(what, |bench| {
            bench.iter_with_large_drop(|| {
                let on_failure = Box::new(|error| panic!("{error}"));
                let disk = Arc::new(RealDisk);
                let opened = Journal::open(disk, &path, Options::default(), on_failure).unwrap();
                let found: usize = opened.1.queues.values().map(|queue| queue.messages.len()).sum();
                assert_eq!(found as u64, messages - settled);
                opened
            });
        });
    }
    group.finish();
}

criterion_group!(journal, batches, stream, recovery);
criterion_main!(journal);
