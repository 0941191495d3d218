//! After damage: everything that is known goes to new files, the damaged ones are set aside.
//!
//! All of the journal, not only the damaged file: records in it concern messages in older files, and a
//! log with a file missing from its middle would say something else.

use std::collections::HashMap;
use std::path::Path;

use super::{ActiveFile, Kept, Live, failed, file};
use crate::storage::StoreError;
use crate::storage::disk::Disk;
use crate::storage::journal::Options;
use crate::storage::journal::record::{self, Record};

/// Written at once, about.
const PIECE: usize = 1 << 20;

pub struct Place<'a> {
    pub disk: &'a dyn Disk,
    pub directory: &'a Path,
    pub options: &'a Options,
}

/// Writes a new log, from file `first` on, and returns what it holds.
pub fn rewrite(
    place: &Place<'_>,
    old: &Live,
    messages: &HashMap<u64, Kept>,
    first: u64,
) -> Result<(Live, ActiveFile), StoreError> {
    let mut log = NewLog {
        place,
        live: Live::recovering(),
        active: ActiveFile::create(place.disk, place.directory, first)?,
        bytes: Vec::new(),
    };
    log.live.grow_file(first, log.active.length());
    let mut numbers: Vec<&u64> = messages.keys().collect();
    numbers.sort_unstable();
    for number in numbers {
        if let Some(Kept { message, stored }) = messages.get(number) {
            record::put_message(&mut log.bytes, *number, *stored, message);
            log.write_when(PIECE)?;
        }
    }
    for queue in old.queues() {
        let runs: Vec<_> = old
            .runs(queue)
            .flat_map(|(first, last, number)| {
                // A run in memory may be longer than one in a record.
                let step = u64::from(u32::MAX);
                (0..=(last - first) / step).map(move |part| {
                    let at = part * step;
                    let count = (last - first - at).saturating_add(1).min(step);
                    (first + at, number + at, count as u32)
                })
            })
            .filter(|(_, _, count)| *count > 0)
            .collect();
        record::put_enqueue(&mut log.bytes, 0, queue, &runs);
        record::put_settled(&mut log.bytes, queue, &old.settled_ranges(queue));
        log.write_when(PIECE)?;
    }
    log.write_when(1)?;
    log.active.sync()?;
    let lost = log.live.recovered();
    debug_assert!(lost.is_empty(), "what is written was found: {lost:?}");
    Ok((log.live, log.active))
}

/// Takes the old files out of the log, oldest first: after each step the rest is the end of a log.
pub fn set_aside(
    place: &Place<'_>,
    old: &[u64],
    damaged: &[u64],
) -> Result<Vec<String>, StoreError> {
    let mut report = Vec::new();
    for &number in old {
        let path = file::path(place.directory, number);
        if damaged.contains(&number) {
            let names = place.disk.list(place.directory);
            let names = names.map_err(failed("list", place.directory))?;
            let aside = (1u64..)
                .map(|count| format!("{}.damaged-{count}", file::name(number)))
                .find(|name| !names.contains(name))
                .unwrap_or_default();
            let to = place.directory.join(&aside);
            place.disk.rename(&path, &to).map_err(failed("rename", &path))?;
            report.push(format!("{} is kept as {}", path.display(), to.display()));
        } else {
            place.disk.remove(&path).map_err(failed("remove", &path))?;
        }
        place.disk.sync_dir(place.directory).map_err(failed("sync", place.directory))?;
    }
    Ok(report)
}

struct NewLog<'a> {
    place: &'a Place<'a>,
    live: Live,
    active: ActiveFile,
    bytes: Vec<u8>,
}

impl NewLog<'_> {
    /// Writes what has gathered once it is so much.
    fn write_when(&mut self, bytes: usize) -> Result<(), StoreError> {
        if self.bytes.len() < bytes {
            return Ok(());
        }
        if self.active.length() > file::HEADER
            && self.active.length() + self.bytes.len() as u64 > self.place.options.file_bytes
        {
            self.active.sync()?;
            let next = self.active.number() + 1;
            self.active = ActiveFile::create(self.place.disk, self.place.directory, next)?;
            self.live.grow_file(next, self.active.length());
        }
        let (live, number) = (&mut self.live, self.active.number());
        self.active.seal(0, &mut self.bytes, |_, content| {
            if let Some(record) = Record::decode(content) {
                let known = live.apply(&record, number);
                debug_assert_eq!(known, Ok(()));
            }
            Ok(())
        })?;
        live.enter(number);
        self.active.append([&self.bytes, &[]])?;
        live.grow_file(number, self.bytes.len() as u64);
        self.bytes.clear();
        Ok(())
    }
}
