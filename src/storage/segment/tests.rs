//! Segments on good, damaged and failing disks.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::message::{Message, Positions, Traits};
use crate::storage::disk::{Disk, Fault, FaultyDisk, MemoryDisk};
use crate::storage::memory::HeldStore;
use crate::storage::{Group, MessageStore};

mod damage;
mod files;
mod open_segments;

const QUEUE: Option<QueueId> = Some(QueueId(7));
const OWNER: Owner = Owner::Queue(QueueId(7));

fn directory() -> &'static Path {
    Path::new("/data/segments")
}

/// A message that says in its properties whether it is persistent.
fn message(persistent: bool, body: &[u8]) -> Message {
    let mode = if persistent { 2 } else { 1 };
    let header =
        [&[0, 60, 0, 0], &(body.len() as u64).to_be_bytes()[..], &[0x10, 0, mode]].concat();
    let traits = Traits { persistent, ..Traits::default() };
    let address = b"\x02ex\x03key";
    match body.len() {
        ..=8192 => Message::with_inline_body(address, &header, body, traits, &mut Vec::new()),
        _ => {
            let half = body.len() / 2;
            let chunks = [&body[..half], &body[half..]];
            let chunks = chunks.iter().map(|chunk| chunk.to_vec().into()).collect();
            Message::with_chunks(address, &header, chunks, traits)
        }
    }
}

fn queued(position: u64, persistent: bool, body: &[u8]) -> Queued {
    let message = message(persistent, body);
    Queued {
        message,
        position: Position(position),
        deadline: Time::NEVER,
        redelivered: false,
        kept: persistent,
        delivery_count: 0,
    }
}

/// Persistent ones, from position 1 on.
fn batch(count: u64) -> Vec<Queued> {
    (1..=count)
        .map(|position| queued(position, true, format!("body {position}").as_bytes()))
        .collect()
}

/// All there is to see of a message.
fn seen(queued: &Queued) -> impl PartialEq + std::fmt::Debug + use<> {
    let message = &queued.message;
    (
        queued.position,
        queued.deadline,
        (queued.redelivered, queued.kept, queued.delivery_count),
        message.address().to_vec(),
        message.header().to_vec(),
        message.extra_keys().map(<[u8]>::to_vec),
        message.body(),
        message.traits(),
    )
}

fn all_seen(messages: &[Queued]) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    messages.iter().map(seen).collect()
}

fn positions(messages: &[Queued]) -> Vec<u64> {
    messages.iter().map(|queued| queued.position.0).collect()
}

/// A store, and what it says when it fails.
fn open(
    disk: &(impl Disk + Clone + 'static),
) -> (Arc<SegmentStore>, Scanned, Receiver<StoreError>) {
    let (failed, failures) = channel();
    let on_failure = Box::new(move |error| _ = failed.send(error));
    let (store, scanned) =
        SegmentStore::open(Arc::new(disk.clone()), directory(), on_failure).unwrap();
    (store, scanned, failures)
}

fn write(store: &SegmentStore, messages: Vec<Queued>) -> Result<Segment, StoreError> {
    let (done, result) = channel();
    let done = Box::new(move |written| _ = done.send(written));
    store.write(OWNER, Arc::new(messages), done);
    result.recv().unwrap()
}

fn read(store: &SegmentStore, segment: &Segment) -> Result<Vec<Queued>, StoreError> {
    let (done, result) = channel();
    store.read(segment, Box::new(move |read| _ = done.send(read)));
    result.recv().unwrap()
}

fn remove(store: &SegmentStore, segment: &Segment) {
    let (done, result) = channel();
    store.remove(segment, Box::new(move || _ = done.send(())));
    let _ = result.recv();
}

fn path_of(segment: &Segment) -> PathBuf {
    file::Place::new(directory()).path(segment)
}
