//! A journal file: its name, its header, and how it is read.
//!
//! ```text
//! 00000001.log:  magic [8] | version u32 | number u64 | salt u32 | salt u32 | checksum u32 | records
//! ```
//!
//! The checksum of a record is a CRC-32C that starts from the file's salt and the record's offset. So
//! a record counts only where it was written: bytes of a journal inside the body of a message are never
//! taken for records when a reader looks for the next one behind a damaged place. The salt is there
//! twice, because a flipped bit in it would make all records of the file unreadable.
//!
//! These 32 bytes stay what they are in every version, so that any version can refuse another.
//!
//! Invariant: reading takes memory for one window and one record, however long the file is.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::record::{self, FRAME, Record};
use crate::storage::disk::{Disk, DiskRead};

pub const HEADER: u64 = 32;

const MAGIC: &[u8; 8] = b"leveretJ";
/// What is written. Version 2 has kinds of messages that version 1 would take for damage.
const VERSION: u32 = 2;

/// What can be read.
const VERSIONS: RangeInclusive<u32> = 1..=VERSION;

/// How much is read at once.
const WINDOW: u64 = 1 << 20;

pub fn name(number: u64) -> String {
    format!("{number:08}.log")
}

pub fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(name(number))
}

/// The number of the journal file of this name; `None` for any other file.
pub fn number(file_name: &str) -> Option<u64> {
    let number = file_name.strip_suffix(".log")?.parse().ok()?;
    (number > 0 && name(number) == file_name).then_some(number)
}

pub fn header(number: u64, salt: u32) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER as usize);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&number.to_le_bytes());
    header.extend_from_slice(&salt.to_le_bytes());
    header.extend_from_slice(&salt.to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header
}

/// The checksum of a record's content at an offset of a file.
pub fn checksum(salt: u32, offset: u64, content: &[u8]) -> u32 {
    crc32c::crc32c_append(salt ^ offset as u32, content)
}

/// What a header says. `sound` is false for one that is damaged.
struct Header {
    sound: bool,
    version: u32,
    salts: [u32; 2],
}

impl Header {
    fn parse(bytes: &[u8], expected: u64) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        let (magic, rest) = body.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let sums = u32::from_le_bytes(*sum) == crc32c::crc32c(body);
        let named = u64::from_le_bytes(*number) == expected;
        Some(Self {
            sound: sums && magic == MAGIC && named,
            version: u32::from_le_bytes(*version),
            salts: [u32::from_le_bytes(*salt), u32::from_le_bytes(*rest.first_chunk()?)],
        })
    }
}

/// How a file begins.
pub enum Start {
    /// Records can be read. A header that is damaged did not keep them from it.
    Records { reader: LogReader, sound: bool },
    /// There is less than a header.
    Short { bytes: u64 },
    /// A sound header of another version.
    Version(u32),
}

/// What comes next in a file.
pub enum Next<'a> {
    /// A record, and its content undecoded.
    Record {
        record: Record<'a>,
        content: &'a [u8],
    },
    /// No record, though the file goes on.
    Bad {
        offset: u64,
    },
    End,
}

pub struct LogReader {
    file: Box<dyn DiskRead>,
    length: u64,
    salt: u32,
    /// Where the next record begins.
    offset: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl LogReader {
    pub fn open(disk: &dyn Disk, directory: &Path, number: u64) -> io::Result<Start> {
        let file = disk.open_read(&path(directory, number))?;
        let length = file.len()?;
        let mut bytes = [0; HEADER as usize];
        let read = file.read_at(0, &mut bytes)?;
        let Some(header) = Header::parse(&bytes, number).filter(|_| read == bytes.len()) else {
            return Ok(Start::Short { bytes: length });
        };
        let [salt, second] = header.salts;
        let (window, window_at) = (Vec::new(), 0);
        let mut reader = Self { file, length, salt, offset: HEADER, window, window_at };
        if header.sound {
            return Ok(match header.version {
                version if VERSIONS.contains(&version) => Start::Records { reader, sound: true },
                version => Start::Version(version),
            });
        }
        if reader.record_at(HEADER)?.is_none() {
            reader.salt = second;
        }
        Ok(Start::Records { reader, sound: false })
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn next(&mut self) -> io::Result<Next<'_>> {
        let offset = self.offset;
        if offset >= self.length {
            return Ok(Next::End);
        }
        let Some(length) = self.record_at(offset)? else { return Ok(Next::Bad { offset }) };
        self.offset = offset + (FRAME + length) as u64;
        let content = self.bytes(offset + FRAME as u64, length)?.unwrap_or_default();
        Ok(match Record::decode(content) {
            Some(record) => Next::Record { record, content },
            None => Next::Bad { offset },
        })
    }

    /// Goes on at the next place behind `offset` where a record is; false when there is none.
    pub fn resync(&mut self, offset: u64) -> io::Result<bool> {
        for offset in offset + 1..self.length {
            if self.plausible_at(offset)?
                && let Some(length) = self.record_at(offset)?
            {
                let content = self.bytes(offset + FRAME as u64, length)?.unwrap_or_default();
                if Record::decode(content).is_some() {
                    self.offset = offset;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The length of the content at `offset`, if its checksum is right.
    fn record_at(&mut self, offset: u64) -> io::Result<Option<usize>> {
        let Some((length, sum)) = self.frame_at(offset)? else { return Ok(None) };
        let salt = self.salt;
        let content = self.bytes(offset + FRAME as u64, length)?;
        let sound = content.is_some_and(|content| checksum(salt, offset, content) == sum);
        Ok(sound.then_some(length))
    }

    fn plausible_at(&mut self, offset: u64) -> io::Result<bool> {
        let Some((length, _)) = self.frame_at(offset)? else { return Ok(false) };
        let prefix = self.bytes(offset + FRAME as u64, length.min(record::PLAUSIBLE))?;
        Ok(prefix.is_some_and(|prefix| record::plausible(length, prefix)))
    }

    /// Length and checksum as they stand at `offset`, if the file is long enough for them.
    fn frame_at(&mut self, offset: u64) -> io::Result<Option<(usize, u32)>> {
        let left = self.length.saturating_sub(offset);
        let Some((length, sum)) =
            self.bytes(offset, FRAME)?.and_then(|frame| frame.split_first_chunk::<4>())
        else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length);
        let sum = sum.first_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
        let fits = length > 0 && u64::from(length) + FRAME as u64 <= left;
        Ok(fits.then_some((length as usize, sum)))
    }

    /// So many bytes of the file; `None` when it ends before.
    fn bytes(&mut self, offset: u64, count: usize) -> io::Result<Option<&[u8]>> {
        let end = offset + count as u64;
        if end > self.length {
            return Ok(None);
        }
        if offset < self.window_at || end > self.window_at + self.window.len() as u64 {
            let size = (self.length - offset).min(WINDOW.max(count as u64));
            self.window.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
            self.window.shrink_to(WINDOW as usize);
            self.window_at = offset;
            let read = self.file.read_at(offset, &mut self.window)?;
            self.window.truncate(read);
        }
        let start = (offset - self.window_at) as usize;
        Ok(self.window.get(start..start + count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_were_given_here_are_numbers() {
        assert_eq!(number("00000001.log"), Some(1));
        assert_eq!(number(&name(123_456_789)), Some(123_456_789));
        for other in
            ["1.log", "+0000001.log", "00000000.log", "00000001.log.damaged-1", "x.log", "00000001"]
        {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
