//! How files of the journal are got rid of.
//!
//! Always the oldest, so that what is left is the end of a log: a settlement is never removed before
//! the enqueue it belongs to. A file that is home to nothing needed is removed. When too much of the
//! journal is waste, what is needed of the oldest file is *carried*: written again at the end, a piece
//! with each group of the callers, and once that is synced the file is home to nothing.
//!
//! A crash in the middle of it leaves some things in the log twice, under the same numbers and
//! positions. Recovery takes the later place of a message and ignores an enqueue it knows. So enqueues
//! are never in an older file than the messages they name, and no file goes that has the only one.
//!
//! Invariant: what a file is home to is written and synced elsewhere before the file goes.

use std::collections::BTreeMap;

use super::active::failed;
use super::file::{self, LogReader, Next, Start};
use super::live::Place;
use super::range_map::RangeSet;
use super::record::{self, Record};
use super::writer::Writer;
use crate::storage::StoreError;

/// How much goes along with one group at most: enough to get on, too little to be felt.
const PIECE: u64 = 1 << 20;

/// A file whose messages are being carried.
pub struct Carry {
    file: u64,
    reader: LogReader,
    places: Vec<Place>,
    /// Messages of the piece at hand.
    copies: Vec<u8>,
}

impl Writer {
    /// Whether there is something to carry without waiting for callers.
    pub fn can_carry(&self) -> bool {
        self.carry.is_some() || self.file_to_carry().is_some()
    }

    /// The oldest file, if the journal has grown beyond its bound.
    fn file_to_carry(&self) -> Option<u64> {
        let bound = 2 * self.live.live_bytes() + 4 * self.options.file_bytes;
        let (oldest, _) = self.live.oldest_file()?;
        let due = self.live.total_bytes() > bound && oldest != self.active.number();
        // Whoever holds a message will be done before long.
        (due && !self.live.is_held(oldest)).then_some(oldest)
    }

    /// Adds a piece of what is to be carried to what is written next.
    pub fn carry(&mut self) -> Result<(), StoreError> {
        if self.carry.is_none()
            && let Some(file) = self.file_to_carry()
        {
            let reader = self.read(file)?;
            let (places, copies) = (self.live.carry(file), Vec::new());
            self.carry = Some(Carry { file, reader, places, copies });
        }
        let Some(mut carry) = self.carry.take() else { return Ok(()) };
        carry.places.extend(self.live.late_places());
        let (numbers, more) = self.copy_messages(&mut carry)?;
        // Enqueues first: were they torn off, the old file would look unneeded with them in it.
        self.carry_places(&carry, &numbers);
        self.own.append(&mut carry.copies);
        let snapshots = if more { Vec::new() } else { self.live.snapshots(carry.file) };
        for queue in &snapshots {
            record::put_settled(&mut self.own, *queue, &self.live.settled_ranges(*queue));
        }
        self.enter_own()?;
        for queue in snapshots {
            self.live.snapshot_moved(queue, self.active.number());
        }
        if more {
            self.carry = Some(carry);
            return Ok(());
        }
        self.live.carried();
        let left = self.live.oldest_file().filter(|(oldest, _)| *oldest == carry.file);
        if left.is_some_and(|(_, figures)| figures.messages > 0) {
            let path = file::path(&self.directory, carry.file);
            return Err(StoreError(format!("{} does not hold what it should", path.display())));
        }
        Ok(())
    }

    /// Gathers the messages of a piece that are needed; says which, and whether there are more.
    fn copy_messages(&self, carry: &mut Carry) -> Result<(RangeSet, bool), StoreError> {
        let path = file::path(&self.directory, carry.file);
        let piece = PIECE.min(self.options.file_bytes / 4);
        let (start, mut numbers) = (carry.reader.offset(), RangeSet::default());
        while carry.copies.len() as u64 <= piece && carry.reader.offset() - start <= 4 * piece {
            match carry.reader.next().map_err(failed("read", &path))? {
                Next::Record { record: Record::Message(message), content } => {
                    let number = message.number;
                    if self.live.lives_in(number, carry.file) {
                        record::put_copy(&mut carry.copies, content);
                        numbers.add(number, number);
                    }
                }
                Next::Record { .. } => {}
                Next::Bad { offset } => {
                    let path = path.display();
                    return Err(StoreError(format!("{path} is damaged at offset {offset}")));
                }
                Next::End => return Ok((numbers, false)),
            }
        }
        Ok((numbers, true))
    }

    /// Says again which queues hold these messages, as far as they still do.
    fn carry_places(&mut self, carry: &Carry, numbers: &RangeSet) {
        let mut queues: BTreeMap<u64, Vec<(u64, u64, u32)>> = BTreeMap::new();
        for &(first, last, queue, position) in &carry.places {
            for (from, to, ()) in numbers.overlapping(first, last) {
                let (from, to) = (from.max(first), to.min(last));
                let positions = (position + (from - first), position + (to - first));
                for (start, end, number) in self.live.holding(queue, positions.0, positions.1) {
                    let count = u32::try_from(end - start + 1).unwrap_or(u32::MAX);
                    queues.entry(queue).or_default().push((start, number, count));
                }
            }
        }
        for (queue, mut runs) in queues {
            runs.sort_unstable();
            record::put_enqueue(&mut self.own, 0, queue, &runs);
        }
    }

    fn read(&self, number: u64) -> Result<LogReader, StoreError> {
        let path = file::path(&self.directory, number);
        let start = LogReader::open(&*self.disk, &self.directory, number);
        match start.map_err(failed("read", &path))? {
            Start::Records { reader, sound: true } => Ok(reader),
            _ => Err(StoreError(format!("{} is damaged at offset 0", path.display()))),
        }
    }

    /// Removes the oldest files while they are home to nothing.
    pub fn remove_files(&mut self) -> Result<(), StoreError> {
        let mut removed = false;
        while let Some((oldest, figures)) = self.live.oldest_file() {
            let needed = figures.messages > 0 || figures.snapshots > 0;
            if needed || oldest == self.active.number() {
                break;
            }
            // What made it unneeded must be safe, also where nobody else asks for that.
            self.sync()?;
            let path = file::path(&self.directory, oldest);
            self.disk.remove(&path).map_err(failed("remove", &path))?;
            // One at a time: were a later one gone and this one back, so would be what is settled.
            let synced = self.disk.sync_dir(&self.directory);
            synced.map_err(failed("sync", &self.directory))?;
            self.live.remove_file(oldest);
            self.carry.take_if(|carry| carry.file == oldest);
            self.files_removed += 1;
            removed = true;
        }
        if removed {
            self.publish_stats();
        }
        Ok(())
    }
}
