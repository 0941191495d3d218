//! Names of segment files, and how one comes to be: whole, or not at all.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use super::Segment;
use crate::storage::QueueId;
use crate::storage::disk::Disk;

pub const EXTENSION: &str = ".seg";
const UNFINISHED: &str = ".new";
const DAMAGED: &str = ".damaged";

/// Where segments lie.
pub struct Place {
    pub durable: PathBuf,
    pub transient: PathBuf,
}

impl Place {
    pub fn new(directory: &Path) -> Self {
        Self { durable: directory.to_owned(), transient: directory.join("transient") }
    }

    pub fn path(&self, segment: &Segment) -> PathBuf {
        match segment.queue {
            Some(queue) => self.durable.join(name(queue, segment.number)),
            None => self.transient.join(format!("{:016x}{EXTENSION}", segment.number)),
        }
    }
}

fn name(queue: QueueId, number: u64) -> String {
    format!("{:016x}-{number:016x}{EXTENSION}", queue.0)
}

/// What a name of a file in the directory says.
#[derive(Debug, PartialEq)]
pub enum Named {
    Segment {
        queue: QueueId,
        number: u64,
    },
    /// Its writing was cut off.
    Unfinished,
    Other,
}

pub fn parse(name: &str) -> Named {
    if name.ends_with(UNFINISHED) {
        return Named::Unfinished;
    }
    let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
    let numbers = || {
        let (queue, number) = name.strip_suffix(EXTENSION)?.split_once('-')?;
        Some((hexadecimal(queue)?, hexadecimal(number)?))
    };
    numbers()
        .map_or(Named::Other, |(queue, number)| Named::Segment { queue: QueueId(queue), number })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Puts a file there in one step, in the place of an older one if there is one. When this returns, it
/// survives a loss of power; when it fails, what was there still is.
pub fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = with_suffix(path, UNFINISHED);
    let written = write_synced(disk, &unfinished, bytes);
    written.and_then(|()| disk.rename(&unfinished, path)).inspect_err(|_| {
        // It would be in the way of the next one; at worst, the next start removes it.
        let _ = disk.remove(&unfinished);
    })?;
    sync_parent(disk, path)
}

fn write_synced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = disk.create(path)?;
    file.append(&mut [IoSlice::new(bytes)])?;
    file.sync_data()
}

/// Puts a file there that need not survive anything.
pub fn put_transient(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    disk.create(path)?.append(&mut [IoSlice::new(bytes)])
}

/// Renames a damaged file, so that nobody reads it again and somebody may look at it. Returns its new
/// path.
pub fn set_aside(disk: &dyn Disk, path: &Path) -> io::Result<PathBuf> {
    let aside = with_suffix(path, DAMAGED);
    disk.rename(path, &aside)?;
    sync_parent(disk, path)?;
    Ok(aside)
}

/// Keeps what is in a damaged file under another name, for somebody to look at. Returns its path.
pub fn keep_copy(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut copy = with_suffix(path, DAMAGED);
    for number in 2.. {
        match disk.read_all(&copy) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            // From before a crash that came between the copy and the mending.
            Ok(there) if there == bytes => return Ok(copy),
            // Damaged once more.
            Ok(_) => copy = with_suffix(path, &format!("{DAMAGED}-{number}")),
            Err(error) => return Err(error),
        }
    }
    put(disk, &copy, bytes)?;
    Ok(copy)
}

fn sync_parent(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| disk.sync_dir(parent))
}
