//! What a journal says when it is opened.
//!
//! The files are read twice. The first time only ranges are kept, through the same bookkeeping that a
//! running journal has; after that it is known which messages are still wanted, and the second time only
//! those are kept. So memory goes with what is there, not with how long the log is.
//!
//! **Damage.** A record whose checksum is wrong at the end of the last file, with nothing behind it, was
//! being written when the power went: the log ends before it. Anywhere else it is damage: it is
//! reported with file and offset, reading goes on at the next sound record, and then everything that
//! is known is written to new files, the damaged ones are renamed and stay, and the other old
//! ones go. What damage may have cost errs on the side of too many messages: of a group with a hole,
//! enqueues count and settlements do not.
//!
//! Invariant: no file is changed before all have been read, and none that is damaged is ever removed.

mod messages;
mod rewrite;

pub(in crate::storage) use self::messages::message_of;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use self::messages::Kept;
use super::Options;
use super::active::{ActiveFile, failed};
use super::file::{self, LogReader, Next, Start};
use super::live::Live;
use super::range_map::RangeSet;
use super::record::Record;
use crate::message::{Message, Position};
use crate::storage::StoreError;
use crate::storage::disk::Disk;
use crate::time::Time;

/// What was in the journal.
#[derive(Debug, Default)]
pub struct Recovered {
    pub queues: BTreeMap<u64, RecoveredQueue>,
    /// The log ended with the mark of a clean end, so that it is known what was delivered before.
    pub clean: bool,
    /// Lines for the operator: what was damaged, what is lost. Empty when all is well.
    pub report: Vec<String>,
    pub records: u64,
    /// Bytes of log that were read.
    pub bytes: u64,
    /// Bytes of a torn tail, dropped.
    pub torn_bytes: u64,
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub struct RecoveredMessage {
    pub position: Position,
    pub message: Message,
    /// When it entered the queue; `None` if an older version stored it, which did not say.
    pub stored: Option<Time>,
    /// It may have been delivered before.
    pub redelivered: bool,
}

#[derive(Debug, Default)]
pub struct RecoveredQueue {
    /// In order.
    pub messages: Vec<RecoveredMessage>,
    /// Positions known to be settled, for those that are in segments.
    pub settled: Vec<(u64, u64)>,
    /// Positions (first, last) that may have been delivered before; everything, unless the end was
    /// clean. For what is in segments.
    pub redelivered: Vec<(u64, u64)>,
    /// Positions (first, last) of messages that came back, and how often; known after a clean end only.
    pub returned: Vec<(u64, u64, u32)>,
    /// No record mentions this position or a later one. Segments may.
    pub next_position: u64,
}

pub struct Found {
    pub recovered: Recovered,
    pub live: Live,
    pub active: ActiveFile,
    pub next_number: u64,
    pub next_group: u64,
}

pub fn recover(disk: &dyn Disk, directory: &Path, options: &Options) -> Result<Found, StoreError> {
    disk.create_dir_all(directory).map_err(failed("create", directory))?;
    if let Some(parent) = directory.parent() {
        disk.sync_dir(parent).map_err(failed("sync", parent))?;
    }
    let names = disk.list(directory).map_err(failed("list", directory))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| file::number(name)).collect();
    numbers.sort_unstable();

    let mut reading = Reading::new(disk, directory);
    for number in &numbers {
        reading.expect(*number);
        reading.read_file(*number, numbers.last() == Some(number))?;
    }
    reading.finish();

    let messages = messages::collect(disk, directory, &reading.live)?;
    let queues = reading.queues(&messages);
    reading.drop_torn_tail()?;
    // The number of a file that was removed is taken again: there are to be no gaps.
    if reading.torn.is_some_and(|(_, keep)| keep.is_none()) {
        numbers.pop();
    }
    let next_file = match (reading.torn, numbers.last()) {
        (Some((torn, None)), _) => torn,
        (_, last) => last.map_or(1, |last| last + 1),
    };
    let (live, active) = if reading.damaged.is_empty() {
        let active = ActiveFile::create(disk, directory, next_file)?;
        (reading.live, active)
    } else {
        let place = rewrite::Place { disk, directory, options };
        let rewritten = rewrite::rewrite(&place, &reading.live, &messages, next_file)?;
        for line in rewrite::set_aside(&place, &numbers, &reading.damaged)? {
            reading.recovered.report.push(line);
        }
        rewritten
    };
    let mut found = Found {
        recovered: Recovered { queues, ..reading.recovered },
        live,
        next_number: reading.next_number,
        next_group: reading.next_group,
        active,
    };
    found.live.grow_file(found.active.number(), 0);
    Ok(found)
}

/// The first reading.
struct Reading<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    live: Live,
    recovered: Recovered,
    next_number: u64,
    next_group: u64,
    /// Records of groups whose end has not been met. Groups do not go over the end of a file.
    groups: HashMap<u64, Vec<Vec<u8>>>,
    /// What the last records in a row say was delivered before.
    redelivered: BTreeMap<u64, RangeSet>,
    /// And how often that of quorum queues came back.
    returned: BTreeMap<u64, Vec<(u64, u64, u32)>>,
    clean: bool,
    damaged: Vec<u64>,
    /// The last file and what to cut it to; to nothing for one to remove.
    torn: Option<(u64, Option<u64>)>,
    previous: Option<u64>,
}

impl<'a> Reading<'a> {
    fn new(disk: &'a dyn Disk, directory: &'a Path) -> Self {
        Self {
            disk,
            directory,
            live: Live::recovering(),
            recovered: Recovered::default(),
            next_number: 1,
            next_group: 1,
            groups: HashMap::new(),
            redelivered: BTreeMap::new(),
            returned: BTreeMap::new(),
            clean: false,
            damaged: Vec::new(),
            torn: None,
            previous: None,
        }
    }

    /// Files are numbered without gaps, because they are removed from the front only.
    fn expect(&mut self, number: u64) {
        if let Some(previous) = self.previous.replace(number)
            && previous + 1 != number
        {
            let (first, last) = (file::name(previous + 1), file::name(number - 1));
            self.report(format!("journal files {first} to {last} are missing"));
            self.clean = false;
        }
    }

    fn report(&mut self, line: String) {
        self.recovered.report.push(line);
    }

    fn read_file(&mut self, number: u64, last: bool) -> Result<(), StoreError> {
        let path = file::path(self.directory, number);
        let start = LogReader::open(self.disk, self.directory, number);
        self.not_the_end();
        self.groups.clear();
        self.live.add_file(number);
        let (mut reader, sound) = match start.map_err(failed("read", &path))? {
            Start::Records { reader, sound } => (reader, sound),
            Start::Version(version) => {
                let text = format!("{} has format version {version}", path.display());
                return Err(StoreError(format!("{text}, which this program does not know")));
            }
            Start::Short { bytes } if last => {
                self.torn = Some((number, None));
                self.recovered.torn_bytes += bytes;
                self.live.remove_file(number);
                return Ok(());
            }
            Start::Short { bytes } => {
                self.damage(number, 0, bytes);
                self.live.grow_file(number, bytes);
                return Ok(());
            }
        };
        if !sound {
            self.damage(number, 0, file::HEADER);
        }
        let mut length = reader.length();
        loop {
            let offset = match reader.next().map_err(failed("read", &path))? {
                Next::End => break,
                Next::Record { record, content } => {
                    self.record(&record, content, number);
                    continue;
                }
                Next::Bad { offset } => offset,
            };
            if reader.resync(offset).map_err(failed("read", &path))? {
                self.damage(number, offset, reader.offset() - offset);
                continue;
            }
            if last && sound {
                self.torn = Some((number, Some(offset)));
                self.recovered.torn_bytes += length - offset;
                self.clean = false;
                length = offset;
            } else {
                self.damage(number, offset, length - offset);
            }
            break;
        }
        self.live.enter(number);
        self.live.grow_file(number, length);
        self.recovered.bytes += length;
        Ok(())
    }

    fn damage(&mut self, number: u64, offset: u64, bytes: u64) {
        let path = file::path(self.directory, number);
        self.report(format!(
            "{} is damaged at offset {offset}: {bytes} bytes are unreadable",
            path.display()
        ));
        if self.damaged.last() != Some(&number) {
            self.damaged.push(number);
        }
        self.not_the_end();
    }

    fn not_the_end(&mut self) {
        self.clean = false;
        self.redelivered.clear();
        self.returned.clear();
    }

    fn record(&mut self, record: &Record<'_>, content: &[u8], file: u64) {
        self.recovered.records += 1;
        if self.clean {
            self.not_the_end();
        }
        match *record {
            Record::Clean => return self.clean = true,
            Record::Redelivered { queue, ranges } => {
                let delivered = self.redelivered.entry(queue).or_default();
                return ranges.iter().for_each(|(first, last)| delivered.add(first, last));
            }
            Record::Returned { queue, counts } => {
                return self.returned.entry(queue).or_default().extend(counts.iter());
            }
            _ => {
                self.redelivered.clear();
                self.returned.clear();
            }
        }
        match *record {
            Record::Message(message) => {
                self.next_number = self.next_number.max(message.number.saturating_add(1));
            }
            Record::Enqueue { group, .. } | Record::Settle { group, .. } if group != 0 => {
                self.next_group = self.next_group.max(group.saturating_add(1));
                self.groups.entry(group).or_default().push(content.to_vec());
                return;
            }
            Record::GroupEnd { group, records } => return self.group_end(group, records, file),
            _ => {}
        }
        self.apply(record, file);
    }

    fn group_end(&mut self, group: u64, records: u32, file: u64) {
        let contents = self.groups.remove(&group).unwrap_or_default();
        let whole = contents.len() == records as usize;
        if !whole {
            self.report(format!(
                "of a group of {records} records {} are left: what it settled may come again",
                contents.len()
            ));
        }
        for content in contents {
            match Record::decode(&content) {
                Some(Record::Settle { .. }) if !whole => {}
                Some(record) => self.apply(&record, file),
                None => {}
            }
        }
    }

    fn apply(&mut self, record: &Record<'_>, file: u64) {
        if let Record::Enqueue { runs, .. } = record {
            let end = runs.iter().map(|(_, number, count)| number + u64::from(count)).max();
            self.next_number = self.next_number.max(end.unwrap_or(0));
        }
        // While recovering, nothing is unknown: it may be told further on.
        let known = self.live.apply(record, file);
        debug_assert_eq!(known, Ok(()));
    }

    fn finish(&mut self) {
        self.groups.clear();
        self.recovered.clean = self.clean && self.damaged.is_empty();
        for (queue, first, last) in self.live.recovered() {
            let count = last - first + 1;
            self.report(format!(
                "queue {queue} has lost {count} messages, at positions {first} to {last}"
            ));
        }
    }

    /// The queues as they were, with the messages that were found.
    fn queues(&mut self, messages: &HashMap<u64, Kept>) -> BTreeMap<u64, RecoveredQueue> {
        let mut queues = BTreeMap::new();
        for queue in self.live.queues() {
            let next_position = self.live.last_position(queue).saturating_add(1);
            let redelivered = if self.recovered.clean {
                self.redelivered.remove(&queue).unwrap_or_default()
            } else {
                let mut all = RangeSet::default();
                all.add(0, u64::MAX);
                all
            };
            let mut found = Vec::new();
            for (first, last, number) in self.live.runs(queue) {
                let held = (first..=last).zip(number..);
                found.extend(held.filter_map(|(position, number)| {
                    let Kept { message, stored } = messages.get(&number)?.clone();
                    let redelivered = redelivered.get(position).is_some();
                    let position = Position(position);
                    Some(RecoveredMessage { position, message, stored, redelivered })
                }));
            }
            let queue_found = RecoveredQueue {
                messages: found,
                settled: self.live.settled_ranges(queue),
                redelivered: redelivered.ranges().collect(),
                returned: self.returned.remove(&queue).unwrap_or_default(),
                next_position,
            };
            queues.insert(queue, queue_found);
        }
        queues
    }

    /// Cuts the last file to what is sound in it, so that it can be read when it is not the last.
    fn drop_torn_tail(&mut self) -> Result<(), StoreError> {
        let Some((number, keep)) = self.torn else { return Ok(()) };
        let path = file::path(self.directory, number);
        match keep {
            Some(length) => self.disk.truncate(&path, length).map_err(failed("truncate", &path)),
            None => self.disk.remove(&path).map_err(failed("remove", &path)),
        }
    }
}
